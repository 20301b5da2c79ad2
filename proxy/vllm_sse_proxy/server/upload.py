"""The request's body on its way to upstream, and how long the client may take to send it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from vllm_sse_proxy.server import errors
from vllm_sse_proxy.server.admission import expects_continue
from vllm_sse_proxy.server.errors import ProxyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vllm_sse_proxy.settings import ServerSettings

SLOWEST_BODY_BYTES_PER_SECOND: Final = 500
"""The rate at which a request's body must arrive in the long run: below it, Apache gives a client up by default. No network
that can carry an answer is as slow."""


class Upload:
    """Reads the body of a request.

    :ivar waiting: whether the client is being waited for.
    :ivar refusal: what to answer a client whose body is invalid or too large.
    :ivar deadline: the timeout that runs until upstream answers; moved with every piece that arrives.
    :raises ProxyError: the client expects something that the proxy does not support.
    """

    def __init__(self, request: web.BaseRequest, settings: ServerSettings) -> None:
        self._request = request
        self._content = request.content
        self._loop = asyncio.get_running_loop()
        self._answer_seconds = settings.first_byte_timeout_seconds
        self._body_seconds = self._patience = settings.request_body_timeout_seconds
        self._max_bytes = settings.max_request_body_bytes
        self._bytes = 0
        self._read: list[bytes] = []
        self._invite = request.body_exists and expects_continue(request)
        self._waited = False
        self.waiting = False
        self.refusal: ProxyError | None = None
        self.deadline: asyncio.Timeout | None = None

    def is_here(self, limit_bytes: int) -> bool:
        """Return whether all of the body has come, and is not larger than that."""
        return self._content.is_eof() and self._content.total_bytes <= limit_bytes

    async def read(self, limit_bytes: int) -> bytes | None:
        """Return the whole body, or None if it is larger; then :meth:`stream` still gives all of it."""
        size = 0
        while piece := await self._next():
            self._read.append(piece)
            size += len(piece)
            if size > limit_bytes:
                return None
        return b"".join(self._read)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body piece by piece, as it arrives."""
        for piece in self._read:
            yield piece
        self._read.clear()
        while piece := await self._next():
            yield piece

    async def _next(self) -> bytes:
        """Wait for a piece of the body.

        The client has an account of seconds. Waiting draws on it, each byte pays in, and it never holds more than at the
        start: so neither silence nor a trickle of single bytes lasts.
        """
        if self._content.is_eof() and not self._waited:  # all of it is here: nobody is waited for
            return self._counted(await self._received())
        self._waited = True
        if self._invite:
            self._invite = False
            await self._send_continue()
        began = self._loop.time()
        self._move_deadline(began + max(self._patience, 0.0) if self._body_seconds else None)
        self.waiting = True
        piece = await self._received()
        self.waiting = False
        now = self._loop.time()
        self._patience = min(
            self._body_seconds, self._patience - (now - began) + len(piece) / SLOWEST_BODY_BYTES_PER_SECOND
        )
        self._move_deadline(now + self._answer_seconds)
        return self._counted(piece)

    async def _received(self) -> bytes:
        try:
            return await self._content.readany()
        except (web.RequestPayloadError, HttpProcessingError):
            self.refusal = ProxyError(errors.INVALID_BODY)
            raise self.refusal from None

    def _counted(self, piece: bytes) -> bytes:
        self._bytes += len(piece)
        if self._max_bytes and self._bytes > self._max_bytes:
            self.refusal = ProxyError(errors.BODY_TOO_LARGE)
            raise self.refusal
        return piece

    def _move_deadline(self, when: float | None) -> None:
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(when)

    async def _send_continue(self) -> None:
        """Invite a client that asked to send its body: upstream is there and takes it."""
        writer = self._request.writer
        await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.output_size = 0  # else aiohttp takes it for the beginning of an answer
