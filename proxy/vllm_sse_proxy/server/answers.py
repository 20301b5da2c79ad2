"""The answer as the client gets it: its head, its body, and a client that may be slow or gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from vllm_sse_proxy.config import Limit
from vllm_sse_proxy.server.headers import REQUEST_ID_HEADER

if TYPE_CHECKING:
    from collections.abc import Coroutine

    import aiohttp
    from multidict import CIMultiDict

    from vllm_sse_proxy.server.exchange import Exchange


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
    """Writes the answer to one request. Each call returns once the client keeps up, so a slow client slows upstream down.

    :ivar last_write: loop time of the last bytes to the client, or of the beginning.
    """

    def __init__(self, exchange: Exchange, request: web.BaseRequest) -> None:
        self._exchange = exchange
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._response: RelayedResponse | None = None
        self._writing = False
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

    async def begin(
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
        try:
            await response.prepare(self._request)
        except ConnectionError:
            raise ClientGoneError from None

    def write(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Send bytes of the body.

        :raises ClientGoneError: the client left.
        """
        return self._send(data, last=False)

    async def end(self, data: bytes = b"") -> web.StreamResponse:
        """Send the last bytes and end the body; return the response for aiohttp.

        :raises ClientGoneError: the client left.
        """
        await self._send(data, last=True)
        return self.response

    async def _send(self, data: bytes, *, last: bool) -> None:
        response, exchange = self.response, self._exchange
        self.last_write = self._loop.time()
        if data and exchange.first_byte_at is None:
            exchange.first_byte_at = self.last_write
        self._writing = True
        try:
            await (response.write_eof(data) if last else response.write(data))
        except ConnectionError:
            raise ClientGoneError from None
        finally:
            self._writing = False
        exchange.bytes_out += len(data)

    def cut(self) -> web.StreamResponse:
        """Close the client's connection in the middle of the body, so that the answer cannot be mistaken for a whole one."""
        response = self.response
        response.force_close()
        self._request.protocol.force_close()
        return response

    def is_waiting_for_client(self) -> bool:
        """Return whether the client has not yet taken what was last written."""
        return self._writing

    def abort_slow_client(self) -> None:
        """Close the connection of a client that took nothing for too long, without another byte: none would be taken."""
        self._exchange.hit(Limit.CLIENT_WRITE)
        transport = self._request.transport
        if transport is not None:
            transport.abort()
