"""Chat completions and completions through the whole proxy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.support.chunk_streams import JUDGES, REQUEST, ROLE, text_of, wire
from tests.support.http import metric
from tests.support.upstream import Chunk, Cut, End, Head, Raw, Reset, Wait, stream
from vllm_sse_proxy.families import CHAT, COMPLETIONS

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream, Step
    from vllm_sse_proxy.families.chunks import ChunkFamily
    from vllm_sse_proxy.server.app import Server

CHAT_PATH, COMPLETIONS_PATH = "/v1/chat/completions", "/v1/completions"
BODY = orjson.dumps(REQUEST)
BEGUN = {CHAT_PATH: f'{ROLE}\n{{"content":"Hi"}}', COMPLETIONS_PATH: '"Hi"'}
FAMILY: dict[str, ChunkFamily] = {CHAT_PATH: CHAT, COMPLETIONS_PATH: COMPLETIONS}
BOTH = pytest.mark.parametrize("path", [CHAT_PATH, COMPLETIONS_PATH])
FINISH = {CHAT_PATH: "{} -> stop\n[DONE]", COMPLETIONS_PATH: '"" -> stop\n[DONE]'}


def frames(path: str, text: str) -> list[bytes]:
    return [frame + b"\n\n" for frame in wire(text, FAMILY[path]).split(b"\n\n") if frame]


@BOTH
async def test_a_conforming_stream_is_unchanged(
    upstream: FakeUpstream, proxy: Server, connect: Connect, path: str
) -> None:
    whole = frames(path, f"{BEGUN[path]}\n{FINISH[path]}")
    upstream.answer(*stream(*whole))
    client = await connect(proxy)
    await client.post(path, BODY)
    got = await client.answer()
    assert (got.status, got.body, got.complete) == (200, b"".join(whole), True)
    assert metric(proxy, "streams_total", ending="completed") == 1


async def test_the_request_says_which_tools_there_are(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    text = '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'
    upstream.answer(
        *stream(
            *frames(CHAT_PATH, f'{ROLE}\n{{"content":{orjson.dumps(text).decode()}}}\n{FINISH[CHAT_PATH]}')
        )
    )
    client = await connect(proxy)
    await client.post(CHAT_PATH, BODY)
    got = (await client.answer()).body
    assert text_of(got).endswith("{} -> tool_calls\n[DONE]")
    assert metric(proxy, "repairs_total", repair="call_texts") == 1
    assert (await upstream.next_request()).body == BODY


@BOTH
@pytest.mark.parametrize(
    ("last", "ending"),
    [(End(), "truncated"), (Cut(), "cut"), (Reset(), "reset"), (Raw(b"nonsense\r\n"), "cut")],
)
async def test_every_bad_end_is_an_error_in_the_stream(
    upstream: FakeUpstream, proxy: Server, connect: Connect, path: str, last: Step, ending: str
) -> None:
    go_on = asyncio.Event()
    upstream.answer(Head(), *map(Chunk, frames(path, BEGUN[path])), Wait(go_on), last)
    client = await connect(proxy)
    await client.post(path, BODY)
    await client.head()
    got = await client.until(b"Hi")
    go_on.set()
    got += await client.rest()
    assert text_of(got, FAMILY[path]).startswith(f'{BEGUN[path]}\n! {{"error":')
    assert got.endswith(b'"code":502}}\n\ndata: [DONE]\n\n')
    assert not JUDGES[FAMILY[path].name](got)
    assert metric(proxy, "streams_total", ending=ending) == 1


@BOTH
@pytest.mark.parametrize(
    ("steps", "status", "ending"),
    [
        ((Head(), End()), 502, "empty"),
        ((Head(), Chunk(b"data: [DONE]\n\n"), End()), 502, "empty"),
        (
            (
                Head(),
                Chunk(
                    b'data: {"error":{"message":"too long","type":"BadRequestError","param":null,"code":400}}\n\ndata: [DONE]\n\n'
                ),
                End(),
            ),
            400,
            "upstream_error",
        ),
    ],
)
async def test_nothing_sent_yet_is_an_http_error(
    upstream: FakeUpstream,
    proxy: Server,
    connect: Connect,
    path: str,
    steps: tuple[Step, ...],
    status: int,
    ending: str,
) -> None:
    upstream.answer(*steps)
    client = await connect(proxy)
    await client.post(path, BODY)
    got = await client.answer()
    assert (got.status, got.value("Content-Type")) == (status, "application/json")
    error = orjson.loads(got.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == (400 if status == 400 else "upstream_truncated")
    assert metric(proxy, "streams_total", ending=ending) == 1


@BOTH
async def test_silence_ends_a_stream_and_comments_keep_it_alive(
    upstream: FakeUpstream, start: Start, connect: Connect, path: str
) -> None:
    proxy = await start(idle_timeout_seconds=0.3, keepalive_seconds=0.02, keepalive="event")
    upstream.answer(Head(), *map(Chunk, frames(path, BEGUN[path])), Wait(asyncio.Event()))
    client = await connect(proxy)
    await client.post(path, BODY)
    got = await client.answer()
    assert b": keep-alive\n\n" in got.body
    assert got.body.endswith(b'"code":504}}\n\ndata: [DONE]\n\n')
    assert metric(proxy, "streams_total", ending="idle_timeout") == 1


async def test_a_stream_ends_with_done_whatever_upstream_does_then(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    upstream.answer(
        Head(),
        *map(Chunk, frames(CHAT_PATH, f"{BEGUN[CHAT_PATH]}\n{FINISH[CHAT_PATH]}")),
        Wait(asyncio.Event()),
    )
    client = await connect(proxy)
    await client.post(CHAT_PATH, BODY)
    got = await client.answer()
    assert got.complete
    assert got.body.endswith(b"data: [DONE]\n\n")
    async with asyncio.timeout(5):
        await (await upstream.next_request()).closed.wait()


async def test_an_answer_that_is_not_streamed_passes(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    client = await connect(proxy)
    await client.post(CHAT_PATH, orjson.dumps({**REQUEST, "stream": False}))
    assert (await client.answer()).status == 200


async def test_reasoning_is_named_as_the_setting_says(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    text = f'{ROLE}\n{{"reasoning":"r"}}\n{{}} -> stop\n[DONE]'
    for setting, expected in (
        ("reasoning_content", '{"reasoning_content":"r"}'),
        ("upstream", '{"reasoning":"r"}'),
    ):
        proxy = await start(chat_reasoning=setting)
        upstream.answer(*stream(*frames(CHAT_PATH, text)))
        client = await connect(proxy)
        await client.post(CHAT_PATH, BODY)
        assert text_of((await client.answer()).body).split("\n")[1] == expected
