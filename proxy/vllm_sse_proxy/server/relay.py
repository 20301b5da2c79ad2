"""An answer on its way from upstream to the client: what all relays share, and the one that changes nothing.

Theory of operation. A relay joins two halves: the body that it is given (:mod:`~vllm_sse_proxy.server.body`) and the answer
that it writes (:mod:`~vllm_sse_proxy.server.answers`). It takes what has come and writes what that makes possible in one call,
which began at upstream's socket; its task sleeps from the beginning of the body to its end. While the client does not keep up,
the relay takes nothing, and upstream's transport is paused: so a slow client stops the reading, TCP stops upstream, and what
lies between them is bounded by the mark of the client's transport and what one read of upstream's makes.
:mod:`~vllm_sse_proxy.server.stream_relay` puts a normalizer between the two halves; here is nothing.

A relay knows no clock. One sweep per process (:mod:`~vllm_sse_proxy.server.silence`) looks at every open relay and calls it
when a limit has passed. Whatever comes from outside (a limit, a shutdown, the result of a poll) only *ends upstream's body*,
with a reason; the relay takes what is left of the body and finds the end where it always does. So there is one way out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.recognition import StreamRecogniser
from vllm_sse_proxy.server.answers import AnswerWriter
from vllm_sse_proxy.server.headers import answer_headers, rewritten_headers
from vllm_sse_proxy.settings import Limit
from vllm_sse_proxy.stream.ending import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from vllm_sse_proxy.server.body import UpstreamBody
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.handling import Poller, Rewrite
    from vllm_sse_proxy.server.silence import SilenceWatch

# The ends of a body that are upstream's fault, as the label of sse_proxy_upstream_failures_total.
_FAILURES: Final = {BodyEnd.CUT: "cut", BodyEnd.RESET: "reset", BodyEnd.IDLE_TIMEOUT: "idle"}


class Relay:
    """Relays one answer.

    :ivar writer: the client's side.
    :ivar poller: finds out beside the stream whether the response is over; None: nobody does.
    """

    poller: Poller | None = None

    def __init__(self, exchange: Exchange, body: UpstreamBody, request: web.BaseRequest) -> None:
        self._exchange = exchange
        self._body = body
        self.writer = AnswerWriter(exchange, request)
        self.writer.when_drained(body.resume)
        exchange.relay = self

    def take(self, data: bytes) -> None:
        """Write what came of upstream's body.

        :raises ClientGoneError: the client left.
        """
        self.writer.write(data)

    @property
    def waiting_since(self) -> float:
        """Loop time at which it last began to wait for upstream."""
        return self._body.waiting_since

    def is_waiting_for_upstream(self) -> bool:
        """Return whether upstream is being waited for, and not a slow client."""
        return self._body.is_waiting()

    def stop(self) -> None:
        """End upstream's body here, and wait for no poll: the proxy has to stop."""
        self._body.end_with(BodyEnd.SHUTDOWN)
        if self.poller is not None:
            self.poller.stop()

    def end_idle(self) -> None:
        """End upstream's body here: it was silent for too long."""
        if self._body.end is None:
            self._exchange.hit(Limit.IDLE)
        self._body.end_with(BodyEnd.IDLE_TIMEOUT)

    def keep_alive(self) -> None:
        """Send nothing: a body that is not understood cannot be added to."""

    def _count_failure(self) -> None:
        """Count an end of the body that is upstream's fault."""
        end = self._body.end
        if end in _FAILURES:
            self._exchange.metrics.upstream_failures.labels(_FAILURES[end]).inc()


