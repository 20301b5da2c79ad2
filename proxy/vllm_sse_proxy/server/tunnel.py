"""A WebSocket on its way: once upstream has agreed to the upgrade, bytes cross both ways as they come.

Frames are not read (ADR 0020): masks, extensions, pings, subprotocols and close codes are between the client and vLLM, and a
frame of any size takes no more room here than a small one. What lies between the two sides is bounded as for every other
body; when one side is gone, so is the other.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import hdrs, web
from aiohttp.http import StreamWriter

from vllm_sse_proxy.server.headers import REQUEST_ID_HEADER, answer_headers
from vllm_sse_proxy.server.relay import ClientGoneError, RelayedResponse, abort

if TYPE_CHECKING:
    from vllm_sse_proxy.metrics import Metrics
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.silence import SilenceWatch

BUFFER_BYTES: Final = 64 * 1024
"""What is read ahead of the other side, in bytes; reading stops at twice that."""


class Intake:
    """Takes what a connection receives after its upgrade; aiohttp calls it where it would call its WebSocket parser."""

    def __init__(self, reader: aiohttp.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; what comes after the end was declared goes nowhere."""
        if not self._reader.is_eof():
            self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        """Take note that the connection is closed."""
        if not self._reader.is_eof():
            self._reader.feed_eof()


class Tunnel:
    """Carries one upgraded connection to its end.

    :param answer: upstream's 101, on a connection that is upgraded.
    :ivar waiting_since: loop time at which bytes last came from either side.
    """

    def __init__(
        self, exchange: Exchange, answer: aiohttp.ClientResponse, request: web.BaseRequest, metrics: Metrics
    ) -> None:
        self._exchange = exchange
        self._answer = answer
        self._request = request
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._from_upstream: aiohttp.StreamReader | None = None
        self._writing = False
        self.waiting_since = self.last_write = self._loop.time()
        self.asked_at = -math.inf

    async def run(self, watch: SilenceWatch) -> web.StreamResponse:
        """Carry bytes until one side closes, is silent with the other for the idle limit, or the proxy has to stop.

        :raises ClientGoneError: the client left before it got the answer.
        """
        exchange, answer, request = self._exchange, self._answer, self._request
        connection = answer.connection
        if connection is None or connection.protocol is None:
            raise aiohttp.ServerDisconnectedError
        headers = answer_headers(answer.raw_headers)
        headers[hdrs.CONNECTION] = "Upgrade"
        headers[hdrs.UPGRADE] = "websocket"
        headers[REQUEST_ID_HEADER] = exchange.request_id
        response = RelayedResponse(status=answer.status, reason=answer.reason, headers=headers)
        response.force_close()
        upstream, client = connection.protocol, request.protocol
        from_upstream = self._from_upstream = aiohttp.StreamReader(upstream, BUFFER_BYTES, loop=self._loop)
        from_client = aiohttp.StreamReader(client, BUFFER_BYTES, loop=self._loop)
        to_upstream = StreamWriter(upstream, self._loop)
        exchange.relay = self
        self._metrics.websockets_in_flight.inc()
        sending: asyncio.Task[None] | None = None
        try:
            with watch.watching(self):
                exchange.status = response.status
                try:
                    await response.prepare(request)
                except ConnectionError:
                    raise ClientGoneError from None
                client.set_parser(Intake(from_client))  # type: ignore[arg-type] # it is one by its methods
                upstream.set_parser(Intake(from_upstream), from_upstream)
                sending = self._loop.create_task(self._send(from_client, to_upstream))
                await self._receive(from_upstream, response)
            exchange.ending = exchange.ending or "ok"
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.wait({sending})
            transport = upstream.transport
            if transport is not None and (rest := from_client.read_nowait()):
                transport.write(
                    rest
                )  # a client's last words may come in one go with its end; close() still sends them
            answer.close()
            exchange.relay = None
            self._metrics.websockets_in_flight.dec()
        return response

    async def _receive(self, source: aiohttp.StreamReader, response: web.StreamResponse) -> None:
        while data := await source.readany():
            self.waiting_since = self._loop.time()
            if self._exchange.first_byte_at is None:
                self._exchange.first_byte_at = self.waiting_since
            self._exchange.bytes_in += len(data)
            self.last_write = self.waiting_since
            self._writing = True
            try:
                await response.write(data)
            except ConnectionError:
                raise ClientGoneError from None
            finally:
                self._writing = False
            self._exchange.bytes_out += len(data)

    async def _send(self, source: aiohttp.StreamReader, sink: StreamWriter) -> None:
        while data := await source.readany():
            self.waiting_since = self._loop.time()
            try:
                await sink.write(data)
            except ConnectionError:
                return  # upstream is gone; the other direction ends for the same reason

    def stop(self) -> None:
        """The proxy has to stop: close both sides. A client sees an abnormal closure (1006), not a clean one."""
        self._end("shutdown")

    def cancelled(self, response_id: str) -> None:
        """Take note that a response was cancelled; none is known to be in here."""

    def is_waiting(self) -> bool:
        """Say that it is upstream that is waited for: so it is from the upgrade to the end."""
        return True

    def idle(self) -> None:
        """Neither side sent anything for the idle limit: close both."""
        self._hit("idle_timeout_seconds")
        self._end("idle_timeout")

    def is_stuck(self) -> bool:
        """Say whether it is the client that takes nothing."""
        return self._writing

    def slow_reader(self) -> None:
        """The client took nothing for too long: give it up, and upstream with it."""
        self._hit("client_write_timeout_seconds")
        abort(self._request)

    def ask_status(self) -> None:
        """Ask nothing."""

    def keep_alive(self) -> None:
        """Send nothing: pings are between the two ends."""

    def _hit(self, limit: str) -> None:
        self._exchange.limit = limit
        self._metrics.limits_hit.labels(limit).inc()

    def _end(self, ending: str) -> None:
        if self._from_upstream is not None and not self._from_upstream.is_eof():
            self._exchange.ending = ending
            self._from_upstream.feed_eof()
