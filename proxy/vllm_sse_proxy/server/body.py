"""The body of upstream's answer: its bytes, and how it ends.

What an end means for the client is decided elsewhere; here it is recognised. In most cases aiohttp distinguishes a clean end
from a broken one. Three things it leaves to its users: bytes that came before the break, a reset of a body that only the
connection ends, and chunk framing that is wrong while somebody is reading.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import hdrs
from aiohttp.http import HttpProcessingError

from vllm_sse_proxy.families import BodyEnd

if TYPE_CHECKING:
    from vllm_sse_proxy.server.exchange import Exchange


class UpstreamBody:
    """Reads the body of one answer. Upstream is released when its context is left, whatever happened.

    :ivar answer: the answer that it belongs to.
    :ivar end: how the body ended; None while it has not.
    :ivar waiting_since: loop time at which a reader last began to wait.
    """

    def __init__(self, answer: aiohttp.ClientResponse, exchange: Exchange) -> None:
        self.answer = answer
        self._exchange = exchange
        self._content = answer.content
        self._loop = asyncio.get_running_loop()
        connection = answer.connection
        self._protocol = None if connection is None else connection.protocol
        self._closed = None if self._protocol is None else self._protocol.closed
        # Without a length or chunks only the connection marks the end, and aiohttp takes a reset for a clean one.
        self._until_close = (
            hdrs.CONTENT_LENGTH not in answer.headers and hdrs.TRANSFER_ENCODING not in answer.headers
        )
        self._waiting = False
        self._emptied = False
        self.end: BodyEnd | None = None
        self.waiting_since = self._loop.time()

    def __enter__(self) -> Self:
        if self._closed is not None:
            self._closed.add_done_callback(self._on_closed)
        return self

    def __exit__(self, *_: object) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._on_closed)
        self.release()

    @property
    def bytes_received(self) -> int:
        """How much of the body has come, whether it was read or not."""
        return self._content.total_bytes

    def is_waiting(self) -> bool:
        """Return whether a reader waits for bytes now."""
        return self._waiting

    async def read(self) -> bytes:
        """Return what there is, waiting for at least a byte; ``b""`` once the body is over, and ``end`` says how."""
        if self.end is not None:  # it was ended from outside while the client was written to
            chunk = b"" if self._emptied else self._unread()
            self._exchange.bytes_in += len(chunk)
            return chunk
        self._waiting = True
        self.waiting_since = self._loop.time()
        try:
            chunk = await self._content.readany()
        except (aiohttp.ClientError, OSError):
            if self.end is None:
                self.end = BodyEnd.RESET if self._was_reset() else BodyEnd.CUT
            chunk = self._unread()
        else:
            if not chunk and self.end is None:
                self.end = BodyEnd.RESET if self._until_close and self._was_reset() else BodyEnd.EOF
        finally:
            self._waiting = False
        self._exchange.bytes_in += len(chunk)
        return chunk

    def end_with(self, end: BodyEnd) -> None:
        """End the body here, if it has not ended: what came before is still read."""
        if self.end is None:
            self.end = end
            self._content.set_exception(aiohttp.ClientPayloadError(end.value))

    def release(self) -> None:
        """Release upstream now. Its connection is closed, unless the whole body came: then it is in the pool already."""
        self.answer.close()

    def _unread(self) -> bytes:
        """Return what came before the body broke off: aiohttp would rather raise than return it."""
        self._emptied = True
        self._content.set_exception(None)  # type: ignore[arg-type]
        return self._content.read_nowait(-1)

    def _on_closed(self, closed: asyncio.Future[None]) -> None:
        """Upstream's connection closed. If bad chunk framing was the reason, aiohttp does not inform whoever is reading."""
        if not closed.cancelled():
            closed.exception()  # retrieved: what it means comes by way of the body
        if self._protocol is not None and isinstance(self._protocol.exception(), HttpProcessingError):
            self._content.set_exception(aiohttp.ClientPayloadError("bad framing"))

    def _was_reset(self) -> bool:
        return self._protocol is not None and isinstance(self._protocol.exception(), aiohttp.ClientOSError)