class PassThrough(Relay):
    """An answer that is not looked into: status, headers and body bytes as upstream sent them."""

    async def run(self, watch: SilenceWatch, *, close: bool, read: bytes = b"") -> web.StreamResponse:
        """Relay the answer to its end.

        :param close: ask the client to use another connection for its next request.
        :param read: what was read of the body before.
        :raises ClientGoneError: the client left.
        """
        with watch.watching(self):
            return await self._relay(close=close, read=read)

    async def _relay(self, *, close: bool, read: bytes) -> web.StreamResponse:
        body, writer = self._body, self.writer
        writer.begin(
            body.answer,
            answer_headers(body.answer.raw_headers),
            body_follows=bool(read) or body.bytes_received > 0,  # what was not taken yet waits here
            close=close,
        )
        if read:
            writer.write(read)
        await body.deliver(self.take, writer.is_waiting_for_client)
        if body.end is BodyEnd.EOF:
            self._exchange.end_whole()
            return await writer.end()
        self._exchange.ending = str(body.end)
        self._count_failure()
        return writer.cut()


class UnrepairedStream(PassThrough):
    """An event stream that passes through: watched until it shows whether it is one that would be repaired elsewhere.

    :param note: is called with the family's name, once, if it does.
    """

    def __init__(
        self, exchange: Exchange, body: UpstreamBody, request: web.BaseRequest, *, note: Callable[[str], None]
    ) -> None:
        super().__init__(exchange, body, request)
        self._recogniser: StreamRecogniser | None = StreamRecogniser()
        self._note = note

    def take(self, data: bytes) -> None:
        """Look at a piece of the stream, as long as that is of use, and write it."""
        if self._recogniser is not None:
            family = self._recogniser.feed(data)
            if family is not None:
                self._note(family.value)
            if family is not None or self._recogniser.gave_up:
                self._recogniser = None
        super().take(data)


class RewritingRelay(PassThrough):
    """An answer that is read as a whole.

    :param rewrite: what rewrites it.
    :param max_bytes: size of the largest answer that is read.
    """

    def __init__(
        self,
        exchange: Exchange,
        body: UpstreamBody,
        request: web.BaseRequest,
        *,
        rewrite: Rewrite,
        max_bytes: int,
    ) -> None:
        super().__init__(exchange, body, request)
        self._rewrite = rewrite
        self._max_bytes = max_bytes


class ObservedRelay(RewritingRelay):
    """An answer that passes as it comes; what would have been made of it is counted when it is over."""

    _pieces: list[bytes]
    _size: int

    async def _relay(self, *, close: bool, read: bytes) -> web.StreamResponse:
        self._pieces, self._size = [read], len(read)
        response = await super()._relay(close=close, read=read)
        if self._body.end is BodyEnd.EOF and self._size <= self._max_bytes:
            self._rewrite(b"".join(self._pieces))
        return response

    def take(self, data: bytes) -> None:
        """Keep a piece of the answer, as long as it is not too large, and write it."""
        self._size += len(data)
        if self._size <= self._max_bytes:
            self._pieces.append(data)
        else:
            self._pieces.clear()
        super().take(data)


class WholeRelay(RewritingRelay):
    """An answer that may be rewritten before the client gets it; one that is too large passes unread."""

    async def _relay(self, *, close: bool, read: bytes) -> web.StreamResponse:
        body, writer = self._body, self.writer
        held = _Held(body, self._max_bytes, read)
        await body.deliver(held.take)
        whole = b"".join(held.pieces)
        fits = held.size <= self._max_bytes
        new = self._rewrite(whole) if body.end is BodyEnd.EOF and fits else whole
        if new is whole:
            return await super()._relay(close=close, read=whole)
        headers = rewritten_headers(body.answer.raw_headers, len(new))
        writer.begin(body.answer, headers, body_follows=True, close=close)
        self._exchange.end_whole()
        return await writer.end(new)


class _Held:
    """The pieces of a body, until they are too many bytes."""

    def __init__(self, body: UpstreamBody, max_bytes: int, read: bytes) -> None:
        self._body = body
        self._max_bytes = max_bytes
        self.pieces = [read]
        self.size = len(read)

    def take(self, data: bytes) -> None:
        self.pieces.append(data)
        self.size += len(data)
        if self.size > self._max_bytes:
            self._body.stop()
