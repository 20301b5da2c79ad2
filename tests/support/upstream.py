"""A fake vLLM that follows a script, over real sockets on loopback.

Raw asyncio on purpose: it has to misbehave in ways that no HTTP library allows, and to see requests byte for byte.

    async with FakeUpstream() as upstream:
        release = asyncio.Event()
        upstream.answer(Head(), Chunk(b"data: 1\n\n"), Wait(release), Cut())
        ...                                     # send a request to upstream.url
        seen = await upstream.next_request()    # what arrived
        release.set()
        await seen.closed.wait()                # the peer has closed its connection

Answers are used in the order they were given, one a request; when none is left, the answer is a small JSON object.
Nothing here waits for time: a script stalls until its event is set, or its connection is closed.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import orjson

from tests.support.local_server import LOOPBACK, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterable

EVENT_STREAM = ("Content-Type", "text/event-stream; charset=utf-8")
PATIENCE_SECONDS = 10
"""How long a test waits for what must happen. It only runs out when something is broken."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers; with ``chunked``, the body follows in chunks."""

    status: int = 200
    reason: str = "OK"
    headers: tuple[tuple[str, str], ...] = (EVENT_STREAM,)
    chunked: bool = True
    version: str = "1.1"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of the body, as a chunk of their own if the body is chunked, in one send."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are: half a head, a bad chunk size, anything."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Stall until the event is set; if the peer closes first, the script ends here."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Reached:
    """Set an event: the script has come this far."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class End:
    """The last chunk; the connection stays open for another request."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection (FIN), whatever is missing."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Close the connection with RST."""


Step = Head | Chunk | Raw | Wait | Reached | End | Cut | Reset


def stream(*frames: bytes, headers: Iterable[tuple[str, str]] = ()) -> tuple[Step, ...]:
    """Script a whole event stream: each frame in a send of its own, then a clean end."""
    return (Head(headers=(EVENT_STREAM, *headers)), *map(Chunk, frames), End())


def answer(
    body: bytes, *, status: int = 200, reason: str = "OK", headers: Iterable[tuple[str, str]] = ()
) -> tuple[Step, ...]:
    """Script an answer of known length."""
    head = Head(status, reason, (("Content-Length", str(len(body))), *headers), chunked=False)
    return (head, Raw(body))


def json_answer(document: object, *, status: int = 200, reason: str = "OK") -> tuple[Step, ...]:
    """Script a JSON answer."""
    return answer(
        orjson.dumps(document), status=status, reason=reason, headers=[("Content-Type", "application/json")]
    )


@dataclass(slots=True)
class Seen:
    """One request as it arrived.

    :ivar head: the raw bytes up to and with the blank line; ``body``: the body without its chunk framing.
    :ivar connection: counts connections from 0; two requests with the same number came over the same one.
    :ivar closed: set once the peer has closed or reset the connection.
    """

    head: bytes
    connection: int
    closed: asyncio.Event
    body: bytes = b""
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def request_line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    @property
    def method(self) -> str:
        return self.request_line.split(b" ")[0].decode()

    @property
    def target(self) -> bytes:
        return self.request_line.split(b" ")[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.rstrip(b"\r\n").split(b"\r\n")[1:]
        pairs = (line.partition(b":") for line in lines)
        return [(name.decode(), value.strip().decode()) for name, _, value in pairs]

    def values(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        """Return a header that must not be repeated, or None."""
        values = self.values(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


class FakeUpstream(LocalServer):
    """A server on a free port of 127.0.0.1; a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Seen] = []
        self._arrivals: asyncio.Queue[Seen] = asyncio.Queue()
        self._answers: list[tuple[Step, ...]] = []
        self._connections: set[_Connection] = set()
        self._count = 0

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for connection in list(self._connections):
            await connection.shut()

    async def listen(self) -> asyncio.Server:
        """Listen with a protocol of its own: a script sees at once that its peer has left, without reading."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Connection(self), LOOPBACK, 0)

    @property
    def connections(self) -> int:
        """How many connections were ever made."""
        return self._count

    def answer(self, *steps: Step) -> None:
        """Script the answer to the next request that has none yet."""
        self._answers.append(steps)

    async def next_request(self) -> Seen:
        """Return the next request whose head has arrived."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._arrivals.get()

    def close_idle(self) -> None:
        """Close every connection from this side, as a server does with unused ones."""
        for connection in self._connections:
            connection.transport.close()

    def enter(self, connection: _Connection) -> int:
        self._connections.add(connection)
        self._count += 1
        return self._count - 1

    def leave(self, connection: _Connection) -> None:
        self._connections.discard(connection)

    def arrived(self, seen: Seen) -> tuple[Step, ...]:
        self.requests.append(seen)
        self._arrivals.put_nowait(seen)
        return self._answers.pop(0) if self._answers else json_answer({"object": "fake"})

    def script(self, seen: Seen, steps: tuple[Step, ...]) -> tuple[Step, ...]:  # noqa: ARG002 - for those who override it
        """Return what is answered, now that the body has been read: what `arrived` chose. A place to choose by the body."""
        return steps


