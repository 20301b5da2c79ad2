"""The body of upstream's answer: its bytes, as they come, and how it ends.

Theory of operation. While a body is delivered, it is the protocol of upstream's transport, in front of aiohttp's own. What the
socket brings goes through aiohttp's parser, out of its reader and to whoever takes it within one call of
:meth:`UpstreamBody.data_received`: no task is woken for an event, and no future made. Whoever delivers is woken once, at the
end. When nothing more can be taken, upstream's transport is paused until something can, and so TCP stops upstream. After much
at once it rests until the next turn of the loop: uvloop reads a socket up to 32 times in a turn, as long as there is more, and
all other streams would wait for what becomes of megabytes. For the same reason a stream that is repaired is passed on in
pieces, one a turn: however long a piece takes, no other stream waits for more than one (issue 12, K11).

What an end means for the client is decided elsewhere; here it is recognised. In most cases aiohttp distinguishes a clean end
from a broken one. Three things it leaves to its users: bytes that came before the break, a reset of a body that only the
connection ends, and wrong chunk framing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

import aiohttp
from aiohttp import hdrs

from vllm_sse_proxy.stream.ending import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm_sse_proxy.server.exchange import Exchange


MUCH_BYTES: Final = 64 * 1024
"""A read of the socket that brings so much is the last one in this turn of the event loop."""
_BLANK_LINE: Final = b"\n\n"


class _EmptiedReader(aiohttp.StreamReader):
    """A reader that is emptied after every read of the socket.

    It has no use for what aiohttp's keeps for those who read later: marks for flow control, the places where chunks ended.
    They are two thirds of what an event costs between socket and recipient.
    """

    __slots__ = ()

    def feed_data(self, data: bytes, size: int = 0) -> bool:  # noqa: ARG002 - aiohttp's signature
        self._buffer.append(data)
        self.total_bytes += len(data)
        return False

    def begin_http_chunk_receiving(self) -> None:
        pass

    def end_http_chunk_receiving(self) -> None:
        pass

    def read_nowait(self, n: int = -1) -> bytes:
        buffer = self._buffer
        if len(buffer) == 1:
            data = buffer.popleft()
        else:
            data = b"".join(buffer)
            buffer.clear()
        if 0 < n < len(data):
            end = data.rfind(_BLANK_LINE, 0, n) + len(_BLANK_LINE)  # what stands between two is read faster
            end = end if end >= len(_BLANK_LINE) else n
            buffer.append(data[end:])
            return data[:end]
        return data


class UpstreamBody(asyncio.Protocol):
    """Delivers the body of one answer. Upstream is released when its context is left, whatever happened.

    :ivar answer: the answer that it belongs to.
    :ivar end: how the body ended; None while it has not.
    :ivar waiting_since: loop time at which upstream last began to be waited for.
    """

    __slots__ = (
        *(
            "_blocked",
            "_content",
            "_error",
            "_exchange",
            "_is_full",
            "_loop",
            "_most_bytes",
            "_over",
            "_passing_on",
            "_paused",
        ),
        *("_protocol", "_resting", "_stopped", "_take", "_transport", "_until_close"),
        *("answer", "end", "waiting_since"),
    )

    def __init__(self, answer: aiohttp.ClientResponse, exchange: Exchange) -> None:
        self.answer = answer
        self._exchange = exchange
        self._content = answer.content
        self._loop = asyncio.get_running_loop()
        connection = answer.connection
        self._protocol = None if connection is None else connection.protocol
        self._transport: asyncio.Transport | None = None  # while bytes come this way
        # Without a length or chunks only the connection marks the end, and aiohttp takes a reset for a clean one.
        self._until_close = (
            hdrs.CONTENT_LENGTH not in answer.headers and hdrs.TRANSFER_ENCODING not in answer.headers
        )
        self._take: Callable[[bytes], None] | None = None
        self._is_full: Callable[[], bool] = _never
        self._most_bytes = -1
        self._over: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._passing_on = self._stopped = False
        self._blocked = self._resting = self._paused = False
        self.end: BodyEnd | None = None
        self.waiting_since = self._loop.time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def bytes_received(self) -> int:
        """How much of the body has come, whether it was taken or not."""
        return self._content.total_bytes

    def is_waiting(self) -> bool:
        """Return whether upstream is being waited for now: nothing that it sent is left."""
        return self._over is not None and not (self._over.done() or self._blocked or self._has_more())

    async def deliver(
        self,
        take: Callable[[bytes], None],
        is_full: Callable[[], bool] | None = None,
        *,
        most_bytes: int = -1,
    ) -> None:
        """Have something take the body as it comes, until it is over or :meth:`stop` was called.

        After a stop it can be called again, at once, and goes on with what was not taken. ``end`` says whether it is over.

        :param take: is called with what has come, never with nothing.
        :param is_full: says whether nothing can be taken now; :meth:`resume` is to be called once something can. None: never.
        :param most_bytes: that are taken in one turn of the event loop, where what is made of them takes long; -1: all.
        :raises Exception: what ``take`` raised.
        """
        self._take, self._is_full, self._stopped = take, is_full or _never, False
        self._most_bytes = most_bytes
        self._attach()
        try:
            self._pass_on()
            if self.end is None and not self._stopped:
                self._over = self._loop.create_future()
                await self._over
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if not self._stopped and (rest := self._content.read_nowait()):
                self._exchange.bytes_in += len(rest)
                take(rest)  # it was ended from outside: what had come until then still counts
        finally:
            self._detach()
            self._take = self._over = None

    def stop(self) -> None:
        """Deliver nothing more: the recipient has what it wants."""
        self._stopped, self._take = True, None
        self._wake()

    def end_with(self, end: BodyEnd) -> None:
        """End the body here, if it has not ended: what came before is still delivered."""
        if self.end is None:
            self.end = end
            self._wake()

    def resume(self) -> None:
        """Go on with what was blocked: the recipient can take more."""
        if self._blocked:
            self._blocked = False
            self._adjust()
            self._pass_on()

    def release(self) -> None:
        """Release upstream now. Its connection is closed, unless the whole body came: then it is in the pool already."""
        self._detach()
        self.answer.close()

    # What the transport calls while this is its protocol.

    def data_received(self, data: bytes) -> None:
        """Have aiohttp parse bytes, and pass on what they bring of the body."""
        if self._protocol is not None:
            self._protocol.data_received(data)
        if self._content.is_eof():
            self._detach()  # aiohttp has put the connection into its pool: the next answer is another's
        elif len(data) >= MUCH_BYTES:
            self._rest()
        self._pass_on()

    def eof_received(self) -> None:
        """Take note that upstream sends no more; the transport closes then."""
        if self._protocol is not None:
            self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self._transport = None
        if self._protocol is not None:
            self._protocol.connection_lost(exc)
        self._pass_on()

    def pause_writing(self) -> None:
        """Take note that upstream is slow to take the request, which may still be on its way."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Take note that upstream takes more of the request."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    def _attach(self) -> None:
        """Take the place of aiohttp's protocol, unless all of the body is here."""
        content, protocol = self._content, self._protocol
        if type(content) is aiohttp.StreamReader:  # without a body it is one that all such answers share
            content.__class__ = _EmptiedReader
            content._http_chunk_splits = None  # noqa: SLF001 - a kilobyte that it does not need
        if content.is_eof():
            return
        if protocol is not None and protocol.transport is not None:
            self._transport = protocol.transport
            self._transport.set_protocol(self)
            protocol.resume_reading()  # it has paused if very much came before this

    def _detach(self) -> None:
        """Give the transport back to aiohttp, reading."""
        transport, self._transport = self._transport, None
        if transport is not None and self._protocol is not None:
            transport.set_protocol(self._protocol)
            if self._paused and not transport.is_closing():
                transport.resume_reading()
            self._paused = False

    def _rest(self) -> None:
        """Let the other streams have their turn."""
        if not self._resting:
            self._resting = True
            self._adjust()
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Go on with what is here, and read on."""
        self._resting = False
        self._pass_on()
        self._adjust()

    def _adjust(self) -> None:
        """Have upstream's transport read, or wait."""
        transport, pause = self._transport, self._blocked or self._resting
        if transport is None or transport.is_closing() or pause is self._paused:
            return
        self._paused = pause
        if pause:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _pass_on(self) -> None:
        """Have what is here taken, if it can be, and look whether that was the end."""
        take = self._take
        if take is None or self._passing_on or self.end is not None:
            return
        self._passing_on = True  # what is taken may make room for more, and call this again
        try:
            if self._is_full():
                self._block()
                return
            content = self._content
            if data := content.read_nowait(self._most_bytes):
                self._exchange.bytes_in += len(data)
                take(data)
            if self._take is None:
                return  # that was enough
            if data and self._has_more():
                self._rest()
            elif self._transport is None:
                self.end_with(self._find_end())
                return
            if self._is_full():
                self._block()
        except Exception as error:  # noqa: BLE001 - it belongs to the one who delivers, and the loop would only log it
            self._error = error
            self.stop()
        finally:
            self._passing_on = False
        self.waiting_since = self._loop.time()

    def _has_more(self) -> bool:
        """Return whether anything that came was not taken yet."""
        return bool(self._content._buffer)  # noqa: SLF001 - there is no other way to see it

    def _block(self) -> None:
        """Have upstream wait."""
        self._blocked = True
        self._adjust()

    def _find_end(self) -> BodyEnd:
        """Return how the body ended, now that no more will come and all was taken."""
        if not self._content.is_eof():
            return BodyEnd.RESET if self._was_reset() else BodyEnd.CUT
        return BodyEnd.RESET if self._until_close and self._was_reset() else BodyEnd.EOF

    def _was_reset(self) -> bool:
        return self._protocol is not None and isinstance(self._protocol.exception(), aiohttp.ClientOSError)

    def _wake(self) -> None:
        """Wake whoever waits for the delivery."""
        if self._over is not None and not self._over.done():
            self._over.set_result(None)


def _never() -> bool:
    return False
