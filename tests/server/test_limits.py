"""Each limit: what it stops, what the other side is sent, and that it is counted under its name."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.support.http import happens, metric, until_open
from tests.support.upstream import PATIENCE_SECONDS, Chunk, End, Head, Wait, stream
from tests.support.whole_stream import BODY, CREATED, DELTA, WHOLE, event, message, response
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.families.responses.conformance import check_stream
from vllm_sse_proxy.server import sockets
from vllm_sse_proxy.settings import Limit, ServerSettings, settings_of

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.http import Answer
    from tests.support.upstream import FakeUpstream
    from vllm_sse_proxy.server.app import Server


ROOT = Path(__file__).parents[2]
LIMITS = (*Limit, *(limit for family in FAMILIES for limit in family.limits))


def hits(server: Server) -> dict[str, float]:
    """Return the limits that were hit."""
    found = {limit: metric(server, "limits_hit_total", limit=limit) for limit in LIMITS}
    return {limit: count for limit, count in found.items() if count}


def assert_refused(got: Answer, status: int, code: str) -> None:
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (status, code)
    assert got.value("X-Request-Id")
    assert orjson.loads(got.body)["error"]["code"] == code


def test_each_is_a_setting_but_two() -> None:
    assert set(LIMITS) - set(settings_of(ServerSettings)) == {"max_unreadable_payloads", "max_unsent_items"}


@pytest.mark.parametrize("limit", LIMITS)
def test_each_is_documented(limit: str) -> None:
    section = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("\n## Limits\n")[2]
    assert f"`{limit}`" in section.partition("\n## ")[0]


def test_each_that_ends_a_stream_is_counted() -> None:
    """A limit that a normalizer names and its family does not has no series."""
    package = ROOT / "proxy" / "vllm_sse_proxy"
    named = {
        name
        for path in (package / "stream" / "normalizer.py", *(package / "families").rglob("family.py"))
        for name in re.findall(r"(?:\.limit =|return) \"(max_\w+)\"", path.read_text("utf-8"))
    }
    assert named == {limit for family in FAMILIES for limit in family.limits}


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n"])
async def test_a_head_that_does_not_end(start: Start, connect: Connect, begun: bytes) -> None:
    proxy = await start(request_head_timeout_seconds=0.1)
    client = await connect(proxy)
    await client.send(begun)
    assert_refused(await client.answer(), 408, "request_timeout")
    assert await client.closed()
    assert hits(proxy) == {"request_head_timeout_seconds": 1}


async def test_a_head_that_trickles_in(start: Start, connect: Connect) -> None:
    """Bytes that come buy no time: the end of the head has to."""
    proxy = await start(request_head_timeout_seconds=0.1)
    client = await connect(proxy)
    await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
    answer = asyncio.create_task(client.answer())
    while not answer.done():
        client.writer.write(b"x")
        await asyncio.sleep(0)
    assert_refused(await answer, 408, "request_timeout")


async def test_a_second_head_that_does_not_end(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(request_head_timeout_seconds=0.1)
    client = await connect(proxy)
    for _ in range(2):
        await client.get("/x")
        assert (await client.answer()).status == 200
    await client.send(b"GET ")
    assert_refused(await client.answer(), 408, "request_timeout")


async def test_a_head_that_comes_in_pieces_is_none_too_late(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(request_head_timeout_seconds=PATIENCE_SECONDS)
    client = await connect(proxy)
    for byte in b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n":
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.answer()).status == 200
    assert hits(proxy) == {}


async def test_no_head_limit(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    proxy = await start(request_head_timeout_seconds=0)
    client = await connect(proxy)
    await client.send(b"GET /x HTTP/1.1\r\n")
    await client.send(b"Host: a\r\n\r\n")
    assert (await client.answer()).status == 200


async def test_an_unused_connection(start: Start, connect: Connect) -> None:
    proxy = await start(client_idle_seconds=0.1)
    client = await connect(proxy)
    assert await client.closed()
    assert hits(proxy) == {}


async def test_a_head_that_is_too_large_as_a_whole(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(max_header_bytes=1000)
    client = await connect(proxy)
    await client.get("/x", *[f"X-{number}: {'x' * 80}" for number in range(12)])
    assert_refused(await client.answer(), 431, "header_too_large")
    assert await client.closed()
    assert hits(proxy) == {"max_header_bytes": 1}
    assert upstream.requests == []


async def test_a_head_without_an_end_is_not_waited_for(start: Start, connect: Connect) -> None:
    proxy = await start(max_header_bytes=1000)
    client = await connect(proxy)
    await client.send(b"GET / HTTP/1.1\r\n" + b"X: 123456789\r\n" * 50)
    await client.send(b"X: 123456789\r\n" * 50)
    assert_refused(await client.answer(), 431, "header_too_large")
    assert await client.closed()


async def test_a_body_behind_a_head_does_not_count(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(max_header_bytes=1000)
    client = await connect(proxy)
    for _ in range(2):
        await client.post("/x", b"x" * 5000)
        assert (await client.answer()).status == 200
    assert hits(proxy) == {}


@pytest.mark.parametrize("path", ["/v1/responses", "/x"])
async def test_a_body_that_stops(start: Start, connect: Connect, path: str) -> None:
    proxy = await start(request_body_timeout_seconds=0.1)
    client = await connect(proxy)
    await client.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf".encode())
    assert_refused(await client.answer(), 408, "request_timeout")
    assert hits(proxy) == {"request_body_timeout_seconds": 1}


@pytest.mark.parametrize("path", ["/v1/responses", "/x"])
async def test_a_body_that_trickles_in(start: Start, connect: Connect, path: str) -> None:
    proxy = await start(request_body_timeout_seconds=0.1)
    client = await connect(proxy)
    await client.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n".encode())
    answer = asyncio.create_task(client.answer())
    sent = 0
    while not answer.done():
        client.writer.write(b"x")
        sent += 1
        await asyncio.sleep(0.01)  # a hundred bytes a second, whatever the machine does meanwhile
    assert_refused(await answer, 408, "request_timeout")
    assert sent < 100_000


async def test_an_upstream_that_takes_nothing_is_no_slow_client(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(first_byte_timeout_seconds=0.2, request_body_timeout_seconds=60)
    upstream.answer(Wait(asyncio.Event()))
    client = await connect(proxy)
    await client.post("/x", BODY)
    assert_refused(await client.answer(), 504, "upstream_timeout")
    assert hits(proxy) == {"first_byte_timeout_seconds": 1}


@pytest.mark.parametrize("path", ["/v1/responses", "/x"])
async def test_a_body_that_says_it_is_too_large(
    upstream: FakeUpstream, start: Start, connect: Connect, path: str
) -> None:
    proxy = await start(max_request_body_bytes=10)
    client = await connect(proxy)
    await client.send(
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    assert_refused(await client.answer(), 413, "body_too_large")
    assert upstream.requests == []
    assert hits(proxy) == {"max_request_body_bytes": 1}


@pytest.mark.parametrize("path", ["/v1/responses", "/x"])
async def test_a_body_that_turns_out_too_large(
    upstream: FakeUpstream, start: Start, connect: Connect, path: str
) -> None:
    proxy = await start(max_request_body_bytes=10)
    client = await connect(proxy)
    await client.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    await client.send(b"b\r\nhello world\r\n")
    assert_refused(await client.answer(), 413, "body_too_large")
    assert hits(proxy) == {"max_request_body_bytes": 1}
    for seen in upstream.requests:  # upstream never sees it as whole
        await happens(seen.closed)
        assert not seen.complete.is_set()


async def test_a_body_of_just_the_size(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    client = await connect(await start(max_request_body_bytes=10))
    await client.post("/x", b"0123456789")
    assert (await client.answer()).status == 200


async def test_too_many_streams(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    proxy = await start(max_streams=1)
    go_on = asyncio.Event()
    upstream.answer(Head(), Chunk(CREATED), Wait(go_on), *map(Chunk, WHOLE[1:]), End())
    first = await connect(proxy)
    await first.post("/v1/responses", BODY)
    await first.head()
    second = await connect(proxy)
    await second.post("/inference/v1/generate", BODY)
    got = await second.answer()
    assert_refused(got, 503, "overloaded")
    assert got.value("Retry-After") == "1"
    assert hits(proxy) == {"max_streams": 1}
    await second.get("/health")  # what only asks still may, and the connection is as good as before
    assert (await second.answer()).status == 200
    go_on.set()
    while await first.chunk():
        pass
    await until_open(proxy, 0)
    await second.post("/inference/v1/generate", BODY)
    assert (await second.answer()).status == 200


@pytest.mark.parametrize("path", ["/v1/responses", "/inference/v1/generate", "/ws"])
async def test_a_client_that_takes_nothing(
    upstream: FakeUpstream, start: Start, connect: Connect, path: str
) -> None:
    proxy = await start(client_write_timeout_seconds=0.2)
    flood = [Chunk(b": " + b"x" * 60_000 + b"\n\n")] * 1000
    client = await connect(proxy, limit=1024)
    if path == "/ws":
        switch = Head(
            101, "Switching Protocols", (("Connection", "Upgrade"), ("Upgrade", "websocket")), chunked=False
        )
        upstream.answer(switch, *flood)
        await client.get(path, "Connection: Upgrade", "Upgrade: websocket")
    else:
        upstream.answer(Head(), Chunk(CREATED), *flood)
        await client.post(path, BODY)
    await client.head()
    seen = await upstream.next_request()
    await happens(seen.closed)
    await until_open(proxy, 0)
    assert hits(proxy) == {"client_write_timeout_seconds": 1}
    if path == "/v1/responses":
        assert metric(proxy, "streams_total", ending="client_gone") == 1


async def test_silence_of_upstream(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    proxy = await start(idle_timeout_seconds=0.1)
    upstream.answer(Head(), Chunk(CREATED), Wait(asyncio.Event()))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    assert b"event: response.failed\n" in (await client.answer()).body
    assert hits(proxy) == {"idle_timeout_seconds": 1}


@pytest.mark.parametrize(("limit", "value"), [("max_frame_bytes", 2000), ("max_text_bytes", 2)])
async def test_what_a_stream_may_hold(
    upstream: FakeUpstream, start: Start, connect: Connect, limit: str, value: int
) -> None:
    proxy = await start(**{limit: value})
    frames = (
        [*WHOLE[:4], DELTA] if limit == "max_text_bytes" else [*WHOLE[:4], b"data: " + b"x" * 5000 + b"\n\n"]
    )
    upstream.answer(*stream(*frames))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    got = await client.answer()
    assert b"event: response.failed\n" in got.body
    assert check_stream(got.body) == []
    await until_open(proxy, 0)
    assert metric(proxy, "streams_total", ending="limit") == 1
    assert hits(proxy) == {limit: 1}


async def test_a_final_output_with_too_many_items(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    items = [message("completed", "x")] * 1100
    upstream.answer(*stream(*WHOLE[:5], event("response.completed", response=response("completed", *items))))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    got = await client.answer()
    assert b"event: response.failed\n" in got.body
    assert check_stream(got.body) == []
    await until_open(proxy, 0)
    assert hits(proxy) == {"max_unsent_items": 1}
    assert metric(proxy, "streams_total", ending="limit") == 1
    assert metric(proxy, "requests_total", route="responses", code="2xx") == 1


async def test_the_kernel_looks_after_both_sides(
    upstream: FakeUpstream, start: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that is gone without a word (power, network) sends nothing that could be noticed otherwise."""
    watched: list[tuple[socket.socket, float]] = []
    watch = sockets.watch_peer

    def note(sock: socket.socket | None, *, unacknowledged_seconds: float) -> None:
        watch(sock, unacknowledged_seconds=unacknowledged_seconds)
        assert sock is not None
        watched.append((sock, unacknowledged_seconds))

    monkeypatch.setattr("vllm_sse_proxy.server.clients.watch_peer", note)
    monkeypatch.setattr("vllm_sse_proxy.server.upstream.watch_peer", note)
    proxy = await start(client_write_timeout_seconds=7)
    client = await connect(proxy)
    await client.get("/x")
    await client.answer()
    assert [seconds for _, seconds in watched] == [7, 0]
    for sock, seconds in watched:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == sockets.KEEPALIVE_IDLE_SECONDS
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == seconds * 1000
