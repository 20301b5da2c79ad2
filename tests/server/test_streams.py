"""Responses streams on their way: which are repaired, what the client gets when, and what each end of the body means."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.compiled import python_core
from tests.support.http import metric
from tests.support.upstream import (
    PATIENCE_SECONDS,
    Chunk,
    Cut,
    End,
    Head,
    Raw,
    Reached,
    Reset,
    Wait,
    answer,
    json_answer,
    stream,
)
from tests.support.whole_stream import BODY, CREATED, DELTA, DONE, WHOLE
from vllm_sse_proxy.families.responses.conformance import check_stream
from vllm_sse_proxy.families.responses.family import Responses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream, Step
    from vllm_sse_proxy.server.app import Server
    from vllm_sse_proxy.stream.context import RequestContext


async def test_a_conforming_stream_is_unchanged(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    upstream.answer(
        *stream(*WHOLE, headers=[("X-Custom", "1"), ("Cache-Control", "max-age=9"), ("ETag", "x")])
    )
    client = await connect(proxy)
    await client.post("/v1/responses", BODY, "Accept-Encoding: gzip", "X-Request-Id: id-1")
    got = await client.answer()
    assert got.body == b"".join(WHOLE)
    assert check_stream(got.body) == []
    assert [(name, value) for name, value in got.headers if name != "Date"] == [
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("X-Custom", "1"),
        ("Cache-Control", "no-cache, no-transform"),
        ("X-Accel-Buffering", "no"),
        ("X-Request-Id", "id-1"),
        ("Transfer-Encoding", "chunked"),
    ]
    seen = await upstream.next_request()
    assert (seen.body, seen.value("Accept-Encoding")) == (BODY, "identity")
    assert metric(proxy, "streams_total", ending="completed") == 1
    assert metric(proxy, "events_total", direction="in") == 9
    assert metric(proxy, "streams_repaired_total") == 0
    assert metric(proxy, "streams_in_flight") == 0
    assert metric(proxy, "time_to_first_event_seconds_count") == 1
    assert 1 <= metric(proxy, "chunk_processing_seconds_count") <= len(WHOLE)
    assert 0 < metric(proxy, "chunk_processing_seconds_sum") < PATIENCE_SECONDS


async def test_a_broken_stream_is_repaired(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    broken = DELTA.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}')
    upstream.answer(*stream(*WHOLE[:4], broken, *WHOLE[5:]))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    assert (await client.answer()).body == b"".join(WHOLE)
    assert metric(proxy, "repairs_total", repair="string_deltas") == 1
    assert metric(proxy, "streams_repaired_total") == 1


@python_core
async def test_an_open_stream_does_not_hold_the_requests_input(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    """An agent's history takes three times its bytes as objects: 290 KiB for each stream, seen with requests of 92 KiB."""
    contexts: list[RequestContext] = []

    class Noting(Responses):
        def context(self, resource: str, body: Mapping[str, Any] | None) -> RequestContext:
            contexts.append(super().context(resource, body))
            return contexts[-1]

    proxy = await start((Noting(),))
    upstream.answer(*stream(*WHOLE))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    assert (await client.answer()).body == b"".join(WHOLE)
    asked_for = {name: value for name, value in orjson.loads(BODY).items() if name != "input"}
    assert "input" in orjson.loads(BODY)
    assert [context.body for context in contexts] == [None, asked_for]
    assert (await upstream.next_request()).body == BODY


