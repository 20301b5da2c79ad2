"""WebSockets are relayed unread: whatever the two ends agree upon works, and neither outlives the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer as AppServer
from yarl import URL

from tests.support.http import happens, metric
from tests.support.upstream import PATIENCE_SECONDS, Chunk, Cut, Head, Raw, Reset, Wait, answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream
    from vllm_sse_proxy.server.app import Server

SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Kept: 1\r\n\r\n"
)
ASK = ("Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


class Realtime:
    """An upstream with a WebSocket: echoes, closes with the code that it is asked for, and shows how each connection ended."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.closed: asyncio.Queue[int | None] = asyncio.Queue()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        socket = web.WebSocketResponse(protocols=("realtime", "other"), max_msg_size=0, autoping=True)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data.startswith("close "):
                await socket.close(code=int(message.data[6:]), message=b"as asked")
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        self.closed.put_nowait(socket.close_code)
        return socket


@pytest.fixture
async def realtime() -> Realtime:
    return Realtime()


@pytest.fixture
async def url(realtime: Realtime, start: Start) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/v1/realtime", realtime.handle)
    async with AppServer(app) as server:
        proxy = await start(upstream=str(server.make_url("")))
        yield f"http://127.0.0.1:{proxy.port}/v1/realtime"


async def closing(realtime: Realtime) -> int | None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await realtime.closed.get()


async def test_messages_cross_both_ways(realtime: Realtime, url: str, http: aiohttp.ClientSession) -> None:
    headers = {"Authorization": "Bearer key", "X-Request-Id": "mine"}
    async with http.ws_connect(
        URL(url + "?model=a%2Fb", encoded=True), protocols=("realtime",), headers=headers, max_msg_size=0
    ) as socket:
        assert socket.protocol == "realtime"
        await socket.send_str("héllo")
        assert await socket.receive_str() == "héllo"
        large = bytes(range(256)) * 8192
        await socket.send_bytes(large)
        assert await socket.receive_bytes() == large
    assert await closing(realtime) == 1000
    (seen,) = realtime.requests
    assert seen.raw_path == "/v1/realtime?model=a%2Fb"
    assert (seen.headers["Authorization"], seen.headers["X-Request-Id"]) == ("Bearer key", "mine")
    assert seen.headers["X-Forwarded-For"] == "127.0.0.1"


