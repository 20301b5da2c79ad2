"""The end: readiness flips, open requests may finish, and what is cut is cut visibly."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web

from tests.support.http import RawClient, metric
from tests.support.upstream import PATIENCE_SECONDS, Chunk, End, Head, Wait, stream
from tests.support.whole_stream import BODY, CREATED, DONE, WHOLE
from vllm_sse_proxy.families.responses.conformance import check_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream
    from vllm_sse_proxy.server.app import Server


async def readiness(http: aiohttp.ClientSession, server: Server) -> int:
    async with http.get(f"http://127.0.0.1:{server.admin_port}/readyz") as answer:
        return answer.status


async def until_draining(server: Server) -> None:
    assert server.gateway is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not server.gateway.draining:  # noqa: ASYNC110 - gives other tasks their turn, waits for no time
            await asyncio.sleep(0)


async def until_closed(server: Server) -> None:
    """Wait until the data port is closed. Trying to connect until it fails would meet asyncio's accept in mid-step."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while server.port:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


async def test_admin_port(proxy: Server, http: aiohttp.ClientSession) -> None:
    base = f"http://127.0.0.1:{proxy.admin_port}"
    for path in ("/livez", "/healthz", "/readyz"):
        async with http.get(base + path) as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
    async with http.get(base + "/metrics") as answer:
        assert answer.content_type == "text/plain"
        assert 'sse_proxy_streams_total{ending="completed",family="responses"} 0.0' in await answer.text()
        assert answer.headers["Server"] == "vllm-sse-proxy"
    async with http.get(base + "/v1/models") as answer:
        assert answer.status == 404
        assert answer.headers["Server"] == "vllm-sse-proxy"


async def test_open_streams_finish(
    upstream: FakeUpstream, start: Start, connect: Connect, http: aiohttp.ClientSession
) -> None:
    server = await start()
    go_on = asyncio.Event()
    upstream.answer(Head(), Chunk(CREATED), Wait(go_on), *map(Chunk, WHOLE[1:]), End())
    streaming = await connect(server)
    await streaming.post("/v1/responses", BODY)
    await streaming.head()
    assert await streaming.chunk() == CREATED

    stopping = asyncio.create_task(server.stop(delay_seconds=0.5, timeout_seconds=PATIENCE_SECONDS))
    await until_draining(server)
    assert await readiness(http, server) == 503
    late = await connect(server)  # still accepted, but asked to go elsewhere next time
    await late.get("/x")
    got = await late.answer()
    assert (got.status, got.value("Connection")) == (200, "close")
    upstream.answer(*stream(*WHOLE))
    late = await connect(server)
    await late.post("/v1/responses", BODY)
    got = await late.answer()
    assert (got.body, got.value("Connection")) == (b"".join(WHOLE), "close")
    assert await late.closed()
    port = server.port
    await until_closed(server)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    go_on.set()
    rest = b""
    while piece := await streaming.chunk():
        rest += piece
    assert rest == b"".join(WHOLE[1:])
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await stopping == 0


