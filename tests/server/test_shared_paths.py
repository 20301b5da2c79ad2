"""`/invocations`, one path for several families: the request's body says which of them it is meant for."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.support.chunk_streams import ROLE, text_of, wire
from tests.support.http import metric
from tests.support.upstream import json_answer, stream
from vllm_sse_proxy.families import CHAT, COMPLETIONS

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream
    from vllm_sse_proxy.families.chunks import ChunkFamily
    from vllm_sse_proxy.server.app import Server

PATH = "/invocations"
TOOLS = [{"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}]
ASKED_FOR_CHAT = orjson.dumps({"messages": [], "tools": TOOLS, "stream": True})
CUT = {CHAT: f'{ROLE}\n{{"content":"Hi"}}', COMPLETIONS: '"Hi"'}


@pytest.mark.parametrize(
    ("body", "family"),
    [
        ({"messages": [{"role": "user", "content": "Hi"}], "stream": True}, CHAT),
        ({"messages": [], "prompt": "vLLM tries chat first"}, CHAT),
        ({"prompt": "Hi", "stream": True}, COMPLETIONS),
        ({"prompt_embeds": "AAAA", "stream": True}, COMPLETIONS),
    ],
)
async def test_the_body_says_the_family(
    upstream: FakeUpstream, proxy: Server, connect: Connect, body: dict[str, object], family: ChunkFamily
) -> None:
    upstream.answer(*stream(wire(CUT[family], family)))
    client = await connect(proxy)
    await client.post(PATH, sent := orjson.dumps(body))
    got = await client.answer()
    assert b'"error"' in got.body
    assert got.body.endswith(b"data: [DONE]\n\n")
    assert metric(proxy, "streams_total", family=family.name, ending="truncated") == 1
    assert metric(proxy, "requests_total", route="invocations", code="2xx") == 1
    assert (await upstream.next_request()).body == sent


async def test_the_repairs_know_the_request(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    text = orjson.dumps('<tool_call>{"name": "get_time", "arguments": {}}</tool_call>').decode()
    upstream.answer(*stream(wire(f'{ROLE}\n{{"content":{text}}}\n{{}} -> stop\n[DONE]', CHAT)))
    client = await connect(proxy)
    await client.post(PATH, ASKED_FOR_CHAT)
    assert text_of((await client.answer()).body).endswith("{} -> tool_calls\n[DONE]")


@pytest.mark.parametrize(
    "body", [b'{"input": "embed me"}', b"[]", b"not JSON", gzip.compress(ASKED_FOR_CHAT)]
)
async def test_what_is_in_no_family_passes_through(
    upstream: FakeUpstream, proxy: Server, connect: Connect, body: bytes
) -> None:
    whole = wire(CUT[CHAT], CHAT)
    client = await connect(proxy)
    headers = ["Content-Encoding: gzip"] if body.startswith(b"\x1f") else []
    upstream.answer(*stream(whole))
    await client.post(PATH, body, *headers)
    assert (await client.answer()).body == whole
    assert (await upstream.next_request()).body == body
    upstream.answer(*json_answer({"data": []}))
    await client.post(PATH, body, *headers)
    assert (await client.answer()).body == b'{"data":[]}'
    assert metric(proxy, "requests_total", route="invocations", code="2xx") == 2


async def test_a_body_that_is_too_large_to_read_passes_through(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(max_request_body_inspect_bytes=8)
    upstream.answer(*stream(whole := wire(CUT[CHAT], CHAT)))
    client = await connect(proxy)
    await client.post(PATH, ASKED_FOR_CHAT)
    assert (await client.answer()).body == whole
    assert (await upstream.next_request()).body == ASKED_FOR_CHAT


async def test_a_body_that_is_missing_passes_through(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    upstream.answer(*json_answer({"detail": "a body is required"}, status=422))
    client = await connect(proxy)
    await client.post(PATH, b"")
    assert (await client.answer()).status == 422
