"""Clients that leave, do not read, or do not say what they want: upstream is let go, and memory stays bounded."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.labs.faults.answers import HEAD, PHASES, PLAIN, chunk
from tests.labs.faults.judge import gained
from tests.labs.faults.process import MIB, ProxyProcess, chain, known, wait_until
from tests.labs.faults.relay import ByteRelay, Fault, Kind
from tests.labs.faults.report import Row
from tests.labs.faults.upstream_faults import next_id, post
from tests.support.http import RawClient
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream, Raw
from tests.support.whole_stream import PART

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAVING = ("FIN", "RST")
PLACES = tuple(phase for phase in PHASES if phase not in {"before [DONE]", "after [DONE]"})
TIMES = 5
"""How often each is done: the figure is the longest."""

BOUND_SECONDS = 5.0
"""What fails the suite, on a machine as busy as it may be; the measured figure stands in the table."""

SLOW_PIECE_BYTES = 16 * 1024
SLOW_PIECES = 6 * 1024
SLOW_BYTES = SLOW_PIECE_BYTES * SLOW_PIECES
"""More than the kernel keeps on the way by itself (`net.ipv4.tcp_rmem` and `tcp_wmem`, of two connections)."""

SLOW_GROWTH_BYTES = 32 * MIB
"""How much the proxy itself may keep for a client that does not read."""

STUCK_CLIENTS = 200
TRICKLING_CLIENTS = 20
TRICKLE_SECONDS = 0.2
LIMIT_SECONDS = 3.0
"""The time limit that is set for a client that is slow."""

GIVEN_UP_SECONDS = 90
"""After that the suite calls a connection kept forever. An unused one is closed after 75 s."""


async def leaving(phases: Iterable[str] = PLACES, *, times: int = TIMES) -> list[Row]:
    """The client closes its connection in every phase; on a stream, and on an answer that is passed through."""
    rows = []
    async with chain() as (upstream, relay, proxy):
        for target in ("/v1/responses", "/inference/v1/generate"):
            for how in LEAVING:
                rows += [await _leave(proxy, relay, upstream, target, how, phase, times) for phase in phases]
    return rows


async def _leave(
    proxy: ProxyProcess,
    relay: ByteRelay,
    upstream: FakeUpstream,
    target: str,
    how: str,
    phase: str,
    times: int,
) -> Row:
    wrong: list[str] = []
    took: list[float] = []
    relay.fault = Fault(Kind.STALL, PHASES[phase])
    loop = asyncio.get_running_loop()
    before = await proxy.metrics()
    for _ in range(times):
        upstream.answer(Raw(PLAIN.wire))
        request_id = next_id()
        client = await RawClient.connect(proxy.port)
        known = len(relay.passages)
        await client.send(post(request_id, target=target))

        async def stalled(known: int = known) -> bool:
            return len(relay.passages) > known and relay.passages[-1].struck.is_set()

        if not await wait_until(stalled):
            wrong.append("the request did not reach upstream")
            client.leave()
            continue
        passage = relay.passages[-1]
        if how == "RST":
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left = loop.time()
        client.leave()
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                await passage.left.wait()
            took.append((passage.left_at or left) - left)
        except TimeoutError:
            wrong.append(f"upstream was still connected after {BOUND_SECONDS:.0f} s")
            continue
        line = await proxy.request_line(request_id)
        if line["ending"] != "client_gone":
            wrong.append(f"ending in the log: {line['ending']}")
    after = await proxy.metrics()
    endings = gained(before, after, "streams_total")
    opened = target == "/v1/responses" and PHASES[phase] >= len(HEAD)
    if endings != ({'{ending="client_gone"}': float(times)} if opened else {}):
        wrong.append(f"endings counted: {endings}")
    if after["requests_in_flight"] or after["streams_in_flight"]:
        wrong.append("something is still in flight")
    figure = f"{max(took) * 1000:.0f} ms" if took else ""
    case = f"client leaves ({how}), {'stream' if target == '/v1/responses' else 'passed through'}"
    return Row("client", case, phase, "upstream closed, `client_gone`", wrong, figure)


def _long() -> bytes:
    """Return an answer that is long, and nothing of which has to be remembered: comments within a stream."""
    comment = chunk(b": " + b"x" * (SLOW_PIECE_BYTES - 4) + b"\n\n")
    at = PLAIN.after(PART)
    return PLAIN.wire[:at] + comment * SLOW_PIECES + PLAIN.wire[at:]


async def slow_reader() -> list[Row]:
    """A client stops to read in the middle of a large answer: upstream has to wait, and memory stays where it is."""
    wrong = []
    async with chain() as (upstream, relay, proxy):
        client = await _reluctant(proxy.port)
        start = proxy.resident()
        upstream.answer(Raw(_long()))
        request_id = next_id()
        await client.send(post(request_id))
        await client.head()
        passed = await _standstill(relay)
        grown = proxy.peak() - start
        held = relay.passages[-1].sent
        if not passed or held >= SLOW_BYTES:
            wrong.append("upstream was never held back")
        if grown > SLOW_GROWTH_BYTES:
            wrong.append(f"memory grew by {grown / MIB:.0f} MiB")
        answer = await _rest(client)
        line = await proxy.request_line(request_id, seconds=60)
        if answer.count(b"\n\n: x") != SLOW_PIECES or line["ending"] != "completed":
            wrong.append("the answer did not come whole once the client read again")
        figure = f"{held / MIB:.1f} MiB on the way, nearly all in the kernel; memory +{grown / MIB:.0f} MiB"
        client.leave()
        return [
            Row(
                "client",
                "client stops reading for a while",
                f"{SLOW_BYTES // MIB} MiB stream",
                f"upstream waits; then the rest, `{line['ending']}`",
                wrong,
                figure,
            )
        ]


async def _reluctant(port: int) -> RawClient:
    """Return a client with small buffers of its own, so that what it does not read stays with the proxy."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return RawClient(*await asyncio.open_connection(sock=sock, limit=2**16))


