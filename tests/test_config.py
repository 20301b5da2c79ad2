from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from vllm_sse_proxy import Dialect, NestedNumbers
from vllm_sse_proxy.config import load
from vllm_sse_proxy.families.responses.settings import ResponsesSettings
from vllm_sse_proxy.settings import CoreSettings, ServerSettings, SettingsError, flag_name, settings_of

if TYPE_CHECKING:
    from pathlib import Path

GIVEN = {"upstream": "http://vllm.test:8000"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("SSE_PROXY_"):
            monkeypatch.delenv(name)


def faults(**flags: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(ServerSettings, flags)
    return caught.value.lines


def test_flag_before_environment_before_file_before_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text('port = 1\nadmin_port = 2\nhost = "::1"\nupstream = "http://file.test"\n')
    monkeypatch.setenv("SSE_PROXY_PORT", "3")
    monkeypatch.setenv("SSE_PROXY_ADMIN_PORT", "4")
    settings = load(ServerSettings, {"port": "5"}, config_file=str(file))
    assert (settings.port, settings.admin_port, settings.host) == (5, 4, "::1")
    assert settings.upstream == "http://file.test"
    assert settings.keepalive_seconds == 15
    monkeypatch.setenv("SSE_PROXY_CONFIG", str(file))
    assert load(ServerSettings, {}).port == 3


def test_the_admin_port_listens_where_the_data_port_does() -> None:
    assert load(ServerSettings, GIVEN).admin_address == "127.0.0.1"
    assert load(ServerSettings, {**GIVEN, "host": "0.0.0.0"}).admin_address == "0.0.0.0"  # noqa: S104
    assert load(ServerSettings, {**GIVEN, "host": "0.0.0.0", "admin_host": "::1"}).admin_address == "::1"  # noqa: S104


def test_empty_variables_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSE_PROXY_PORT", "")
    assert load(ServerSettings, GIVEN).port == 9000


@pytest.mark.parametrize(
    "spelling",
    [" string_deltas, done_items ,", ("string_deltas", "done_items"), ("string_deltas,done_items",)],
)
def test_disabled_repairs(monkeypatch: pytest.MonkeyPatch, spelling: str | tuple[str, ...]) -> None:
    if isinstance(spelling, str):
        monkeypatch.setenv("SSE_PROXY_DISABLE_REPAIRS", spelling)
        settings = load(ServerSettings, GIVEN)
    else:
        settings = load(ServerSettings, {**GIVEN, "disable_repairs": spelling})
    assert settings.disable_repairs == ("string_deltas", "done_items")


def test_a_repair_that_others_need_cannot_be_disabled() -> None:
    (line,) = faults(**GIVEN, disable_repairs=("item_ids",))
    assert line.startswith("--disable-repair: ")
    assert "'item_ids' cannot be switched off" in line
    assert "item_ids, " in (settings_of(ServerSettings)["disable_repairs"].description or "")


def test_repairs_of_requests_have_the_same_switches() -> None:
    settings = load(
        ServerSettings, {**GIVEN, "disable_repairs": "namespace_tools", "enable_repairs": "harmony_pictures"}
    )
    assert settings.disable_repairs == ("namespace_tools",)
    assert settings.enable_repairs == ("harmony_pictures",)
    (line,) = faults(**GIVEN, enable_repairs=("namespace_tools",))
    assert "namespace_tools" in line
    assert "is not one that is off by default; there are: harmony_pictures" in line


@pytest.mark.parametrize(
    "spelling", ["10.0.0.0/8, ::1", ("10.0.0.0/8", "::1"), ("10.0.0.0/8,::1",), ["10.0.0.0/8", "::1"]]
)
def test_trusted_proxies(spelling: object) -> None:
    assert load(ServerSettings, {**GIVEN, "trusted_proxies": spelling}).trusted_proxies == (
        "10.0.0.0/8",
        "::1",
    )


@pytest.mark.parametrize("bad", ["10.0.0.1/8", "*", "proxy", "10.0.0.0/33", (3,)])
def test_networks_that_are_none(bad: object) -> None:
    (line,) = faults(**GIVEN, trusted_proxies=bad)
    assert line.startswith("--trusted-proxies: ")


def test_a_core_command_ignores_what_only_a_server_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSE_PROXY_PORT", "1")
    monkeypatch.setenv("SSE_PROXY_DIALECT", "upstream")
    assert load(CoreSettings, {}).dialect is Dialect.UPSTREAM


def test_what_is_required_says_how_to_give_it() -> None:
    assert faults() == [
        "upstream is required: give --upstream, SSE_PROXY_UPSTREAM, or upstream in the configuration file"
    ]


def test_faults_name_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSE_PROXY_PORT", "http")
    lines = faults(
        upstream="http://u:secret@h:1?x=1", dialect="opnai", keepalive_seconds="-1", disable_repairs=("nope",)
    )
    assert [line.partition(": ")[0] for line in lines] == [
        "--dialect",
        "--disable-repair",
        "--upstream",
        "SSE_PROXY_PORT",
        "--keepalive-seconds",
    ]
    assert "secret" not in "".join(lines)


@pytest.mark.parametrize(
    "url",
    [
        "vllm:8000",
        "ftp://h",
        "http://",
        "http://h:x",
        "http://h:0",
        "http://h/?a",
        "http://h/#a",
        "//h",
        "http://[::1",
        "http://a b",
        "http://a/\tb",
        " http://a",
        "http://a%20b",
        "http://h<x>:8000",
        "http://a..b",
        "http://-a",
        f"http://{'a' * 64}",
        f"http://{'a.' * 127}a",
    ],
)
def test_bad_upstreams(url: str) -> None:
    (line,) = faults(upstream=url)
    assert line.startswith("--upstream: ")


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "http://vllm_1:8000",
        "http://a.b.",
        "http://[::1]:8000",
        "http://[fe80::1%25eth0]",
        "http://10.0.0.1",
        "http://müller.test",
    ],
)
def test_good_upstreams(url: str) -> None:
    assert load(ServerSettings, {"upstream": url}).upstream == url


