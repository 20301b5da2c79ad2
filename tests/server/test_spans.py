"""One span for each stream, and nothing at all where spans are off."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.http import RawClient
from tests.support.upstream import Chunk, Cut, FakeUpstream, Head, Wait, answer, json_answer, stream
from tests.support.whole_stream import BODY, CREATED, WHOLE
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.server import spans as module
from vllm_sse_proxy.server.spans import StreamSpans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.sdk.trace import ReadableSpan

    from tests.server.conftest import Connect
    from tests.support.upstream import Step
    from vllm_sse_proxy.server.app import Server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"traceparent: 00-{TRACE}-{PARENT}-01"


@pytest.fixture
def exporter(proxy: Server) -> InMemorySpanExporter:
    """Have the proxy's spans kept in memory."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    assert proxy.gateway is not None
    proxy.gateway.spans = StreamSpans(provider)
    return memory


async def asked(
    connect: Connect, proxy: Server, *headers: str, target: str = "/v1/responses", body: bytes = BODY
) -> None:
    client = await connect(proxy)
    await client.post(target, body, "Connection: close", *headers)
    await client.answer()
    assert await client.closed()


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_stream_is_a_span(
    upstream: FakeUpstream, proxy: Server, connect: Connect, exporter: InMemorySpanExporter
) -> None:
    upstream.answer(*stream(*WHOLE))
    await asked(
        connect, proxy, TRACEPARENT, "tracestate: vendor=1", "User-Agent: codex", "X-Request-Id: one",
        target="/v1/responses?key=secret",
    )  # fmt: skip
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("stream responses", SpanKind.SERVER)
    assert span.status.status_code is StatusCode.UNSET
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.context.trace_state.get("vendor") == "1"
    found = attributes_of(span)
    assert found == {
        "sse_proxy.family": "responses",
        "sse_proxy.ending": "completed",
        "sse_proxy.repairs": (),
        "sse_proxy.request_id": "one",
        "sse_proxy.events_in": found["sse_proxy.events_in"],
        "sse_proxy.events_out": found["sse_proxy.events_in"],
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/responses",
        "client.address": "127.0.0.1",
        "user_agent.original": "codex",
        "gen_ai.request.model": "m",
    }
    (first,) = span.events
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= first.timestamp <= span.end_time
    assert (await upstream.next_request()).value("traceparent") == TRACEPARENT.partition(": ")[2]


async def test_repairs_and_a_bad_end(
    upstream: FakeUpstream, proxy: Server, connect: Connect, exporter: InMemorySpanExporter
) -> None:
    delta = b'{"type":"response.output_text.delta","item_id":"x","output_index":0,"content_index":0,"delta":{"text":"a"}}'
    upstream.answer(Head(), Chunk(CREATED), Chunk(b"data: " + delta + b"\n\n"), Cut())
    await asked(connect, proxy)
    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "cut")
    assert span.parent is None
    found = attributes_of(span)
    assert "string_deltas" in found["sse_proxy.repairs"]
    assert all(found[f"sse_proxy.repair.{name}"] > 0 for name in found["sse_proxy.repairs"])


async def test_a_stream_that_failed_before_it_began(
    upstream: FakeUpstream, proxy: Server, connect: Connect, exporter: InMemorySpanExporter
) -> None:
    upstream.answer(Head(), Cut())
    await asked(connect, proxy)
    (span,) = exporter.get_finished_spans()
    assert attributes_of(span)["http.response.status_code"] == 502
    assert not span.events


async def test_other_families(
    upstream: FakeUpstream, proxy: Server, connect: Connect, exporter: InMemorySpanExporter
) -> None:
    upstream.answer(*stream(b"data: [DONE]\n\n"))
    await asked(connect, proxy, target="/v1/chat/completions", body=b'{"model":"m","stream":true}')
    assert [span.name for span in exporter.get_finished_spans()] == ["stream chat"]


@pytest.mark.parametrize(
    "steps", [json_answer({"object": "list"}), answer(b"no", status=404, reason="Not Found"), (Cut(),)]
)
async def test_what_is_no_stream_is_no_span(
    upstream: FakeUpstream,
    proxy: Server,
    connect: Connect,
    exporter: InMemorySpanExporter,
    steps: tuple[Step, ...],
) -> None:
    upstream.answer(*steps)
    await asked(connect, proxy)
    assert not exporter.get_finished_spans()