async def test_connections_that_wait_when_the_port_closes_are_served(
    upstream: FakeUpstream, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has made them, the proxy has not seen them yet: closing the port would reset them (a 502 behind nginx)."""
    server = await start()
    port = server.port
    count = 20
    for _ in range(count):
        upstream.answer(*stream(*WHOLE))
    request = b"POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    waiting: list[socket.socket] = []
    stop = web.TCPSite.stop

    async def connect_and_stop(site: web.TCPSite) -> None:
        # Blocking calls: the event loop has no turn left in which it could accept.
        if not waiting:
            waiting.extend(socket.create_connection(("127.0.0.1", port)) for _ in range(count))
            for sock in waiting:
                sock.sendall(request)
        await stop(site)

    monkeypatch.setattr(web.TCPSite, "stop", connect_and_stop)
    stopping = asyncio.create_task(server.stop(timeout_seconds=PATIENCE_SECONDS))
    await until_closed(server)
    for sock in waiting:
        client = RawClient(*await asyncio.open_connection(sock=sock))
        assert (await client.answer()).body == b"".join(WHOLE)
        client.leave()
    assert await stopping == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_what_is_left_is_cut_visibly(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    server = await start()
    never = asyncio.Event()
    upstream.answer(Head(), Chunk(CREATED), Wait(never))
    streaming = await connect(server)
    await streaming.post("/v1/responses", BODY)
    await streaming.head()
    assert await streaming.chunk() == CREATED

    upstream.answer(Head(), Chunk(b"data: 1\n\n"), Wait(never))
    other = await connect(server)
    await other.post("/inference/v1/generate", BODY)
    await other.head()
    assert await other.chunk() == b"data: 1\n\n"

    upstream.answer(Wait(never))
    waiting = await connect(server)
    await waiting.post("/v1/responses", BODY)
    for _ in range(3):
        await upstream.next_request()

    silent = await connect(server)  # has not even sent a whole request
    await silent.send(b"POST /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
    assert server.gateway is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(server.gateway.open) < 4:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)

    assert await server.stop() == 4
    rest = b""
    while piece := await streaming.chunk():
        rest += piece
    assert b"event: response.failed\n" in rest
    assert rest.endswith(DONE)
    assert check_stream(CREATED + rest) == []
    with pytest.raises(asyncio.IncompleteReadError):
        await other.chunk()
    for client in (waiting, silent):
        got = await client.answer()
        assert (got.status, got.value("X-SSE-Proxy-Error"), got.value("Retry-After")) == (
            503,
            "shutting_down",
            "1",
        )
    assert metric(server, "streams_total", ending="shutdown") == 1
    for seen in upstream.requests:
        assert seen.closed.is_set()


async def test_a_client_that_takes_nothing_does_not_hold_up_the_end(
    upstream: FakeUpstream, start: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllm_sse_proxy.server.app.CUT_SECONDS", 0.1)
    server = await start()
    flood = [Chunk(b": " + b"x" * 60_000 + b"\n\n")] * 500
    upstream.answer(Head(), Chunk(CREATED), *flood, Wait(asyncio.Event()))
    client = await connect(server, limit=1024)
    await client.post("/v1/responses", BODY)
    await client.head()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await server.stop() == 1


async def test_two_ports_that_are_the_same(start: Start) -> None:
    first = await start()
    with pytest.raises(OSError, match=r"^\[Errno \d+\] port: .*in use"):
        await start(port=first.port)
    with pytest.raises(OSError, match=r"^\[Errno \d+\] admin_port: .*in use"):
        await start(admin_port=first.port)


@pytest.mark.parametrize("setting", ["host", "admin_host"])
async def test_addresses_that_cannot_be_listened_on(setting: str, start: Start) -> None:
    with pytest.raises(OSError, match=rf"\] {setting}: .*192\.0\.2\.1"):
        await start(**{setting: "192.0.2.1"})  # of no machine (RFC 5737)
    with pytest.raises(OSError, match=rf"\] {setting} 'name\.invalid': "):
        await start(**{setting: "name.invalid"})


@asynccontextmanager
async def process(
    upstream: FakeUpstream, **settings: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """Run the proxy as users do; gives the process and its startup line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SSE_PROXY_")}
    settings = {"LOOK_AT_UPSTREAM": "false", **settings}
    environment |= {f"SSE_PROXY_{name}": value for name, value in settings.items()}
    environment |= {"SSE_PROXY_PORT": "0", "SSE_PROXY_ADMIN_PORT": "0", "SSE_PROXY_UPSTREAM": upstream.url}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vllm_sse_proxy", "serve", env=environment, stdout=subprocess.PIPE
    )
    assert running.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS * 2):
        started = orjson.loads(await running.stdout.readline())
    try:
        yield running, started
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def test_signals_that_end_nothing(upstream: FakeUpstream) -> None:
    async with process(upstream, DRAIN_DELAY_SECONDS="0") as (running, _):
        assert running.stdout is not None
        said = []
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            running.send_signal(number)
            async with asyncio.timeout(PATIENCE_SECONDS):
                said.append(orjson.loads(await running.stdout.readline()))
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await running.wait() == 0
    assert [line["msg"] for line in said] == [
        "nothing to reload: there is neither a certificate nor a key for upstream",
        "signal ignored",
        "signal ignored",
    ]
    assert [line.get("signal") for line in said] == [None, "SIGUSR1", "SIGUSR2"]


@pytest.mark.parametrize(
    ("signals", "code"),
    [((signal.SIGTERM,), 0), ((signal.SIGINT,), 0), ((signal.SIGTERM, signal.SIGTERM), 1)],
)
async def test_signals_and_exit_codes(
    upstream: FakeUpstream, signals: tuple[signal.Signals, ...], code: int
) -> None:
    delay = "0" if len(signals) == 1 else "60"
    async with process(upstream, DRAIN_DELAY_SECONDS=delay, DRAIN_TIMEOUT_SECONDS="60") as (
        running,
        started,
    ):
        assert started["msg"] == "listening"
        assert started["upstream"] == upstream.url
        go_on = asyncio.Event()
        upstream.answer(Head(), Chunk(CREATED), Wait(go_on), *map(Chunk, WHOLE[1:]), End())
        client = await RawClient.connect(int(started["address"].rpartition(":")[2]))
        await client.post("/v1/responses", BODY, "X-Request-Id: the-one")
        await client.head()
        assert await client.chunk() == CREATED
        assert running.stdout is not None
        lines = []
        for number in signals:
            running.send_signal(number)
            if number is signals[0]:
                lines.append(orjson.loads(await running.stdout.readline()))
        if code == 0:
            go_on.set()
        rest = await client.rest()
        assert rest.endswith(DONE)
        assert (b"event: response.failed\n" in rest) is bool(code)
        async with asyncio.timeout(PATIENCE_SECONDS):
            lines += [orjson.loads(line) for line in (await running.stdout.read()).splitlines()]
            assert await running.wait() == code
        client.leave()
        await client.writer.wait_closed()
    assert [line["msg"] for line in lines] == ["draining", "request", "stopped"]
    request = lines[1]
    assert request["request_id"] == "the-one"
    assert request["ending"] == ("shutdown" if code else "completed")
    assert request["path"] == "/v1/responses"
    assert lines[2]["requests_cut"] == code


async def test_a_port_in_use_is_reported_in_a_line(upstream: FakeUpstream, proxy: Server) -> None:
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *(
            "-m",
            "vllm_sse_proxy",
            "serve",
            "--upstream",
            upstream.url,
            "--port",
            str(proxy.port),
            "--admin-port",
            "0",
        ),
        stdout=subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS * 2):
        output, _ = await running.communicate()
    assert running.returncode == 1
    assert orjson.loads(output)["msg"] == "cannot listen"
