"""A byte relay between the proxy and upstream that fails on request, at any byte of an answer.

This kernel-independent stand-in for a bad network can do what a link does (latency, dribble, silence) and what a host does
(FIN, RST, half-close); a link that is really cut is for :mod:`tests.labs.faults.namespaces`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from tests.support.local_server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE_BYTES = 64 * 1024
SETTLE_SECONDS = 0.02
"""Between the last byte and the fault, so that the proxy has dealt with what came before it."""


class Kind(StrEnum):
    """What the relay does once it has let the given number of bytes of an answer through."""

    PASS = "pass"
    """Nothing: everything goes through."""
    DRIBBLE = "dribble"
    """Every byte goes in a send of its own, from the first on."""
    LATENCY = "latency"
    """Go on after a pause."""
    CLOSE = "close"
    """Close both connections (FIN)."""
    RESET = "reset"
    """Close the connection to the proxy with RST."""
    HALF_CLOSE = "half-close"
    """Send FIN to the proxy, and go on reading from it."""
    STALL = "stall"
    """Send nothing any more, and keep the connection open."""
    GARBAGE = "garbage"
    """Send bytes that are not HTTP in this place, then go on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    :ivar at: bytes of the answer, head included, that are let through before it.
    :ivar seconds: length of the pause of a latency.
    :ivar settle: wait a little before the fault, so that it does not overtake the bytes before it.
    """

    kind: Kind = Kind.PASS
    at: int = 0
    seconds: float = 0.3
    settle: bool = True


@dataclass(slots=True)
class Passage:
    """One connection through the relay.

    :ivar sent: bytes of the present answer that went on to the proxy; ``fault``: what was chosen for it.
    :ivar struck: set when the fault has happened.
    :ivar left: set when the proxy has closed its side; ``left_at``: when, by the loop's clock.
    """

    sent: int = 0
    fault: Fault | None = None
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    left_at: float | None = None


class ByteRelay(LocalServer):
    """Listens on a free port of 127.0.0.1 and passes everything on to another; a context manager.

    :param fault: applied to every answer from then on.
    :ivar passages: every connection there was.
    """

    def __init__(self, port: int, fault: Fault | Callable[[], Fault] = Fault()) -> None:
        super().__init__()
        self._target = port
        self.fault = fault
        self.passages: list[Passage] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection."""
        passage = Passage()
        self.passages.append(passage)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up = asyncio.create_task(self._up(reader, up_writer, passage))
        try:
            await self._down(up_reader, writer, passage)
            await passage.left.wait()
        finally:
            up.cancel()
            up_writer.close()
            await asyncio.gather(up, return_exceptions=True)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passage: Passage) -> None:
        """Carry requests; each begins a new answer."""
        try:
            while piece := await reader.read(PIECE_BYTES):
                if passage.sent:
                    passage.sent, passage.fault = 0, None
                    passage.struck.clear()
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        passage.left_at = asyncio.get_running_loop().time()
        passage.left.set()
        writer.close()

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passage: Passage
    ) -> None:
        """Carry answers, up to the fault."""
        while not passage.left.is_set():
            piece = await self._next(reader, passage)
            if not piece:
                writer.close()
                return
            fault = passage.fault
            if fault is None:
                fault = passage.fault = self.fault if isinstance(self.fault, Fault) else self.fault()
            room = fault.at - passage.sent
            harmless = fault.kind in {Kind.PASS, Kind.DRIBBLE}
            if harmless or passage.struck.is_set() or not 0 <= room <= len(piece):
                await self._send(writer, piece, passage, dribble=fault.kind is Kind.DRIBBLE)
                continue
            await self._send(writer, piece[:room], passage, dribble=False)
            if fault.settle:
                await self._settle(writer)
            passage.struck.set()
            if not await self._strike(fault, writer, passage):
                return
            await self._send(writer, piece[room:], passage, dribble=False)

    async def _next(self, reader: asyncio.StreamReader, passage: Passage) -> bytes:
        """Return what upstream sent; nothing when the proxy leaves first."""
        reading = asyncio.create_task(reader.read(PIECE_BYTES))
        leaving = asyncio.create_task(passage.left.wait())
        try:
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else b""
        except ConnectionError:
            return b""
        finally:
            reading.cancel()
            leaving.cancel()

    async def _send(
        self, writer: asyncio.StreamWriter, data: bytes, passage: Passage, *, dribble: bool
    ) -> None:
        pieces = [data[at : at + 1] for at in range(len(data))] if dribble else [data]
        for piece in pieces:
            if piece:
                passage.sent += len(piece)
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)

    async def _settle(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        await asyncio.sleep(SETTLE_SECONDS)

    async def _strike(self, fault: Fault, writer: asyncio.StreamWriter, passage: Passage) -> bool:
        """Do what is wrong; return whether the rest of the answer follows."""
        match fault.kind:
            case Kind.LATENCY:
                await asyncio.sleep(fault.seconds)
                return True
            case Kind.GARBAGE:
                writer.write(b"\x00\xff\r\n garbage \r\n")
                return True
            case Kind.CLOSE:
                writer.close()
            case Kind.RESET:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            case Kind.HALF_CLOSE:
                with contextlib.suppress(OSError):  # the proxy was faster
                    writer.write_eof()
                await passage.left.wait()
            case _:
                await passage.left.wait()
        return False