@pytest.mark.parametrize(
    "headers",
    [
        ("traceparent: nonsense",),
        (f"traceparent: 00-{'0' * 32}-{PARENT}-01",),
        (TRACEPARENT, TRACEPARENT.replace(PARENT, "1" * 16)),
        ("traceparent: ü",),
    ],
)
async def test_a_context_that_is_none(
    upstream: FakeUpstream,
    proxy: Server,
    connect: Connect,
    exporter: InMemorySpanExporter,
    headers: tuple[str, ...],
) -> None:
    upstream.answer(*stream(*WHOLE))
    await asked(connect, proxy, *headers)
    (span,) = exporter.get_finished_spans()
    assert span.parent is None


async def test_a_trace_that_is_not_sampled(
    upstream: FakeUpstream, proxy: Server, connect: Connect, exporter: InMemorySpanExporter
) -> None:
    upstream.answer(*stream(*WHOLE))
    await asked(connect, proxy, TRACEPARENT.removesuffix("01") + "00")
    assert not exporter.get_finished_spans()


async def test_a_span_that_cannot_be_made_fails_nobody(
    upstream: FakeUpstream,
    proxy: Server,
    connect: Connect,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(module, "_attributes", fail)
    upstream.answer(*stream(*WHOLE))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY, "Connection: close")
    assert (await client.answer()).status == 200
    assert await client.closed()
    assert "span not made" in caplog.text
    assert not exporter.get_finished_spans()


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--upstream", "http://h", "--port", "0", "--admin-port", "0")

    def missing(name: str) -> object:
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(name)
        return object()

    monkeypatch.setattr(module, "find_spec", missing)
    assert main(["config", "check", *flags]) == 0
    capsys.readouterr()
    for command in (["serve"], ["serve", "--workers", "2"], ["config", "check"]):
        assert main([*command, *flags, "--otel"]) == 2
        assert capsys.readouterr().err == (
            "vllm-sse-proxy: otel: needs OpenTelemetry's packages: pip install 'vllm-sse-proxy[otel]'\n"
        )


def test_nothing_is_imported_while_it_is_off() -> None:
    program = (
        "import asyncio, sys\n"
        "from vllm_sse_proxy.config import ServerSettings\n"
        "from vllm_sse_proxy.server.app import Server\n"
        "async def run():\n"
        "    server = Server(ServerSettings(upstream='http://h', port=0, admin_port=0))\n"
        "    await server.start()\n"
        "    await server.stop()\n"
        "asyncio.run(run())\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


@asynccontextmanager
async def serving(
    upstream: FakeUpstream, **variables: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, RawClient]]:
    """Run the proxy as users do, with spans on; gives the process and a client."""
    prefixes = ("SSE_PROXY_", "OTEL_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vllm_sse_proxy", "serve", "--upstream", upstream.url, "--otel"),
        *("--port", "0", "--admin-port", "0", "--no-look-at-upstream", "--drain-delay-seconds", "0"),
        stdout=asyncio.subprocess.PIPE,
        env={**environment, **variables},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            started = orjson.loads(await process.stdout.readline())
            client = await RawClient.connect(int(started["address"].rpartition(":")[2]))
            yield process, client
            client.leave()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    "variables", [{}, {"OTEL_SERVICE_NAME": "mine"}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine"}]
)
async def test_spans_reach_a_collector(upstream: FakeUpstream, variables: dict[str, str]) -> None:
    """The exporter speaks OTLP over HTTP, and the last span leaves before the process ends."""
    async with (
        FakeUpstream() as collector,
        serving(upstream, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **variables) as (process, client),
    ):
        upstream.answer(*stream(*WHOLE))
        await client.post("/v1/responses", BODY, TRACEPARENT)
        await client.answer()
        process.terminate()
        assert await process.wait() == 0
        seen = await collector.next_request()
    assert seen.target == b"/v1/traces"
    body = gzip.decompress(seen.body) if seen.value("Content-Encoding") == "gzip" else seen.body
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    about = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert about["service.name"] == ("mine" if variables else "vllm-sse-proxy")
    (span,) = resource.scope_spans[0].spans
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("stream responses", TRACE, PARENT)


async def test_a_collector_that_does_not_answer_holds_up_nobody(upstream: FakeUpstream) -> None:
    async with (
        FakeUpstream() as collector,
        serving(upstream, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_TIMEOUT="1") as (
            process,
            client,
        ),
    ):
        collector.answer(Wait(asyncio.Event()))
        upstream.answer(*stream(*WHOLE))
        await client.post("/v1/responses", BODY)
        assert (await client.answer()).status == 200
        process.terminate()
        assert await process.wait() == 0