async def test_events_are_passed_on_as_they_come(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    gates = [asyncio.Event() for _ in WHOLE]
    steps: list[Step] = [Head()]
    for gate, frame in zip(gates, WHOLE, strict=True):
        steps += [Wait(gate), Chunk(frame)]
    upstream.answer(*steps)
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    gates[0].set()
    await client.head()
    last = WHOLE.index(DELTA)
    for gate, frame in zip(gates[: last + 1], WHOLE[: last + 1], strict=True):
        gate.set()
        assert await client.chunk() == frame
    for gate in gates[last + 1 :]:  # a closing may be held until the next event shows that it is right
        gate.set()
    assert await client.rest() == b"".join(WHOLE[last + 1 :])


async def test_the_body_ends_at_the_terminal_event(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    never = asyncio.Event()
    upstream.answer(Head(), *map(Chunk, WHOLE[:-1]), Wait(never))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    got = await client.answer()
    assert (got.body, got.complete) == (b"".join(WHOLE), True)
    seen = await upstream.next_request()
    async with asyncio.timeout(5):
        await seen.closed.wait()
    await client.get("/x")  # the client's connection is as good as before
    assert (await client.answer()).status == 200


async def test_a_whole_body_leaves_upstreams_connection_in_the_pool(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    everything = b"".join(WHOLE)
    upstream.answer(Head(), Raw(b"%x\r\n%b\r\n0\r\n\r\n" % (len(everything), everything)))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    assert (await client.answer()).body == everything
    await client.get("/x")
    await client.answer()
    assert upstream.connections == 1


@pytest.mark.parametrize(
    ("last", "ending", "cause"),
    [
        (End(), "truncated", None),
        (Cut(), "cut", "cut"),
        (Reset(), "reset", "reset"),
        (Raw(b"nonsense\r\n"), "cut", "cut"),
    ],
)
async def test_every_bad_end_is_reported(
    upstream: FakeUpstream, proxy: Server, connect: Connect, last: Step, ending: str, cause: str | None
) -> None:
    go_on = asyncio.Event()
    upstream.answer(Head(), *map(Chunk, WHOLE[:5]), Wait(go_on), last)
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    await client.head()
    got = await client.until(DELTA)
    go_on.set()
    got += await client.rest()
    assert b"event: response.failed\n" in got
    assert got.endswith(DONE)
    assert check_stream(got) == []
    assert metric(proxy, "streams_total", ending=ending) == 1
    if cause is not None:
        assert metric(proxy, "upstream_failures_total", **{"class": cause}) == 1


async def test_what_came_before_a_cut_is_not_lost(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    upstream.answer(Head(), Chunk(b"".join(WHOLE[:5])), Cut())
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    got = await client.answer()
    assert DELTA in got.body
    assert b"event: response.failed\n" in got.body
    assert got.complete


@pytest.mark.parametrize(
    ("steps", "status", "ending"),
    [
        ((Head(), End()), 502, "empty"),
        ((Head(), Chunk(b": only a comment\n\n"), Cut()), 502, "empty"),
        (
            (
                Head(),
                Chunk(b'data: {"error":{"message":"too long","type":"BadRequestError","code":400}}\n\n'),
                End(),
            ),
            400,
            "upstream_error",
        ),
    ],
)
async def test_nothing_sent_yet_is_an_http_error(
    upstream: FakeUpstream, proxy: Server, connect: Connect, steps: tuple[Step, ...], status: int, ending: str
) -> None:
    upstream.answer(*steps)
    client = await connect(proxy)
    await client.post("/v1/responses", BODY, "X-Request-Id: me")
    got = await client.answer()
    assert (got.status, got.value("Content-Type"), got.value("X-Request-Id")) == (
        status,
        "application/json",
        "me",
    )
    error = orjson.loads(got.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert got.value("X-SSE-Proxy-Error") == error["code"]
    assert metric(proxy, "streams_total", ending=ending) == 1
    assert metric(proxy, "requests_total", route="responses", code=f"{status // 100}xx") == 1


async def test_comments_before_the_first_event_commit_nothing(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    upstream.answer(*stream(b": ping\n\n", *WHOLE))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    assert (await client.answer()).body == b"".join(WHOLE)


async def test_silence_ends_a_stream(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    proxy = await start(idle_timeout_seconds=0.1)
    never = asyncio.Event()
    upstream.answer(Head(), *map(Chunk, WHOLE[:5]), Wait(never))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    got = await client.answer()
    assert b"event: response.failed\n" in got.body
    assert check_stream(got.body) == []
    assert metric(proxy, "streams_total", ending="idle_timeout") == 1
    async with asyncio.timeout(5):
        await (await upstream.next_request()).closed.wait()


async def test_silence_before_the_first_event_is_a_504_and_no_keep_alive_precedes_it(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(idle_timeout_seconds=0.2, keepalive_seconds=0.01)
    upstream.answer(Head(), Chunk(b": ping\n\n"), Wait(asyncio.Event()))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    assert (await client.answer()).status == 504
    assert metric(proxy, "keepalives_total") == 0
    assert metric(proxy, "upstream_failures_total", **{"class": "idle"}) == 1


async def test_silence_cuts_a_body_that_is_not_read(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(idle_timeout_seconds=0.1, keepalive_seconds=0.01)
    upstream.answer(Head(), Chunk(b"data: 1\n\n"), Wait(asyncio.Event()))
    client = await connect(proxy)
    await client.post("/inference/v1/generate", BODY)
    got = await client.answer()
    assert (got.body, got.complete) == (b"data: 1\n\n", False)


@pytest.mark.parametrize(
    ("setting", "frame"),
    [
        ("comment", b": keep-alive\n\n"),
        ("event", b'event: keepalive\ndata: {"type":"keepalive","sequence_number":4}\n\n'),
    ],
)
async def test_keep_alive(
    upstream: FakeUpstream, start: Start, connect: Connect, setting: str, frame: bytes
) -> None:
    proxy = await start(keepalive_seconds=0.05, keepalive=setting)
    go_on = asyncio.Event()
    upstream.answer(Head(), Chunk(b"".join(WHOLE[:5])), Wait(go_on), *map(Chunk, WHOLE[5:]), End())
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    await client.head()
    assert await client.chunk() == b"".join(WHOLE[:5])
    assert await client.chunk() == frame
    assert await client.chunk() == frame
    go_on.set()
    rest = await client.rest()
    assert rest.replace(frame, b"") == b"".join(WHOLE[5:])
    assert metric(proxy, "keepalives_total") >= 2


async def test_observe_mode_changes_nothing(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    proxy = await start(mode="observe", keepalive_seconds=0.01)
    broken = (*WHOLE[:4], DELTA.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}'))
    quiet = asyncio.Event()
    upstream.answer(Head(), *map(Chunk, broken), Wait(quiet), *map(Chunk, WHOLE[5:]), End())
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    await client.head()
    got = b""
    while not got.endswith(broken[-1]):
        got += await client.chunk()
    quiet.set()
    got += await client.rest()
    assert got == b"".join((*broken, *WHOLE[5:]))
    assert metric(proxy, "repairs_total", repair="string_deltas") == 1
    assert metric(proxy, "keepalives_total") == 0
    events = len(WHOLE) - 1  # without [DONE]
    assert metric(proxy, "events_total", direction="in") == events
    assert metric(proxy, "events_total", direction="out") == events
    assert metric(proxy, "config_info", mode="observe", dialect="openai") == 1


async def test_observe_mode_leaves_a_resumed_stream_to_upstream(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    """It cuts nothing off, so upstream must."""
    proxy = await start(mode="observe")
    upstream.answer(*stream(*WHOLE[5:]))
    client = await connect(proxy)
    await client.get("/v1/responses/resp_1?stream=true&starting_after=4")
    assert (await client.answer()).body == b"".join(WHOLE[5:])
    assert (await upstream.next_request()).target == b"/v1/responses/resp_1?stream=true&starting_after=4"


async def test_observe_mode_shows_a_cut_as_a_cut(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(mode="observe")
    upstream.answer(Head(), *map(Chunk, WHOLE[:5]), Cut())
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    got = await client.answer()
    assert (got.body, got.complete) == (b"".join(WHOLE[:5]), False)
    assert metric(proxy, "streams_total", ending="cut") == 1


@pytest.mark.parametrize(
    ("asked", "sent", "first"),
    [
        ("?stream=true", "?stream=true", 0),
        ("?stream=true&starting_after=4", "?stream=true", 5),
        ("?starting_after=4&stream=1&include=%61", "?stream=1&include=%61", 5),
        ("?a&starting%5Fafter=0&stream=True&b=", "?a&stream=True&b=", 1),
        ("?stream=true&starting_after=four", "?stream=true&starting_after=four", 0),
    ],
)
async def test_resume(
    upstream: FakeUpstream, proxy: Server, connect: Connect, asked: str, sent: str, first: int
) -> None:
    upstream.answer(*stream(*WHOLE))
    client = await connect(proxy)
    await client.get("/v1/responses/resp_1" + asked)
    assert (await client.answer()).body == b"".join(WHOLE[first:])
    seen = await upstream.next_request()
    assert seen.target == b"/v1/responses/resp_1" + sent.encode()
    assert seen.value("Accept-Encoding") == "identity"
    assert metric(proxy, "requests_total", route="responses_get", code="2xx") == 1


async def test_any_replica_serves_a_resume(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    """What operators scale by: no replica knows anything of a request that another one has answered."""
    broken = [frame.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}') for frame in WHOLE]
    one, other = await start(), await start()
    upstream.answer(*stream(*broken))
    whole = await connect(one)
    await whole.get("/v1/responses/resp_1?stream=true")
    expected = (await whole.answer()).body
    frames = [frame + b"\n\n" for frame in expected.split(b"\n\n") if frame]
    seen = 4
    upstream.answer(*stream(*broken))
    resumed = await connect(other)
    await resumed.get(f"/v1/responses/resp_1?stream=true&starting_after={seen - 1}")
    assert (await resumed.answer()).body == b"".join(frames[seen:])
    assert metric(other, "streams_repaired_total") == 1


@pytest.mark.parametrize(
    "target",
    [
        "/v1/responses/resp_1",
        "/v1/responses/resp_1?stream=false&starting_after=1",
        "/v1/responses/resp_1/x?stream=1",
    ],
)
async def test_who_is_not_repaired(
    upstream: FakeUpstream, proxy: Server, connect: Connect, target: str
) -> None:
    upstream.answer(*stream(DELTA))
    client = await connect(proxy)
    await client.get(target)
    assert (await client.answer()).body == DELTA
    assert (await upstream.next_request()).target == target.encode()


@pytest.mark.parametrize(
    "steps",
    [
        json_answer({"id": "resp_1", "output": []}),
        json_answer({"error": {"message": "no"}}, status=400, reason="Bad Request"),
        answer(DELTA, status=503, headers=[("Content-Type", "text/event-stream")]),
        answer(b"\x1f\x8b", headers=[("Content-Type", "text/event-stream"), ("Content-Encoding", "gzip")]),
    ],
)
async def test_other_answers_cross_untouched(
    upstream: FakeUpstream, proxy: Server, connect: Connect, steps: tuple[Head, Raw]
) -> None:
    upstream.answer(*steps)
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    got = await client.answer()
    assert (got.status, got.body) == (steps[0].status, steps[1].data)
    assert metric(proxy, "streams_total", ending="failed") == 0


async def test_parameters_of_the_media_type_do_not_matter(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    upstream.answer(
        Head(headers=(("Content-Type", 'Text/Event-Stream;charset="UTF-8"; x=1'),)),
        *map(Chunk, WHOLE[:-1]),
        End(),
    )
    client = await connect(proxy)
    await client.post("/v1/%72esponses", BODY)
    got = await client.answer()
    assert got.body == b"".join(WHOLE)
    assert got.value("Content-Type") == 'Text/Event-Stream;charset="UTF-8"; x=1'
    assert (await upstream.next_request()).target == b"/v1/%72esponses"


@pytest.mark.parametrize("limit", [0, 10, len(BODY) - 1, len(BODY)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_reach_upstream_whole_whatever_is_read(
    upstream: FakeUpstream, start: Start, connect: Connect, limit: int, *, chunked: bool
) -> None:
    proxy = await start(max_request_body_inspect_bytes=limit)
    upstream.answer(*stream(*WHOLE))
    client = await connect(proxy)
    if chunked:
        pieces = b"".join(b"%x\r\n%b\r\n" % (1, BODY[at : at + 1]) for at in range(len(BODY)))
        await client.send(
            b"POST /v1/responses HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n"
            % pieces
        )
    else:
        await client.post("/v1/responses", BODY)
    assert (await client.answer()).body == b"".join(WHOLE)
    seen = await upstream.next_request()
    assert seen.body == BODY
    assert len(seen.values("Content-Length") + seen.values("Transfer-Encoding")) == 1


async def test_a_large_inspected_body(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    body = b'{"stream":true,"input":"' + b"x" * 3_000_000 + b'"}'
    upstream.answer(*stream(*WHOLE))
    client = await connect(proxy)
    await client.post("/v1/responses", body)
    assert (await client.answer()).body == b"".join(WHOLE)
    assert (await upstream.next_request()).body == body


async def test_a_slow_client_slows_upstream_down(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start()
    sent_all = asyncio.Event()
    piece = b": " + b"x" * 65_000 + b"\n\n"
    pieces = 1_000  # 65 MB: far more than all buffers on the way hold
    upstream.answer(
        Head(), Chunk(CREATED), *([Chunk(piece)] * pieces), Reached(sent_all), *map(Chunk, WHOLE[1:]), End()
    )
    client = await connect(proxy, limit=1024)
    await client.post("/v1/responses", BODY)
    async with asyncio.timeout(10):
        await client.reader.readuntil(b"\r\n\r\n")
        # Nothing is read from here on; once nothing moves any more, upstream must have been stopped.
        before = -1
        while (now := metric_bytes(proxy)) != before:
            before = now
            for _ in range(200):
                await asyncio.sleep(0)
    assert not sent_all.is_set()
    assert before < 20_000_000


def metric_bytes(proxy: Server) -> int:
    """Return how much of the only open answer was read from upstream."""
    assert proxy.gateway is not None
    return sum(exchange.bytes_in for exchange in proxy.gateway.open)