async def test_compression_is_between_the_two_ends(url: str, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(url, compress=15) as socket:
        assert socket.compress == 15
        await socket.send_str("a" * 10_000)
        assert await socket.receive_str() == "a" * 10_000


async def test_pings_cross(url: str, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(url, autoping=False) as socket:
        await socket.ping(b"there?")
        pong = await socket.receive(PATIENCE_SECONDS)
        assert (pong.type, bytes(pong.data)) == (WSMsgType.PONG, b"there?")


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
async def test_close_codes_cross_from_upstream(url: str, http: aiohttp.ClientSession, code: int) -> None:
    async with http.ws_connect(url) as socket:
        await socket.send_str(f"close {code}")
        message = await socket.receive(PATIENCE_SECONDS)
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, code, "as asked")


async def test_close_codes_cross_from_the_client(
    realtime: Realtime, url: str, http: aiohttp.ClientSession
) -> None:
    async with http.ws_connect(url) as socket:
        await socket.close(code=4001)
    assert await closing(realtime) == 4001


async def test_it_is_counted(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    over = asyncio.Event()
    upstream.answer(Raw(SWITCH), Wait(over), Cut())
    client = await connect(proxy)
    await client.get("/any/path", *ASK)
    got = await client.head()
    assert metric(proxy, "websockets_in_flight") == 1
    assert metric(proxy, "requests_in_flight") == 1
    over.set()
    assert await client.closed()
    assert (got.status, got.value("Connection"), got.value("Upgrade")) == (101, "Upgrade", "websocket")
    assert (got.value("X-Kept"), got.value("Transfer-Encoding"), got.value("Content-Type")) == (
        "1",
        None,
        None,
    )
    assert got.value("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert metric(proxy, "websockets_in_flight") == 0
    assert metric(proxy, "requests_total", route="other", code="1xx") == 1


async def test_bytes_are_not_looked_at(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    """What follows the upgrade at once, in the same segment, is the other end's as well."""
    upstream.answer(Raw(SWITCH + b"\xff\x00early"), Raw(b"late"), Cut())
    client = await connect(proxy)
    await client.get("/ws", *ASK)
    await client.head()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await client.reader.read() == b"\xff\x00earlylate"


@pytest.mark.parametrize("end", [Cut(), Reset()])
async def test_an_upstream_that_goes_takes_the_client_along(
    upstream: FakeUpstream, proxy: Server, connect: Connect, end: Cut | Reset
) -> None:
    upstream.answer(Raw(SWITCH), end)
    client = await connect(proxy)
    await client.get("/ws", *ASK)
    await client.head()
    assert await client.closed()


async def test_a_client_that_goes_takes_upstream_along_after_its_last_words(
    start: Start, connect: Connect
) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        received.put_nowait(await reader.read())
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        proxy = await start(upstream=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        client = await connect(proxy)
        await client.get("/ws", *ASK)
        await client.head()
        client.writer.write(b"last words")
        client.leave()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await received.get() == b"last words"


async def test_a_reader_that_is_slow_stops_the_writer(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    """Bytes that nobody takes pile up in no buffer of the proxy without bound: upstream has to wait."""
    piece = b"x" * 60_000
    upstream.answer(Raw(SWITCH), *[Raw(piece)] * 1000, Cut())
    client = await connect(proxy, limit=1024)
    await client.get("/ws", *ASK)
    await client.head()
    assert proxy.gateway is not None
    (exchange,) = proxy.gateway.open
    before = -1
    while before != exchange.bytes_in:  # until nothing moves any more
        before = exchange.bytes_in
        for _ in range(200):
            await asyncio.sleep(0)
    assert before < 1000 * len(piece) / 2
    received = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while data := await client.reader.read(2**16):
            received += len(data)
    assert received == 1000 * len(piece)


async def test_an_upstream_that_declines(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    """Its answer crosses, and nothing the client sent ahead is taken for a request."""
    upstream.answer(*answer(b"no", status=426, reason="Upgrade Required"))
    client = await connect(proxy)
    await client.get("/ws", *ASK)
    await client.send(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    got = await client.answer()
    assert (got.status, got.body, got.value("Connection")) == (426, b"no", "close")
    assert await client.closed()
    assert [seen.target for seen in upstream.requests] == [b"/ws"]


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_an_upstream_that_has_none_for_responses(
    status: int, upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    """vLLM answers 403; Codex goes on over HTTP at once after a 426, and tries again and warns after anything else."""
    for mode, expected in (("normal", 426), ("observe", status)):
        upstream.answer(*answer(b"no", status=status))
        client = await connect(await start(mode=mode))
        await client.get("/v1/responses", *ASK)
        got = await client.answer()
        assert (got.status, got.value("Connection")) == (expected, "close")
        assert got.value("Upgrade") == ("HTTP/1.1" if expected == 426 else None)
        assert await client.closed()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
async def test_an_upstream_that_switches_to_something_else(
    upstream: FakeUpstream, proxy: Server, connect: Connect, head: bytes
) -> None:
    upstream.answer(Raw(head))
    client = await connect(proxy)
    await client.get("/ws", *ASK)
    got = await client.answer()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (502, "upstream_protocol")
    assert await upstream.requests[0].closed.wait()


async def test_an_upstream_that_switches_unasked(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    upstream.answer(Raw(SWITCH))
    client = await connect(proxy)
    await client.get("/x")
    got = await client.answer()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (502, "upstream_protocol")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
        b"GET /ws HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_what_is_no_websocket(
    upstream: FakeUpstream, proxy: Server, connect: Connect, request_bytes: bytes
) -> None:
    client = await connect(proxy)
    await client.send(request_bytes)
    got = await client.answer()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (400, "invalid_upgrade")
    assert upstream.requests == []


async def test_silence_of_both_sides_ends_it(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    proxy = await start(idle_timeout_seconds=0.1)
    upstream.answer(Raw(SWITCH), Wait(asyncio.Event()))
    client = await connect(proxy)
    await client.get("/ws", *ASK)
    await client.head()
    assert await client.closed()
    await happens(upstream.requests[0].closed)


async def test_shutdown_closes_it(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    proxy = await start()
    upstream.answer(Raw(SWITCH), Wait(asyncio.Event()))
    client = await connect(proxy)
    await client.get("/ws", *ASK)
    await client.head()
    assert await proxy.stop() == 1
    assert await client.closed()
    assert upstream.requests[0].closed.is_set()


async def test_a_plain_request_may_follow_a_stream(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    """An Upgrade header that Connection does not name is not an upgrade."""
    upstream.answer(Head(headers=()), Chunk(b"x"), Raw(b"0\r\n\r\n"))
    client = await connect(proxy)
    await client.get("/x", "Upgrade: websocket")
    assert (await client.answer()).body == b"x"
    assert upstream.requests[0].value("Upgrade") is None
