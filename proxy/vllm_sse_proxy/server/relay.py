"""The two ways an answer crosses the proxy: untouched, or through a ``StreamNormalizer``.

One read, at most one write, and the write is awaited: a slow client slows upstream down, and what lies between them is
bounded (aiohttp's read buffer, 128 KiB at most, and as much again in the transport). What the end of upstream's body means is
decided by the normalizer; here it is recognised, and the last bytes are carried.
"""

from __future__ import annotations

import asyncio
import logging
import math
from time import perf_counter
from typing import TYPE_CHECKING, Final, Self

import aiohttp
from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError

from vllm_sse_proxy import BodyEnd, Ending
from vllm_sse_proxy.logs import emit
from vllm_sse_proxy.server.errors import stream_failure
from vllm_sse_proxy.server.headers import REQUEST_ID_HEADER, answer_headers, stream_headers
from vllm_sse_proxy.server.stored import RefusedError, UnreadableError
from vllm_sse_proxy.sse import encode_comment, encode_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from multidict import CIMultiDict

    from vllm_sse_proxy import StreamNormalizer
    from vllm_sse_proxy.metrics import Metrics
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.silence import SilenceWatch
    from vllm_sse_proxy.server.status import StatusProbe, Verdict

# So many questions in a row that find nobody listening, with the stream silent all the while, and upstream is dead. When its
# engine dies, vLLM stops listening, but waits for its open streams to end, and those of background responses never do. One
# refusal may be a restart of something in between; three are 20 s apart by default.
_REFUSALS_OF_THE_DEAD: Final = 3

# A cancelled response has no end, only a last word, and what vLLM had made of it by then may still be on its way: it is over
# when so long nothing came. Longer than a busy server's pauses, and short for somebody who has just cancelled.
_LAST_WORD_SECONDS: Final = 0.5

_KEEP_ALIVE_COMMENT: Final = encode_comment(b"keep-alive")

# Ends of a body that tell nothing by themselves: whether the response is over may still be asked.
_UNEXPLAINED: Final = frozenset({BodyEnd.EOF, BodyEnd.CUT, BodyEnd.RESET})

# Failures that upstream's body may end with, as the label of sse_proxy_upstream_failures_total.
_CAUSES: Final = {BodyEnd.CUT: "cut", BodyEnd.RESET: "reset", BodyEnd.IDLE_TIMEOUT: "idle"}


class ClientGoneError(Exception):
    """The client's connection broke while something was sent to it."""


class RelayedResponse(web.StreamResponse):
    """An answer with upstream's headers, and no others (see :func:`keep_headers`).

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
        # What aiohttp's own web.Response does. Should it forget the name, heads go ahead again: slower, not wrong.
        self._send_headers_immediately = not body_follows
        self.left_out = tuple(name for name in (hdrs.CONTENT_TYPE, hdrs.SERVER) if name not in headers)


def keep_headers(response: RelayedResponse) -> None:
    """Take out again what aiohttp adds to a relayed answer, just before its head is sent.

    ``Date`` stays: a recipient with a clock has to add one (RFC 9110, section 6.6.1).
    """
    for name in response.left_out:
        response.headers.popall(name, None)


def abort(request: web.BaseRequest) -> None:
    """Close a client's connection without another byte: what is buffered for it would never be taken."""
    transport = request.transport
    if transport is not None:
        transport.abort()


