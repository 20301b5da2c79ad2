from __future__ import annotations

import platform
import re

import pytest

from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.families.recognition import Family as KnownFamily
from vllm_sse_proxy.metrics import CODES, UPSTREAM_FAILURES, Metrics, code_class
from vllm_sse_proxy.settings import CoreSettings, Mode, ServerSettings
from vllm_sse_proxy.stream.ending import Ending
from vllm_sse_proxy.stream.plan import names_of
from vllm_sse_proxy.stream.tally import Tally

REPAIRS = [(family.name, name) for family in FAMILIES for name in names_of(family)]
ROUTES = {endpoint.route for family in FAMILIES for endpoint in family.endpoints} | {"other"}


def samples(metrics: Metrics) -> dict[str, float]:
    lines = metrics.expose().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


def test_every_series_exists_from_the_start() -> None:
    found = {name: value for name, value in samples(Metrics()).items() if name.startswith("sse_proxy_")}
    for family, repair in REPAIRS:
        for series in ("repairs_total", "repair_failures_total"):
            assert found.pop(f'sse_proxy_{series}{{family="{family}",repair="{repair}"}}') == 0
    for ending in Ending:
        for one in FAMILIES:
            assert found.pop(f'sse_proxy_streams_total{{ending="{ending.value}",family="{one.name}"}}') == 0
    for route in ROUTES:
        for code in CODES:
            assert found.pop(f'sse_proxy_requests_total{{code="{code}",route="{route}"}}') == 0
    for cause in UPSTREAM_FAILURES:
        assert found.pop(f'sse_proxy_upstream_failures_total{{class="{cause}"}}') == 0
    for kind in KnownFamily:
        assert found.pop(f'sse_proxy_unrepaired_streams_total{{family="{kind.value}"}}') == 0
    for one in FAMILIES:
        assert found.pop(f'sse_proxy_streams_repaired_total{{family="{one.name}"}}') == 0
    left = {name: value for name, value in found.items() if value and "_created" not in name}
    assert [re.sub(r"\{.*", "", name) for name in left] == [
        "sse_proxy_build_info",
        "sse_proxy_upstream_info",
        "sse_proxy_config_info",
    ]


def test_what_is_set_is_shown() -> None:
    settings = CoreSettings(mode=Mode.OBSERVE)
    shown = [name for name in samples(Metrics(settings=settings)) if name.startswith("sse_proxy_config_info")]
    assert shown == [
        'sse_proxy_config_info{chat_reasoning="both",dialect="openai",mode="observe",reasoning="auto",transcripts="upstream"}'
    ]


def test_a_stream_is_added_once_with_everything_it_counted() -> None:
    metrics = Metrics()
    family, name = REPAIRS[0]
    tally = Tally(
        events_in=10,
        events_out=12,
        events_renumbered=3,
        events_inserted=4,
        events_dropped=2,
        repairs={name: 5},
    )
    tally.repair_failures[name] = 1
    metrics.flush(family, tally, Ending.CUT, duration_seconds=2.0)
    metrics.flush(family, Tally(events_in=1, repairs={name: 0}), Ending.COMPLETED, duration_seconds=2.0)
    found = {
        re.sub(r'family="responses",|,family="responses"|{family="responses"}', "", key): value
        for key, value in samples(metrics).items()
    }
    assert {key: found[f"sse_proxy_{key}"] for key in (
        'streams_total{ending="cut"}', "streams_repaired_total", f'repairs_total{{repair="{name}"}}',
        f'repair_failures_total{{repair="{name}"}}', 'events_total{direction="in"}', 'events_total{direction="out"}',
        "events_renumbered_total", "events_inserted_total", "events_dropped_total", "stream_duration_seconds_sum",
    )} == {
        'streams_total{ending="cut"}': 1, "streams_repaired_total": 1, f'repairs_total{{repair="{name}"}}': 5,
        f'repair_failures_total{{repair="{name}"}}': 1, 'events_total{direction="in"}': 11,
        'events_total{direction="out"}': 12, "events_renumbered_total": 3, "events_inserted_total": 4,
        "events_dropped_total": 2, "stream_duration_seconds_sum": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code"), [(None, "none"), (101, "1xx"), (200, "2xx"), (599, "5xx"), (799, "5xx"), (99, "5xx")]
)
def test_code_class(status: int | None, code: str) -> None:
    assert code_class(status) == code
    assert code in CODES


def test_names_and_help_follow_the_conventions() -> None:
    """What `promtool check metrics` asks for; `make check-deploy` asks it itself."""
    text = Metrics().expose().decode()
    families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    for name, kind in families:
        assert name.endswith("_total") == (kind == "counter"), name
        assert re.search(rf"^# HELP {name} \S", text, re.MULTILINE), name


@pytest.mark.parametrize(
    ("upstream", "shown"),
    [
        ("http://user:secret@vllm:8000/v1", "http://vllm:8000/v1"),
        ("http://127.0.0.1:8000", f"http://127.0.0.1:8000 on {platform.node()}"),
        ("http://[::1]:8000", f"http://[::1]:8000 on {platform.node()}"),
        ("http://localhost", f"http://localhost on {platform.node()}"),
        ("unix:/run/vllm.sock", f"unix:/run/vllm.sock on {platform.node()}"),
    ],
)
def test_which_vllm_is_behind_it(upstream: str, shown: str) -> None:
    """Rules keep them apart by it; what is on loopback is another one on each machine."""
    settings = ServerSettings(upstream=upstream)
    assert (
        f'sse_proxy_upstream_info{{upstream="{shown}"}} 1.0\n' in Metrics(settings=settings).expose().decode()
    )
