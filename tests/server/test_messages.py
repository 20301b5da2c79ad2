"""Streams of `/v1/messages` through the shell: what the client gets when upstream fails, before and after the first event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.http import metric
from tests.support.messages import wire
from tests.support.upstream import Chunk, Cut, End, Head, Wait, json_answer, stream

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream, Step

BODY = orjson.dumps({"model": "m", "stream": True, "max_tokens": 9, "messages": [], "tools": [
    {"name": "look", "input_schema": {"required": ["a"]}}]})  # fmt: skip
BEGUN = wire("start\ntext 0\ntext+ 0 Hi")
EVENT_STREAM = Head(headers=(("Content-Type", "text/event-stream"),))


async def asked(
    upstream: FakeUpstream, start: Start, connect: Connect, *steps: Step, **settings: Any
) -> tuple[int, bytes, Any]:
    """Return status, body and proxy of an answer to a streamed request."""
    proxy = await start(**settings)
    client = await connect(proxy)
    upstream.answer(*steps)
    await client.post("/v1/messages", BODY)
    got = await client.answer()
    return got.status, got.body, proxy


@pytest.mark.parametrize(
    ("report", "status", "type_"),
    [
        ('{"type":"error","error":{"type":"internal_error","message":"m"}}', 500, "api_error"),
        ('{"type":"error","error":{"type":"overloaded_error","message":"m"}}', 503, "overloaded_error"),
        ('data: {"error":{"message":"m","type":"BadRequestError","code":400}}', 400, "invalid_request_error"),
        ("over", 500, "api_error"),
        ("data: [DONE]", 502, "api_error"),
        (": ping", 502, "api_error"),
    ],
)
async def test_what_fails_before_the_first_event_is_an_http_error(
    upstream: FakeUpstream, start: Start, connect: Connect, report: str, status: int, type_: str
) -> None:
    got, body, proxy = await asked(upstream, start, connect, *stream(wire(report)))
    document = orjson.loads(body)
    assert got == status
    assert document["type"] == "error"
    assert document["error"]["type"] == type_
    assert document["error"]["message"]
    assert metric(proxy, "requests_total", route="messages", code=f"{status // 100}xx") == 1


async def test_what_breaks_after_it_ends_as_an_event(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    got, body, proxy = await asked(upstream, start, connect, EVENT_STREAM, Chunk(BEGUN), Cut())
    assert got == 200
    assert body.startswith(BEGUN)
    assert body.removeprefix(BEGUN).startswith(
        b'event: error\ndata: {"type":"error","error":{"type":"api_error"'
    )
    assert metric(proxy, "streams_total", family="messages", ending="cut") == 1


async def test_silence_ends_as_a_timeout(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    got, body, _ = await asked(
        upstream, start, connect, EVENT_STREAM, Chunk(BEGUN), Wait(asyncio.Event()), idle_timeout_seconds=0.2
    )
    assert got == 200
    assert b'"type":"timeout_error"' in body


async def test_the_request_says_what_a_call_requires(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    _, body, _ = await asked(
        upstream, start, connect, *stream(wire("start\ncall 0 x look\nstop 0\nend tool_use\nover"))
    )
    assert b"content_block_stop" not in body
    assert b"event: error" in body


async def test_the_stream_ends_with_its_last_event(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    whole = BEGUN + wire("stop 0\nend end_turn\nover")
    _, body, _ = await asked(
        upstream, start, connect, EVENT_STREAM, Chunk(whole + b"data: [DONE]\n\n"), End()
    )
    assert body == whole


async def test_other_answers_pass(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    document = {"error": {"message": "m", "type": "Bad Request", "param": None, "code": 400}}
    got, body, _ = await asked(
        upstream, start, connect, *json_answer(document, status=400, reason="Bad Request")
    )
    assert (got, orjson.loads(body)) == (400, document)


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
async def test_audio_is_not_read(upstream: FakeUpstream, start: Start, connect: Connect, path: str) -> None:
    """Its requests are forms with a file in them; the answer is repaired all the same."""
    proxy = await start()
    client = await connect(proxy)
    assert proxy.gateway is not None
    route = proxy.gateway.routes.find("POST", path, "")
    assert (route.handler is None, route.reads_body) == (False, False)
    head = b'data: {"id":"t","object":"transcription.chunk","created":1,"model":"m","choices":'
    chunk = head + b'[{"delta":{"content":"Hi"}}]}\n\n'
    upstream.answer(EVENT_STREAM, Chunk(chunk), Cut())
    await client.post(path, b"--x\r\n\r\n--x--")
    got = await client.answer()
    assert got.body.startswith(chunk)
    assert got.body.endswith(b'"code":502}}\n\ndata: [DONE]\n\n')