class Relay:
    """Carries one answer. Upstream is released when the relay is closed, whatever happened; use it as a context.

    :ivar end: how upstream's body ended; None while it has not.
    :ivar waiting_since: loop time at which it last began to wait for upstream.
    :ivar last_write: loop time of the last bytes to the client.
    :ivar asked_at: loop time at which upstream was last asked how the response stands.
    """

    def __init__(
        self, exchange: Exchange, answer: aiohttp.ClientResponse, request: web.BaseRequest, metrics: Metrics
    ) -> None:
        self._exchange = exchange
        self._answer = answer
        self._content = answer.content
        self._request = request
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        connection = answer.connection
        self._protocol = None if connection is None else connection.protocol
        self._closed = None if self._protocol is None else self._protocol.closed
        # Without a length or chunks only the connection tells the end, and aiohttp takes a reset for a clean one.
        self._until_close = (
            hdrs.CONTENT_LENGTH not in answer.headers and hdrs.TRANSFER_ENCODING not in answer.headers
        )
        self._waiting = False
        self._writing = False
        self._emptied = False
        self.end: BodyEnd | None = None
        self.waiting_since = self.last_write = self._loop.time()
        self.asked_at = -math.inf

    def __enter__(self) -> Self:
        self._exchange.relay = self
        if self._closed is not None:
            self._closed.add_done_callback(self._on_closed)
        return self

    def __exit__(self, *_: object) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._on_closed)
        self.close_upstream()
        self._exchange.relay = None

    def close_upstream(self) -> None:
        """Release upstream now. Its connection is closed, unless the whole body came: then it is in the pool already."""
        self._answer.close()

    def stop(self) -> None:
        """The proxy has to stop: end upstream's body here."""
        self._end_with(BodyEnd.SHUTDOWN)

    def is_waiting(self) -> bool:
        """Say whether it is upstream that is being waited for (and not a slow client)."""
        return self._waiting

    def idle(self) -> None:
        """Upstream was silent for too long: end its body here."""
        if self.end is None:
            self._hit("idle_timeout_seconds")
        self._end_with(BodyEnd.IDLE_TIMEOUT)

    def ask_status(self) -> None:
        """Ask nothing: a body that is not read may be anything."""

    def cancelled(self, response_id: str) -> None:
        """Take note that this response was cancelled."""

    def keep_alive(self) -> None:
        """Send nothing: a body that is not read cannot be added to."""

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

    def count_failure(self) -> None:
        """Count an end of the body that is upstream's fault."""
        cause = None if self.end is None else _CAUSES.get(self.end)
        if cause is not None:
            self._metrics.upstream_failures.labels(cause).inc()

    def cut(self, response: web.StreamResponse) -> None:
        """Close the client's connection in the middle of the body, so that it cannot take the answer for a whole one."""
        response.force_close()
        protocol = self._request.protocol
        protocol.force_close()

    async def start(self, response: web.StreamResponse) -> None:
        """Send the headers."""
        self._exchange.status = response.status
        try:
            await response.prepare(self._request)
        except ConnectionError:
            raise ClientGoneError from None

    async def write(self, response: web.StreamResponse, data: bytes) -> None:
        """Send bytes; returns once the client keeps up."""
        exchange = self._exchange
        self.last_write = self._loop.time()
        if exchange.first_byte_at is None:
            exchange.first_byte_at = self.last_write
        self._writing = True
        try:
            await response.write(data)
        except ConnectionError:
            raise ClientGoneError from None
        finally:
            self._writing = False
        exchange.bytes_out += len(data)

    async def write_end(self, response: web.StreamResponse, data: bytes = b"") -> None:
        """Send the last bytes and end the body; returns once the client has taken nearly all of it."""
        exchange = self._exchange
        self.last_write = self._loop.time()
        if data and exchange.first_byte_at is None:
            exchange.first_byte_at = self.last_write
        self._writing = True
        try:
            await response.write_eof(data)
        except ConnectionError:
            raise ClientGoneError from None
        finally:
            self._writing = False
        exchange.bytes_out += len(data)

    def is_stuck(self) -> bool:
        """Say whether it is the client that is being waited for."""
        return self._writing

    def slow_reader(self) -> None:
        """The client took nothing for too long: give it up. Upstream is released as for any client that left."""
        self._hit("client_write_timeout_seconds")
        abort(self._request)

    def _hit(self, limit: str) -> None:
        self._exchange.limit = limit
        self._metrics.limits_hit.labels(limit).inc()

    def _end_with(self, end: BodyEnd) -> None:
        if self.end is None:
            self.end = end
            self._content.set_exception(aiohttp.ClientPayloadError(end.value))

    def _unread(self) -> bytes:
        """Return what came before the body broke off: aiohttp would rather raise than give it."""
        self._emptied = True
        self._content.set_exception(None)  # type: ignore[arg-type]
        return self._content.read_nowait(-1)

    def _on_closed(self, closed: asyncio.Future[None]) -> None:
        """Upstream's connection closed. If that was because of bad chunk framing, aiohttp tells nobody who is reading."""
        if not closed.cancelled():
            closed.exception()  # seen: what it means comes by way of the body
        if self._protocol is not None and isinstance(self._protocol.exception(), HttpProcessingError):
            self._content.set_exception(aiohttp.ClientPayloadError("bad framing"))

    def _was_reset(self) -> bool:
        return self._protocol is not None and isinstance(self._protocol.exception(), aiohttp.ClientOSError)


