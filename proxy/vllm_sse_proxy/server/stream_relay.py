"""A stream on its way through its normalizer.

Theory of operation. Each chunk goes through once, in one call: taken, fed, written. What ``feed`` returns is everything that
the chunk makes possible, and it is written before the next chunk is taken. The head of the answer goes out with the first
bytes, or once upstream has sent anything but an error: a stream that failed before that is answered with a plain HTTP error
instead.

The stream is over for the client when the normalizer says so, usually at upstream's terminal event: then the body ends at
once, and upstream is released before a slow client has taken the rest. If upstream's body ends first, there are two ways on.
If the poller has found out that the response is over, its frame is fed like upstream's own, as the last one. Otherwise the
normalizer is given the way in which the body ended, and returns what remains to be sent.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from time import perf_counter
from typing import TYPE_CHECKING

from vllm_sse_proxy.server.answers import ClientGoneError
from vllm_sse_proxy.server.body import MUCH_BYTES
from vllm_sse_proxy.server.errors import ProxyError, failed_stream
from vllm_sse_proxy.server.headers import stream_headers
from vllm_sse_proxy.server.relay import Relay
from vllm_sse_proxy.server.stream_log import StreamLog
from vllm_sse_proxy.stream.ending import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from vllm_sse_proxy.server.body import UpstreamBody
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.handling import StreamRequest
    from vllm_sse_proxy.server.silence import SilenceWatch


class StreamRelay(Relay):
    """Relays one stream of a family.

    :param stream: the request that it answers.
    :param is_last: says, when the stream begins, whether the client should use another connection for its next request.
    """

    def __init__(
        self,
        exchange: Exchange,
        body: UpstreamBody,
        request: web.BaseRequest,
        stream: StreamRequest,
        *,
        is_last: Callable[[], bool],
    ) -> None:
        super().__init__(exchange, body, request)
        self._loop = asyncio.get_running_loop()
        self._stream = stream
        self._is_last = is_last
        self._normalizer = stream.normalizer()
        self._observe = exchange.metrics.chunk_processing.observe
        self._last: bytes | None = None  # what is sent last, once the normalizer has ended the stream
        self.poller = stream.poller(body, self._normalizer)
        self._log = StreamLog.of(exchange, stream.handler.family.name, self._normalizer.tally)
        exchange.stream = True
        exchange.family = stream.handler.family.name
        exchange.tally = self._normalizer.tally

    async def run(self, watch: SilenceWatch) -> web.StreamResponse:
        """Relay the stream to its end.

        :raises ProxyError: it failed before the client was sent anything, and a real HTTP error can still be given.
        :raises ClientGoneError: the client left.
        """
        self._exchange.metrics.streams_in_flight.inc()
        try:
            with self.poller or nullcontext(), watch.watching(self):
                return await self._run()
        finally:
            self._close()

    async def _run(self) -> web.StreamResponse:
        normalizer = self._normalizer
        await self._body.deliver(self.take, self.writer.is_waiting_for_client, most_bytes=MUCH_BYTES)
        if self._last is not None:
            return await self._finish(self._last)
        self._count_failure()
        frame = None if self.poller is None else await self.poller.last_frame()
        if frame is None:
            return await self._finish(normalizer.finish(self._body.end or BodyEnd.EOF))
        data = normalizer.feed(frame)
        return await self._finish(
            data if normalizer.ended else data + normalizer.finish(BodyEnd.EOF), proven=True
        )

    def take(self, data: bytes) -> None:
        """Feed the normalizer, and write what it returns; but the end of the stream is left for :meth:`_finish`.

        :raises ClientGoneError: the client left.
        """
        normalizer, writer = self._normalizer, self.writer
        began = perf_counter()
        out = normalizer.feed(data)
        self._observe(perf_counter() - began)
        if self._log is not None:
            self._log.note_chunk(len(data))
        if normalizer.ended:
            self._last = out
            self._body.stop()
            return
        if not writer.has_begun and (out or normalizer.committed):
            self._begin(body_follows=bool(out))
        if out:
            writer.write(out)

    def _begin(self, *, body_follows: bool) -> None:
        """Send the head of the answer; see :meth:`AnswerWriter.begin`."""
        exchange, answer = self._exchange, self._body.answer
        headers = stream_headers(answer.raw_headers)
        self.writer.begin(answer, headers, body_follows=body_follows, close=self._is_last())
        exchange.metrics.time_to_first_event.observe(self._loop.time() - exchange.started_at)

    async def _finish(self, data: bytes, *, proven: bool = False) -> web.StreamResponse:
        """Release upstream, send the last bytes and end the body.

        :param proven: the end is one that upstream has confirmed, whatever its body looked like.
        :raises ProxyError: the stream failed before the client was sent anything.
        """
        normalizer, writer, end = self._normalizer, self.writer, self._body.end
        if self.poller is not None:
            self.poller.stop()
        self._body.release()
        if not writer.has_begun:
            if normalizer.failure is not None and not (normalizer.committed or proven):
                raise ProxyError(failed_stream(normalizer.failure))
            self._begin(body_follows=bool(data))
        if not data and not proven and end not in {None, BodyEnd.EOF}:
            return writer.cut()  # observe mode: the normalizer adds nothing, so the cut itself must show
        return await writer.end(data)

    def keep_alive(self) -> None:
        """Send a keep-alive, if the stream has begun. It is called between two chunks, so this falls between two frames."""
        if self.writer.has_begun:
            self._exchange.metrics.keepalives.inc()
            with suppress(ClientGoneError):  # the handler is being cancelled for the same reason
                self.writer.write(self._stream.keepalive(self._normalizer))

    def _close(self) -> None:
        """Count the stream, however it ended."""
        exchange, stream = self._exchange, self._stream
        end = BodyEnd.SHUTDOWN if exchange.stopping else BodyEnd.CLIENT_GONE
        ending = exchange.end_stream(stream.handler.family.name, self._normalizer, end, self._loop.time())
        stream.note_end(self._normalizer)
        if self._log is not None:
            self._log.note_end(ending)