@pytest.mark.parametrize("host", ["", " ", "a b", "\t", "a/b", "[]", "http://h", "*"])
def test_hosts_that_are_no_address(host: str) -> None:
    for setting, flag in (("host", "--host"), ("admin_host", "--admin-host")):
        (line,) = faults(**GIVEN, **{setting: host})
        assert line.startswith(f"{flag}: is not an address: 127.0.0.1 listens on loopback")


def test_hosts_of_ipv6() -> None:
    settings = load(ServerSettings, {**GIVEN, "host": "::", "admin_host": "[::1]"})
    assert (settings.host, settings.admin_host) == ("::", "::1")


@pytest.mark.parametrize(
    ("host", "admin_host", "clashes"),
    [
        ("127.0.0.1", None, True),
        ("127.0.0.1", "0.0.0.0", True),  # noqa: S104 - nothing listens
        ("::", "::1", True),
        ("::", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.2", False),
        ("localhost", "127.0.0.1", True),
        ("localhost", "::", True),
        ("localhost", "127.0.0.2", False),
    ],
)
def test_ports_that_clash(host: str, admin_host: str | None, *, clashes: bool) -> None:
    given = {**GIVEN, "host": host, "port": 7000, "admin_port": 7000}
    given |= {} if admin_host is None else {"admin_host": admin_host}
    if clashes:
        (line,) = faults(**given)
        assert line == "--port, --admin-port: both are 7000, at the same address"
    else:
        load(ServerSettings, given)
    load(ServerSettings, {**given, "port": 0, "admin_port": 0})


@pytest.mark.parametrize(
    ("upstream", "host", "is_itself"),
    [
        ("http://127.0.0.1:9000", "127.0.0.1", True),
        ("http://localhost:9000/v1", "127.0.0.1", True),
        ("http://localhost:9001", "0.0.0.0", True),  # noqa: S104 - compared, not listened on
        ("http://0.0.0.0:9000", "127.0.0.1", True),
        ("https://[::1]:9000", "::", True),
        ("http://proxy:9000", "proxy", True),
        ("http://10.0.0.7:9000", "10.0.0.7", True),
        ("http://127.0.0.1:9000", "::", False),
        ("http://127.0.0.2:9000", "127.0.0.1", False),
        ("http://127.0.0.1:8000", "0.0.0.0", False),  # noqa: S104 - compared, not listened on
        ("http://10.0.0.7:9000", "0.0.0.0", False),  # noqa: S104 - compared, not listened on
        ("http://vllm:9000", "0.0.0.0", False),  # noqa: S104 - compared, not listened on
        ("unix:/run/vllm.sock", "0.0.0.0", False),  # noqa: S104 - compared, not listened on
    ],
)
def test_an_upstream_that_is_the_proxy_itself(upstream: str, host: str, *, is_itself: bool) -> None:
    flags = {"upstream": upstream, "host": host}
    if is_itself:
        with pytest.raises(
            SettingsError, match=r"^--upstream: is this proxy itself, whose (admin_)?port is 900"
        ):
            load(ServerSettings, flags)
    else:
        load(ServerSettings, flags)


@pytest.mark.parametrize("upstream", ["http://h:8000", "unix:/run/vllm.sock"])
def test_authorities_that_nothing_is_verified_with(upstream: str) -> None:
    with pytest.raises(SettingsError, match=r"^--upstream-ca-file, --upstream: only an https:// upstream"):
        load(ServerSettings, {"upstream": upstream, "upstream_ca_file": "ca.pem"})


def test_a_repair_that_is_needed_is_named_once() -> None:
    description = settings_of(ServerSettings)["disable_repairs"].description or ""
    names = description.rpartition(": ")[2].rstrip(".").split(", ")
    assert len(names) == len(set(names))


def test_credentials_are_never_shown() -> None:
    settings = load(ServerSettings, {"upstream": "https://user:secret@vllm.test/prefix/"})
    assert settings.shown_upstream == "https://vllm.test/prefix"
    assert "secret" not in repr(settings) + str(settings)


def test_unknown_keys_name_the_nearest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSE_PROXY_KEEPALIVE_SECOND", "1")
    assert faults() == [
        "unknown environment variable SSE_PROXY_KEEPALIVE_SECOND; did you mean SSE_PROXY_KEEPALIVE_SECONDS?"
    ]
    monkeypatch.delenv("SSE_PROXY_KEEPALIVE_SECOND")
    monkeypatch.setenv("SSE_PROXY_XYZZY", "1")  # the prefix alone makes it like no other
    assert faults() == ["unknown environment variable SSE_PROXY_XYZZY"]
    monkeypatch.delenv("SSE_PROXY_XYZZY")
    file = tmp_path / "proxy.toml"
    file.write_text("prot = 1\nzzzzzz = 2\n")
    with pytest.raises(SettingsError) as caught:
        load(ServerSettings, GIVEN, config_file=str(file))
    assert caught.value.lines == [
        f"{file}: unknown setting 'prot'; did you mean port?",
        f"{file}: unknown setting 'zzzzzz'",
    ]


def test_unreadable_files(tmp_path: Path) -> None:
    for content in (b"port = ", b"\xff"):
        file = tmp_path / "bad.toml"
        file.write_bytes(content)
        with pytest.raises(SettingsError, match="not TOML"):
            load(ServerSettings, GIVEN, config_file=str(file))
    with pytest.raises(SettingsError, match="No such file"):
        load(ServerSettings, GIVEN, config_file=str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SSE_PROXY_PORT", "tcp://10.0.0.1:9000"),
        ("SSE_PROXY_SERVICE_HOST", "10.0.0.1"),
        ("SSE_PROXY_PORT_9000_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_kubernetes_service_links_are_explained(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    (line,) = faults(**GIVEN)
    assert variable in line
    assert "enableServiceLinks: false" in line


def test_the_plan_follows_the_settings() -> None:
    settings = load(
        CoreSettings,
        {
            "mode": "observe",
            "dialect": "upstream",
            "disable_repairs": ("done_items",),
            "nested_sequence_number": "remove",
        },
    )
    plan = settings.plan()
    assert "done_items" in plan.disabled
    assert isinstance(plan.settings, ResponsesSettings)
    assert plan.settings.observe
    assert plan.settings.dialect is Dialect.UPSTREAM
    assert plan.settings.nested_numbers is NestedNumbers.REMOVE


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in settings_of(ServerSettings).items():
        assert field.description, name
        assert flag_name(name).startswith("--")
