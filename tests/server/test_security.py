"""Who may reach what, and which certificates are trusted."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer as AppServer

from tests.support.http import metric
from tests.support.upstream import stream
from tests.support.whole_stream import BODY, WHOLE
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.config import load
from vllm_sse_proxy.server.admission import is_allowed
from vllm_sse_proxy.settings import ServerSettings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream
    from vllm_sse_proxy.server.app import Server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pem(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    files = {name: str(tmp_path / f"{name}.pem") for name in ("tls_cert_file", "tls_key_file", "authority")}
    for part in certificate.cert_chain_pems:
        part.write_to_path(files["tls_cert_file"], append=True)
    certificate.private_key_pem.write_to_path(files["tls_key_file"])
    authority.cert_pem.write_to_path(files["authority"])
    return files


async def test_tls_to_clients(
    upstream: FakeUpstream,
    start: Start,
    http: aiohttp.ClientSession,
    pem: dict[str, str],
    authority: trustme.CA,
) -> None:
    proxy = await start(tls_cert_file=pem["tls_cert_file"], tls_key_file=pem["tls_key_file"])
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    upstream.answer(*stream(*WHOLE))
    url = f"https://127.0.0.1:{proxy.port}/v1/responses"
    async with http.post(url, data=BODY, ssl=context) as got:
        assert await got.read() == b"".join(WHOLE)
    assert (await upstream.next_request()).value("X-Forwarded-Proto") == "https"


async def certificate_of(proxy: Server) -> bytes:
    """Return the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return shown