class _Connection(asyncio.StreamReaderProtocol):
    """One connection: reads requests one after another and plays the script of each."""

    transport: asyncio.Transport

    def __init__(self, upstream: FakeUpstream) -> None:
        self._reader = asyncio.StreamReader()
        super().__init__(self._reader)
        self._upstream = upstream
        self._gone = asyncio.Event()
        self._chunked = False
        self._number = -1
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._number = self._upstream.enter(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def eof_received(self) -> bool:
        self._gone.set()
        super().eof_received()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()
        super().connection_lost(exc)

    async def shut(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.transport.abort()

    async def _serve(self) -> None:
        try:
            while not self._gone.is_set():
                head = await self._reader.readuntil(b"\r\n\r\n")
                seen = Seen(head, self._number, self._gone)
                steps = self._upstream.arrived(seen)
                reading = asyncio.create_task(self._read_body(seen))
                try:
                    # A script that begins with a pause answers before, or without, the body.
                    if not (steps and isinstance(steps[0], Wait)):
                        await reading
                    for step in self._upstream.script(seen, steps):
                        if not await self._play(step):
                            return
                    await reading
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._upstream.leave(self)
            self.transport.close()

    async def _play(self, step: Step) -> bool:
        """Do one step; return whether the script goes on."""
        match step:
            case Head():
                self._chunked = step.chunked
                framing = (("Transfer-Encoding", "chunked"),) if step.chunked else ()
                lines = "".join(f"{name}: {value}\r\n" for name, value in (*step.headers, *framing))
                self.transport.write(
                    f"HTTP/{step.version} {step.status} {step.reason}\r\n{lines}\r\n".encode()
                )
            case Chunk():
                data = b"%x\r\n%b\r\n" % (len(step.data), step.data) if self._chunked else step.data
                self.transport.write(data)
            case Raw():
                self.transport.write(step.data)
            case End():
                self.transport.write(b"0\r\n\r\n")
            case Reached():
                step.event.set()
            case Wait():
                return await self._wait(step.event)
            case Cut():
                self.transport.close()
                return False
            case Reset():
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
                return False
        await asyncio.sleep(0)  # gives each send its own turn of the loop, and so its own segment
        await self._drain_helper()  # type: ignore[attr-defined]  # typeshed leaves it out
        return not self.transport.is_closing()

    async def _wait(self, event: asyncio.Event) -> bool:
        tasks = [asyncio.create_task(event.wait()), asyncio.create_task(self._gone.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return event.is_set() and not self._gone.is_set()

    async def _read_body(self, seen: Seen) -> None:
        if seen.value("Transfer-Encoding") == "chunked":
            while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                seen.body += await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readuntil(b"\r\n")
        elif length := int(seen.value("Content-Length") or 0):
            while len(seen.body) < length:
                piece = await self._reader.read(length - len(seen.body))
                if not piece:
                    raise asyncio.IncompleteReadError(seen.body, length)
                seen.body += piece
        seen.complete.set()