async def _standstill(relay: ByteRelay) -> bool:
    """Wait until upstream cannot send any more; False if it never has to wait."""
    last = -1
    for _ in range(PATIENCE_SECONDS * 2):
        sent = relay.passages[-1].sent
        if sent == last:
            return True
        last = sent
        await asyncio.sleep(0.5)
    return False


async def _rest(client: RawClient) -> bytes:
    body = []
    try:
        while piece := await client.chunk():
            body.append(piece)
    except asyncio.IncompleteReadError:
        pass
    return b"".join(body)


async def never_reads() -> list[Row]:
    """A client takes nothing of a large answer, ever."""
    limits = known(client_write_timeout_seconds=LIMIT_SECONDS)
    async with chain(**limits) as (upstream, _, proxy):
        upstream.answer(Raw(_long()))
        client = await _reluctant(proxy.port)
        request_id = next_id()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await client.send(post(request_id))
        wrong = []
        outcome = "kept forever"
        try:
            line = await proxy.request_line(request_id, seconds=GIVEN_UP_SECONDS)
            outcome = f"`{line['ending']}` after {loop.time() - began:.0f} s"
        except TimeoutError:
            wrong.append(f"upstream is still held after {GIVEN_UP_SECONDS} s")
        client.leave()
        case = f"client never reads (`client_write_timeout_seconds` {LIMIT_SECONDS:.0f})"
        return [Row("client", case, f"{SLOW_BYTES // MIB} MiB stream", outcome, wrong)]


async def stuck_requests() -> list[Row]:
    """Many clients send half a request, and no more; or the rest of it a byte at a time."""
    head = b"POST /v1/responses HTTP/1.1\r\nHost: a\r\nX-Slow: "
    body = b"POST /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf"
    return [
        await _stuck("head stops half way", head, STUCK_CLIENTS, trickle=False),
        await _stuck("head comes a byte at a time (slowloris)", head, TRICKLING_CLIENTS, trickle=True),
        await _stuck("body stops half way", body, STUCK_CLIENTS, trickle=False),
        await _stuck("body comes a byte at a time", body, TRICKLING_CLIENTS, trickle=True),
    ]


async def _stuck(case: str, request: bytes, count: int, *, trickle: bool) -> Row:
    limits = known(
        first_byte_timeout_seconds=LIMIT_SECONDS,
        request_head_timeout_seconds=LIMIT_SECONDS,
        request_body_timeout_seconds=LIMIT_SECONDS,
    )
    async with FakeUpstream() as upstream, ProxyProcess(upstream.url, **limits) as proxy:
        start = proxy.resident()
        clients = [await RawClient.connect(proxy.port) for _ in range(count)]
        for client in clients:
            await client.send(request)
        feeding = asyncio.create_task(_feed(clients)) if trickle else None
        probe = await RawClient.connect(proxy.port)
        await probe.get("/v1/models")
        served = (await probe.answer()).status == HTTPStatus.OK
        wrong = [] if served else ["another client was not served"]
        grown = proxy.resident() - start
        outcome = await _answered(clients[0], seconds=GIVEN_UP_SECONDS)
        if outcome is None:
            wrong.append(f"the connection is still open after {GIVEN_UP_SECONDS} s")
        if feeding is not None:
            feeding.cancel()
        for client in [*clients, probe]:
            client.leave()
        figure = f"{grown / count / 1024:.0f} KiB each; others served meanwhile"
        limit = f"{case} (limit {LIMIT_SECONDS:.0f} s)"
        return Row("client", limit, f"{count} clients", outcome or "kept forever", wrong, figure)


async def _feed(clients: list[RawClient]) -> None:
    """Send each client's next byte, again and again."""
    while True:
        await asyncio.sleep(TRICKLE_SECONDS)
        for client in clients:
            with contextlib.suppress(ConnectionError):
                await client.send(b"x")


async def _answered(client: RawClient, *, seconds: float) -> str | None:
    """Return what a client receives, and when; None if nothing."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        async with asyncio.timeout(seconds):
            said = await client.reader.read(2**16)
    except TimeoutError:
        return None
    except ConnectionError:
        said = b""
    what = "HTTP " + said.split(b" ")[1].decode() if said.startswith(b"HTTP/1") else "connection closed"
    return f"{what} after {loop.time() - start:.0f} s"