async def test_a_certificate_that_was_renewed(
    start: Start, pem: dict[str, str], authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = await start(tls_cert_file=pem["tls_cert_file"], tls_key_file=pem["tls_key_file"])
    before = await certificate_of(proxy)
    with caplog.at_level("INFO"):
        proxy.reload()
        assert await certificate_of(proxy) == before
        renewed = authority.issue_cert("127.0.0.1")
        renewed.cert_chain_pems[0].write_to_path(pem["tls_cert_file"])
        proxy.reload()  # the key is still that of the old one
        assert await certificate_of(proxy) == before
        renewed.private_key_pem.write_to_path(pem["tls_key_file"])
        proxy.reload()
    assert await certificate_of(proxy) not in (before, b"")
    said = [record for record in caplog.records if "reloaded" in record.getMessage()]
    assert [(record.getMessage(), vars(record)["fields"].get("changed")) for record in said] == [
        ("certificate reloaded", False),
        ("certificate not reloaded", None),
        ("certificate reloaded", True),
    ]


async def test_a_client_that_speaks_no_tls_is_not_answered(
    start: Start, connect: Connect, pem: dict[str, str]
) -> None:
    proxy = await start(tls_cert_file=pem["tls_cert_file"], tls_key_file=pem["tls_key_file"])
    client = await connect(proxy)
    await client.get("/")
    assert await client.closed()


async def _echo(request: web.Request) -> web.Response:
    return web.Response(text=request.raw_path)


@pytest.mark.parametrize(("host", "trusted", "status"), [
    ("127.0.0.1", True, 200), ("127.0.0.1", False, 502), ("127.0.0.2", True, 502),
])  # fmt: skip
async def test_tls_to_upstream_is_verified(
    start: Start,
    connect: Connect,
    authority: trustme.CA,
    pem: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    host: str,
    trusted: bool,  # noqa: FBT001 - a parameter of the test
    status: int,
) -> None:
    """An unknown authority and a certificate for another name are both refused, and only the log says which it was."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.router.add_get("/{rest:.*}", _echo)
    server = AppServer(app, host=host, scheme="https")
    await server.start_server(ssl=context)
    try:
        ca = {"upstream_ca_file": pem["authority"]} if trusted else {}
        proxy = await start(upstream=f"https://{host}:{server.port}", **ca)
        client = await connect(proxy)
        with caplog.at_level("WARNING"):
            await client.get("/x?y")
            got = await client.answer()
    finally:
        await server.close()
    assert ("certificate verify failed" in repr([r.__dict__.get("fields") for r in caplog.records])) is (
        status == 502
    )
    assert got.status == status
    assert got.value("X-SSE-Proxy-Error") == (None if status == 200 else "upstream_connect")
    assert metric(proxy, "upstream_failures_total", **{"class": "connect"}) == (status == 502)


@pytest.mark.parametrize("fault", ["missing", "no pem", "wrong key", "encrypted"])
def test_certificates_that_cannot_be_used_are_reported_in_a_line(
    pem: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    cert, key = pem["tls_cert_file"], pem["tls_key_file"]
    other = tmp_path / "other.pem"
    if fault == "no pem":
        other.write_text("nonsense")
        cert = str(other)
    elif fault == "wrong key":
        trustme.CA().issue_cert("x.test").private_key_pem.write_to_path(str(other))
        key = str(other)
    elif fault == "encrypted":
        other.write_text(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMFUwTzBCBgkqhkiG9w0BBQ0wNTAUBgkrBgEEAdpHBAswBwQBAAIBQDAdBglghkgB\n"
            "-----END ENCRYPTED PRIVATE KEY-----\n"
        )
        key = str(other)
    else:
        cert = str(tmp_path / "none.pem")
    flags = ("--tls-cert-file", cert, "--tls-key-file", key, "--port", "0", "--admin-port", "0")
    for command in (["serve"], ["config", "check"]):
        assert main([*command, "--upstream", "http://vllm.test", *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        names = f"tls_cert_file: {cert}" if fault == "missing" else "tls_cert_file, tls_key_file"
        assert line.startswith(f"vllm-sse-proxy: {names}: ")


def test_authorities_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--upstream-ca-file", str(tmp_path / "none.pem"), "--port", "0", "--admin-port", "0")
    for command in (["serve"], ["config", "check"]):
        assert main([*command, "--upstream", "https://vllm.test", *flags]) == 2
        assert f"upstream_ca_file: {tmp_path}/none.pem: No such file" in capsys.readouterr().err


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(SettingsError, match="tls-cert-file, tls_key_file: each needs the other"):
        load(ServerSettings, {"upstream": "http://vllm.test", "tls_cert_file": "x"})


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/models", True),
        ("/v1/", True),
        ("/v1", False),
        ("/v1%2Fmodels", True),
        ("/health", True),
        ("/health/", False),
        ("/healthy", False),
        ("/metrics", False),
        ("//v1/models", False),
        ("/V1/models", False),
        ("/v1/../metrics", False),
        ("/v1/%2e%2e/metrics", False),
        ("/v1/./models", False),
        ("/v1/..%2fmetrics", False),
        ("/v1/..%5cmetrics", False),
        ("/v1/a..b", True),
    ],
)
def test_allowed_paths(path: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_allowed(path, ("/v1/*", "/health")) is allowed
    assert is_allowed(path, ())


@pytest.mark.parametrize("bad", ["v1/*", "/v1/*/x", "*"])
def test_bad_lists_of_paths(bad: str) -> None:
    with pytest.raises(SettingsError, match="--allow-path: "):
        load(ServerSettings, {"upstream": "http://vllm.test", "allow_paths": (bad,)})


async def test_other_paths_do_not_reach_upstream(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(allow_paths="/v1/*, /health")
    for target in ("/metrics?x=/v1/", "/ws"):
        client = await connect(proxy)
        await client.get(target, "Connection: Upgrade", "Upgrade: websocket")
        got = await client.answer()
        assert (got.status, got.value("X-SSE-Proxy-Error")) == (404, "path_not_allowed")
    client = await connect(proxy)
    await client.get("http://vllm.internal/sleep")
    assert (await client.answer()).status == 404
    client = await connect(proxy)
    await client.get("/v1/models?a=../b")
    assert (await client.answer()).status == 200
    assert [seen.target for seen in upstream.requests] == [b"/v1/models?a=../b"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/metrics"])
async def test_the_admin_ports_endpoints_are_not_on_the_data_port(
    upstream: FakeUpstream, proxy: Server, connect: Connect, path: str
) -> None:
    client = await connect(proxy)
    await client.get(path)
    assert (await client.answer()).body == b'{"object":"fake"}'
    assert (await upstream.next_request()).target == path.encode()


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data",
        "HTTP://other.test:1/x",
        "https://user:pw@other.test/x",
        "//other.test/x",
        "/http://other.test/x",
        "/@other.test/x",
        "/x?url=http://other.test/",
        "/\\other.test/x",
    ],
)
async def test_no_target_leads_elsewhere(
    upstream: FakeUpstream, proxy: Server, connect: Connect, target: str
) -> None:
    client = await connect(proxy)
    await client.get(target)
    assert (await client.answer()).status == 200
    seen = await upstream.next_request()
    assert seen.target.startswith(b"/")
    assert seen.value("Host") == upstream.url.removeprefix("http://")


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked", 400, "invalid_http"),
        (b"HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4", 400, "invalid_http"),
        (b"HTTP/1.1\r\nHost: a\r\nContent-Length: +4", 400, "invalid_http"),
        (b"HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked", 400, "invalid_http"),
        (b"HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded", 400, "invalid_http"),
        (b"HTTP/1.1\r\nHost: a\r\nX: 1\r2", 400, "invalid_http"),
        (b"HTTP/1.1\r\nHost: a\r\nX : 1", 400, "invalid_http"),
        (b"HTTP/1.1\r\nHost: a\r\nHost: b", 400, "invalid_http"),
        (b"HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked", 501, "transfer_coding_not_supported"),
        (b"HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked", 400, "invalid_http"),
    ],
)
async def test_framing_that_two_servers_may_read_in_two_ways_is_refused(
    upstream: FakeUpstream, proxy: Server, connect: Connect, head: bytes, status: int, code: str
) -> None:
    client = await connect(proxy)
    await client.send(b"POST /x " + head + b"\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    got = await client.answer()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (status, code)
    assert await client.closed()
    assert upstream.requests == []
