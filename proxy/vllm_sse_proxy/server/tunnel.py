"""A WebSocket on its way: once upstream has agreed to the upgrade, bytes cross both ways as they come.

Frames are not read (ADR 20): masks, extensions, pings, subprotocols and close codes are between the client and vLLM, and a
frame of any size takes no more room here than a small one. What lies between the two sides is bounded as for every other
body; when one side is gone, so is the other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import hdrs
from aiohttp.http import StreamWriter

from vllm_sse_proxy.server.answers import AnswerWriter
from vllm_sse_proxy.server.headers import answer_headers
from vllm_sse_proxy.settings import Limit

if TYPE_CHECKING:
    from aiohttp import web

    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.silence import SilenceWatch

BUFFER_BYTES: Final = 64 * 1024
"""What is read ahead of the other side, in bytes; reading stops at twice that."""


class Intake:
    """Takes what a connection receives after its upgrade; aiohttp calls it where it would call its WebSocket parser."""

    def __init__(self, reader: aiohttp.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; those that come after the end was declared are dropped."""
        if not self._reader.is_eof():
            self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        """Take note that the connection is closed."""
        if not self._reader.is_eof():
            self._reader.feed_eof()


class Tunnel:
    """Relays one upgraded connection to its end.

    :param answer: upstream's 101, on a connection that is upgraded.
    :ivar writer: the client's side, in the direction to the client.
    :ivar poller: nobody polls for a WebSocket.
    :ivar waiting_since: loop time at which bytes last came from either side.
    """

    poller: None = None

    def __init__(self, exchange: Exchange, answer: aiohttp.ClientResponse, request: web.BaseRequest) -> None:
        self._exchange = exchange
        self._answer = answer
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._from_upstream: aiohttp.StreamReader | None = None
        self.writer = AnswerWriter(exchange, request)
        self.waiting_since = self.writer.last_write
        exchange.relay = self

    async def run(self, watch: SilenceWatch) -> web.StreamResponse:
        """Relay bytes until one side closes, both are silent for the idle limit, or the proxy has to stop.

        :raises ClientGoneError: the client left before it got the answer.
        """
        exchange, answer = self._exchange, self._answer
        connection = answer.connection
        if connection is None or connection.protocol is None:
            raise aiohttp.ServerDisconnectedError
        headers = answer_headers(answer.raw_headers)
        headers[hdrs.CONNECTION], headers[hdrs.UPGRADE] = "Upgrade", "websocket"
        upstream, client = connection.protocol, self._request.protocol
        from_upstream = self._from_upstream = aiohttp.StreamReader(upstream, BUFFER_BYTES, loop=self._loop)
        from_client = aiohttp.StreamReader(client, BUFFER_BYTES, loop=self._loop)
        to_upstream = StreamWriter(upstream, self._loop)
        exchange.metrics.websockets_in_flight.inc()
        sending: asyncio.Task[None] | None = None
        try:
            with watch.watching(self):
                self.writer.begin(answer, headers, close=True)
                client.set_parser(Intake(from_client))  # type: ignore[arg-type] # it is one by its methods
                upstream.set_parser(Intake(from_upstream), from_upstream)
                sending = self._loop.create_task(self._send(from_client, to_upstream))
                await self._receive(from_upstream)
            exchange.ending = exchange.ending or "ok"
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.wait({sending})
            transport = upstream.transport
            if transport is not None and (rest := from_client.read_nowait()):
                transport.write(
                    rest
                )  # a client's last words may arrive together with its end; close() still sends them
            answer.close()
            exchange.metrics.websockets_in_flight.dec()
        return self.writer.response

    async def _receive(self, source: aiohttp.StreamReader) -> None:
        while data := await source.readany():
            self.waiting_since = self._loop.time()
            self._exchange.bytes_in += len(data)
            self.writer.write(data)
            await self.writer.drain()

    async def _send(self, source: aiohttp.StreamReader, sink: StreamWriter) -> None:
        while data := await source.readany():
            self.waiting_since = self._loop.time()
            try:
                await sink.write(data)
            except ConnectionError:
                return  # upstream is gone; the other direction ends for the same reason

    def stop(self) -> None:
        """Close both sides: the proxy has to stop. A client sees an abnormal closure (1006), not a clean one."""
        self._end("shutdown")

    def is_waiting_for_upstream(self) -> bool:
        """Return True: upstream is waited for from the upgrade to the end."""
        return True

    def end_idle(self) -> None:
        """Close both sides: neither sent anything for the idle limit."""
        self._exchange.hit(Limit.IDLE)
        self._end("idle_timeout")

    def keep_alive(self) -> None:
        """Send nothing: pings are between the two ends."""

    def _end(self, ending: str) -> None:
        if self._from_upstream is not None and not self._from_upstream.is_eof():
            self._exchange.ending = ending
            self._from_upstream.feed_eof()