class PassThrough(Relay):
    """An answer that is not read: status, headers and body bytes as upstream sent them."""

    async def run(self, watch: SilenceWatch, *, close: bool) -> web.StreamResponse:
        """Carry the answer to its end.

        :param close: ask the client to open another connection for its next request.
        :raises ClientGoneError: the client left.
        """
        answer = self._answer
        headers = answer_headers(answer.raw_headers)
        headers[REQUEST_ID_HEADER] = self._exchange.request_id
        response = RelayedResponse(
            status=answer.status,
            reason=answer.reason,
            headers=headers,
            body_follows=self._content.total_bytes > 0,  # nothing was read yet, so it waits here
        )
        if close:
            response.force_close()
        with self, watch.watching(self):
            await self.start(response)
            while chunk := await self.read():
                await self.write(response, chunk)
                del chunk  # it may be long until the next one
            if self.end is BodyEnd.EOF:
                await self.write_end(response)
                self._exchange.ending = "ok"
            else:
                self._exchange.ending = str(self.end)
                self.count_failure()
                self.cut(response)
        return response


class StreamRelay(Relay):
    """A Responses stream on its way through its normalizer.

    :param keepalive_event: send keep-alives as events instead of comments.
    :param keepalives: whether this stream may hold any; not when upstream's bytes must stay as they are.
    :param probe: asks upstream how the response stands; None: it is never asked.
    :param is_last: says, when the stream begins, whether the client should open another connection for its next request.
    """

    def __init__(
        self,
        exchange: Exchange,
        answer: aiohttp.ClientResponse,
        request: web.BaseRequest,
        metrics: Metrics,
        *,
        normalizer: StreamNormalizer,
        keepalives: bool,
        keepalive_event: bool,
        probe: StatusProbe | None,
        is_last: Callable[[], bool],
    ) -> None:
        super().__init__(exchange, answer, request, metrics)
        self._normalizer = normalizer
        self._keepalives = keepalives
        self._keepalive_event = keepalive_event
        self._response: RelayedResponse | None = None
        self._keepalive_task: asyncio.Task[None] | None = None
        self._probe = probe
        self._poll_task: asyncio.Task[None] | None = None
        self._ask_again = False
        self._refusals = 0  # questions in a row that found nobody listening
        self._refused_at = 0  # bytes of the body that had come by then
        self._verdict: Verdict | None = None
        self._is_last = is_last
        exchange.stream = True
        exchange.tally = normalizer.tally

    async def run(self, watch: SilenceWatch) -> web.StreamResponse:
        """Carry the stream to its end.

        :raises ProxyError: it failed before it told anything, and the client can still be given a real HTTP error.
        :raises ClientGoneError: the client left.
        """
        self._metrics.streams_in_flight.inc()
        try:
            with self, watch.watching(self):
                return await self._run()
        finally:
            self._close()

    async def _run(self) -> web.StreamResponse:
        normalizer = self._normalizer
        observe = self._metrics.chunk_processing.observe
        while chunk := await self.read():
            began = perf_counter()
            made = normalizer.feed(chunk)
            observe(perf_counter() - began)
            if normalizer.ended:
                return await self._finish(made)
            if self._response is not None:
                if made:
                    await self.write(self._response, made)
            elif made or normalizer.committed:
                response = await self._commit(body_follows=bool(made))
                if made:
                    await self.write(response, made)
            del chunk, made  # it may be long until the next ones
        if self._verdict is None:
            self.count_failure()
            await self._explain()
        if self._verdict is not None:
            return await self._finish(self._told(self._verdict))
        return await self._finish(normalizer.finish(self.end or BodyEnd.EOF))

    async def _commit(self, *, body_follows: bool) -> RelayedResponse:
        """Send the head, or have it go out with the first bytes of the body."""
        headers = stream_headers(self._answer.raw_headers)
        headers[REQUEST_ID_HEADER] = self._exchange.request_id
        response = RelayedResponse(
            status=self._answer.status,
            reason=self._answer.reason,
            headers=headers,
            body_follows=body_follows,
        )
        if self._is_last():
            response.force_close()
        await self.start(response)
        self._metrics.time_to_first_event.observe(self._loop.time() - self._exchange.started_at)
        self._response = response
        return response

    async def _finish(self, data: bytes) -> web.StreamResponse:
        """Send the last bytes, end the body, and release upstream before a slow client has taken them."""
        response, self._response = self._response, None  # no keep-alive from here on
        self._stop_asking()
        self.close_upstream()
        normalizer = self._normalizer
        proven = self._verdict is not None
        if response is None and normalizer.failure is not None and not (normalizer.committed or proven):
            raise stream_failure(normalizer.failure)
        if response is None:
            response = await self._commit(body_follows=bool(data))
            self._response = None
        if not data and not proven and self.end not in {None, BodyEnd.EOF}:
            self.cut(
                response
            )  # the normalizer had nothing to say about it (observe mode): then the cut itself must show
            return response
        await self.write_end(response, data)
        return response

    def stop(self) -> None:
        """The proxy has to stop: end upstream's body here, and wait for no answer about it."""
        super().stop()
        self._stop_asking()

    def ask_status(self) -> None:
        """Ask upstream how the response stands, if it can be asked about this one and is not being asked already."""
        if self._probe is not None and self._probe.regular and not self._asking():
            self._start_asking()

    def cancelled(self, response_id: str) -> None:
        """A response was cancelled: if it is this one, ask at once, whatever an answer that is on its way will say."""
        if (
            self._probe is None
            or self.end is not None
            or self._normalizer.ended
            or self._response_id() != response_id
        ):
            return
        if self._asking():
            self._ask_again = True
        else:
            self._start_asking()

    def _response_id(self) -> str | None:
        return None if self._probe is None else self._probe.id_of(self._normalizer.response_id)

    def _asking(self) -> bool:
        return self._poll_task is not None and not self._poll_task.done()

    def _start_asking(self) -> None:
        response_id = self._response_id()
        if response_id is not None:
            self._poll_task = self._loop.create_task(self._poll(response_id))

    def _stop_asking(self) -> None:
        if self._poll_task is not None:
            self._poll_task.cancel()

    async def _poll(self, response_id: str) -> None:
        """Ask, and again if the response was cancelled meanwhile; at most one question is on its way."""
        self._ask_again = True
        while self._ask_again and self.end is None:
            self._ask_again = False
            received = self._content.total_bytes
            verdict = await self._ask(response_id)
            went_on = self._content.total_bytes != received
            if verdict is not None:
                if verdict.status == "cancelled":
                    await self._last_word()
                    went_on = False
                self._conclude(verdict, went_on=went_on)
            elif self._refusals >= _REFUSALS_OF_THE_DEAD and self._waiting and not went_on:
                self._end_with(BodyEnd.CUT)

    async def _last_word(self) -> None:
        """Wait until upstream has been silent for a moment, and the client has all that came."""
        received = -1
        while self.end is None and (received != self._content.total_bytes or not self._waiting):
            received = self._content.total_bytes
            await asyncio.sleep(_LAST_WORD_SECONDS)  # silence is all that tells: vLLM sends no end

    def _conclude(self, verdict: Verdict, *, went_on: bool) -> None:
        """End upstream's body here, unless its stream may be about to tell the end itself.

        :param went_on: upstream sent more since it was asked.
        """
        if self.end is not None or not self._waiting or went_on:
            self._metrics.status_polls.labels("pending").inc()
            return
        self._verdict = verdict
        self._end_with(BodyEnd.EOF)

    async def _ask(self, response_id: str) -> Verdict | None:
        self.asked_at = self._loop.time()
        probe = self._probe
        if self._refused_at != self._content.total_bytes:
            self._refused_at, self._refusals = self._content.total_bytes, 0
        try:
            verdict = None if probe is None else await probe.ask(response_id)
        except UnreadableError as error:
            self._refusals = self._refusals + 1 if isinstance(error, RefusedError) else 0
            self._metrics.status_polls.labels("failed").inc()
            emit(
                logging.DEBUG,
                "upstream did not say how the response stands",
                request_id=self._exchange.request_id,
                reason=str(error),
            )
            return None
        self._refusals = 0
        if verdict is None:
            self._metrics.status_polls.labels("pending").inc()
        return verdict

    async def _explain(self) -> None:
        """Ask about a stream that ended before it told anything: vLLM has none of a response made without one (R01i)."""
        self._stop_asking()
        response_id = self._response_id()
        if self._probe is None or not self._probe.regular or response_id is None:
            return
        if self.end not in _UNEXPLAINED or self._normalizer.committed:
            return

        async def ask() -> None:
            self._verdict = await self._ask(response_id)

        self._poll_task = self._loop.create_task(ask())
        await asyncio.wait({self._poll_task})
        if self._exchange.stopping:
            self.end, self._verdict = BodyEnd.SHUTDOWN, None
        elif not self._poll_task.cancelled():
            self._poll_task.result()

    def _told(self, verdict: Verdict) -> bytes:
        """Return what is left to tell of a response that is over, as if upstream had told its end."""
        self._metrics.status_polls.labels("ended").inc()
        self._exchange.proven_status = verdict.status
        told = self._normalizer.feed(verdict.frame)
        return told if self._normalizer.ended else told + self._normalizer.finish(BodyEnd.EOF)

    def keep_alive(self) -> None:
        """Send a keep-alive, if the stream has begun and is not over."""
        if self._keepalives and self._response is not None:
            self.last_write = self._loop.time()
            self._keepalive_task = self._loop.create_task(self._send_keep_alive())

    async def _send_keep_alive(self) -> None:
        # The stream may have moved on between the sweep and here. Frames are written whole, so this falls between two.
        response, number = self._response, self._normalizer.next_number
        if response is None or not self._waiting:
            return
        if self._keepalive_event and number > 0:
            frame = encode_event("keepalive", b'{"type":"keepalive","sequence_number":%d}' % (number - 1))
        else:
            frame = _KEEP_ALIVE_COMMENT
        self._metrics.keepalives.inc()
        try:
            await self.write(response, frame)
        except ClientGoneError:
            return  # the handler is being cancelled for the same reason

    def _close(self) -> None:
        """Count the stream, however it ended."""
        normalizer = self._normalizer
        if self._keepalive_task is not None:
            self._keepalive_task.cancel()
        self._stop_asking()
        if normalizer.ending is None:
            normalizer.finish(BodyEnd.SHUTDOWN if self._exchange.stopping else BodyEnd.CLIENT_GONE)
        ending = normalizer.ending or Ending.CLIENT_GONE
        if normalizer.limit is not None:
            self._hit(normalizer.limit)
        self._exchange.ending = ending.value
        self._metrics.streams_in_flight.dec()
        self._metrics.flush(
            normalizer.tally, ending, duration_seconds=self._loop.time() - self._exchange.started_at
        )
