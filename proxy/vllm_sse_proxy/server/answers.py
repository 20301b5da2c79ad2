"""The answer as the client gets it: its head, its body, and a client that may be slow or gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aiohttp import hdrs, web
from aiohttp.http import StreamWriter

from vllm_sse_proxy.server.clients import connection_of
from vllm_sse_proxy.server.headers import REQUEST_ID_HEADER
from vllm_sse_proxy.settings import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import aiohttp
    from multidict import CIMultiDict

    from vllm_sse_proxy.server.exchange import Exchange

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client's connection broke while something was sent to it."""


class RelayedResponse(web.StreamResponse):
    """An answer with upstream's headers, and no others but ``Date``.

    That one a recipient with a clock has to add (RFC 9110, section 6.6.1).

    :param body_follows: bytes of the body are here already and will be written at once: the head goes out with them, in
        one system call and one packet.
    """

    def __init__(
        self,
        *,
        status: int,
        reason: str | None,
        headers: CIMultiDict[str],
        body_follows: bool = False,
    ) -> None:
        super().__init__(status=status, reason=reason, headers=headers)
        # What aiohttp's own web.Response does. Should aiohttp rename it, heads go ahead again: slower, not wrong.
        self._send_headers_immediately = not body_follows
        self._left_out = tuple(name for name in (hdrs.CONTENT_TYPE, hdrs.SERVER) if name not in headers)

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        for name in self._left_out:
            self.headers.popall(name, None)


class AnswerWriter:
    """Writes the answer to one request.

    Nothing here waits, but :meth:`end` and :meth:`drain`: whoever writes more asks first whether the client keeps up.

    :ivar last_write: loop time of the last bytes to the client, or of the beginning.
    """

    __slots__ = (
        *("_chunked", "_connection", "_exchange", "_head_waits", "_loop", "_request", "_response", "_writer"),
        "last_write",
    )

    def __init__(self, exchange: Exchange, request: web.BaseRequest) -> None:
        self._exchange = exchange
        self._request = request
        self._connection = connection_of(request)
        self._loop = asyncio.get_running_loop()
        self._response: RelayedResponse | None = None
        self._writer: StreamWriter | None = None
        self._head_waits = self._chunked = False
        self.last_write = self._loop.time()

    @property
    def has_begun(self) -> bool:
        """Whether the head was sent: from then on no other answer can be given."""
        return self._response is not None

    @property
    def response(self) -> RelayedResponse:
        """The answer, once it has begun, for aiohttp."""
        if self._response is None:  # pragma: no cover - the relays begin before they write
            raise RuntimeError("the answer has not begun")
        return self._response

    def begin(
        self,
        answer: aiohttp.ClientResponse,
        headers: CIMultiDict[str],
        *,
        body_follows: bool = False,
        close: bool = False,
    ) -> None:
        """Send the head, or have it go out with the first bytes of the body.

        :param answer: upstream's, for the status.
        :param headers: all of them but the request id.
        :param body_follows: see :class:`RelayedResponse`.
        :param close: ask the client to use another connection for its next request.
        :raises ClientGoneError: the client left.
        """
        headers[REQUEST_ID_HEADER] = self._exchange.request_id
        response = self._response = RelayedResponse(
            status=answer.status, reason=answer.reason, headers=headers, body_follows=body_follows
        )
        if close:
            response.force_close()
        self._exchange.status = response.status
        self._head_waits = body_follows
        try:
            writer = at_once(response.prepare(self._request))
        except ConnectionError:
            raise ClientGoneError from None
        if not isinstance(writer, StreamWriter):  # pragma: no cover - aiohttp has no other
            raise TypeError
        self._writer = writer
        self._chunked = writer.chunked

    def write(self, data: bytes) -> None:
        """Send bytes of the body, of which there are some.

        Once aiohttp has written the head, nothing is left to do but to frame them: its own way costs ten times as much.

        :raises ClientGoneError: the client left.
        """
        exchange = self._exchange
        self.last_write = self._loop.time()
        exchange.bytes_out += len(data)
        if exchange.first_byte_at is None:
            exchange.first_byte_at = self.last_write
        if self._head_waits and self._writer is not None:
            self._head_waits = False
            try:
                at_once(self._writer.write(data, drain=False))
            except ConnectionError:
                raise ClientGoneError from None
            return
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ClientGoneError
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def drain(self) -> None:
        """Return once the client has taken most of what was written.

        :raises ClientGoneError: the client left.
        """
        if self._writer is not None:
            try:
                await self._writer.drain()
            except ConnectionError:
                raise ClientGoneError from None

    async def end(self, data: bytes = b"") -> web.StreamResponse:
        """Send the last bytes and end the body; return the response for aiohttp, once the client has taken most of it.

        :raises ClientGoneError: the client left.
        """
        exchange = self._exchange
        self.last_write = self._loop.time()
        exchange.bytes_out += len(data)
        if data and exchange.first_byte_at is None:
            exchange.first_byte_at = self.last_write
        try:
            await self.response.write_eof(data)
        except ConnectionError:
            raise ClientGoneError from None
        return self.response

    def cut(self) -> web.StreamResponse:
        """Close the client's connection in the middle of the body, so that the answer cannot be mistaken for a whole one."""
        response = self.response
        response.force_close()
        self._connection.force_close()
        return response

    def when_drained(self, call: Callable[[], None]) -> None:
        """Have something called whenever the client, after it could not keep up, has taken most of what was written."""
        self._connection.drained = call

    def is_waiting_for_client(self) -> bool:
        """Return whether the client does not keep up: more was written than should wait for it."""
        return self._connection.writing_paused

    def abort_slow_client(self) -> None:
        """Close the connection of a client that took nothing for too long, without another byte: none would be taken."""
        self._exchange.hit(Limit.CLIENT_WRITE)
        transport = self._connection.transport
        if transport is not None:
            transport.abort()


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as result:
        return cast("T", result.value)
    coroutine.close()
    raise RuntimeError("aiohttp waits where it did not wait before")
