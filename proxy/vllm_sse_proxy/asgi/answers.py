"""What becomes of an answer of the application: it passes, it is read whole and rewritten, or it is a stream and repaired.

The application sends messages; each goes on as soon as it can. The head of a stream waits for its first event, so that a
stream that fails before it is answered with a plain HTTP error.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson

from vllm_sse_proxy.asgi.protocol import BODY, START, body, encoded, headers_of, raw_headers, start
from vllm_sse_proxy.server.content import EVENT_STREAM, JSON, has_type
from vllm_sse_proxy.server.headers import ERROR_HEADER, rewritten_headers, stream_headers
from vllm_sse_proxy.server.posting import MAX_REFUSAL_BYTES
from vllm_sse_proxy.settings import Limit, Mode
from vllm_sse_proxy.stream.ending import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from multidict import CIMultiDict

    from vllm_sse_proxy.asgi.protocol import Message, Send
    from vllm_sse_proxy.asgi.requests import Incoming
    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.handling import Rewrite, StreamRequest
    from vllm_sse_proxy.settings import ServerSettings
    from vllm_sse_proxy.stream.ending import Failure

_LAST_WORDS_SECONDS: Final = 1.0
"""How long the application may still send after the end of a stream, before it is made to believe that the client has left."""


class Head:
    """The beginning of an answer.

    :ivar headers: by name.
    """

    def __init__(self, message: Message) -> None:
        self.message = message
        self.status = int(message["status"])
        self.raw = raw_headers(message.get("headers", ()))
        self.headers: CIMultiDict[str] = headers_of(self.raw)


class Answers:
    """The answers to one request, of which the client gets one; its ``take`` is the ``send`` that the application is given.

    :param stream: the request, where it may be answered by a stream of a family; None: it is not.
    :param rewrite: what rewrites the JSON answer to another request.
    :ivar refusal: the body of a refusal that was read whole, after which the request may be sent again; None: the client has
        got the answer, or is getting it.
    """

    def __init__(
        self,
        settings: ServerSettings,
        exchange: Exchange,
        incoming: Incoming,
        send: Send,
        *,
        stream: StreamRequest | None,
        rewrite: Rewrite | None,
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._incoming = incoming
        self._send = send
        self._stream = stream
        self._rewrite = rewrite
        self._refusals: list[tuple[Head, bytes]] = []
        self.refusal: bytes | None = None
        self._begin_again()

    def _begin_again(self) -> None:
        self._head: Head | None = None
        self._pieces: list[bytes] | None = None
        self._size = 0
        self._relay: StreamAnswer | None = None

    @property
    def status(self) -> int:
        """The status of the last answer; 0 before it has begun."""
        return 0 if self._head is None else self._head.status

    async def take(self, message: Message) -> None:
        """Take a message of the application."""
        if message["type"] == START:
            await self._begin(Head(message))
        elif message["type"] != BODY:
            if self._pieces is None and self._relay is None:
                await self._send(message)
        elif self._relay is not None:
            await self._relay.take(message.get("body", b""), more=message.get("more_body", False))
        elif self._pieces is None:
            self._exchange.bytes_out += len(message.get("body", b""))
            await self._send(message)
        else:
            await self._collect(message.get("body", b""), more=message.get("more_body", False))

    async def after_refusal(self) -> bytes | None:
        """Return the body that is sent instead of a refused one; None if the client gets a refusal now."""
        refusal, self.refusal = self.refusal, None
        assert refusal is not None  # noqa: S101 - the caller has looked
        assert self._stream is not None  # noqa: S101 - only its refusals are read
        assert self._head is not None  # noqa: S101 - it was read after its head
        self._refusals.append((self._head, refusal))
        again = self._stream.after_refusal(self._head.status, refusal)
        if again is not None:
            self._begin_again()
            return again
        head, refusal = self._refusals[self._stream.settle(self._head.status)]
        await self._pass_whole(head, refusal)
        return None

    async def fail(self) -> None:
        """The application raised: end a stream visibly. What it has not answered at all, the server answers."""
        if self._relay is not None:
            await self._relay.finish(BodyEnd.CUT)

    async def close(self, *, stopping: bool) -> None:
        """Count the answer, however it ended.

        :param stopping: the server gives up the request.
        """
        if self._relay is not None:
            end = BodyEnd.CLIENT_GONE if self._incoming.is_gone or stopping else BodyEnd.CUT
            await self._relay.close(end)

    async def _begin(self, head: Head) -> None:
        self._head, stream = head, self._stream
        self._exchange.status = self._exchange.upstream_status = head.status
        if stream is not None and stream.may_be_refused(head.status) and has_type(head.headers, JSON):
            self._pieces = []
            return
        if stream is not None:
            stream.settle(head.status)
            if head.status == HTTPStatus.OK and has_type(head.headers, EVENT_STREAM):
                self._relay = StreamAnswer(
                    self._settings, self._exchange, self._incoming, self._send, stream, head
                )
                return
            self._rewrite = stream.rewrite()
        is_read = self._rewrite is not None and head.status == HTTPStatus.OK and has_type(head.headers, JSON)
        if is_read:
            self._pieces = []
            return
        await self._send(head.message)

    async def _collect(self, piece: bytes, *, more: bool) -> None:
        """Take a piece of an answer that is read whole."""
        head, pieces = self._head, self._pieces
        assert head is not None  # noqa: S101 - bodies follow heads
        assert pieces is not None  # noqa: S101 - the caller has looked
        pieces.append(piece)
        self._size += len(piece)
        is_answer = head.status == HTTPStatus.OK
        if self._size > (self._settings.max_frame_bytes if is_answer else MAX_REFUSAL_BYTES):
            if not is_answer and self._stream is not None:
                self._stream.settle(head.status)
            self._pieces = None
            await self._send(head.message)
            await self._send(body(b"".join(pieces), more=more))
        elif not more:
            whole = b"".join(pieces)
            if not is_answer:
                self.refusal = whole
                return
            assert self._rewrite is not None  # noqa: S101 - else it is not read
            made = self._rewrite(whole)
            await self._pass_whole(
                head, whole if self._settings.mode is Mode.OBSERVE else made, is_new=made is not whole
            )

    async def _pass_whole(self, head: Head, data: bytes, *, is_new: bool = False) -> None:
        """Send an answer that was read whole.

        :param is_new: it is another one than came.
        """
        changed = is_new and self._settings.mode is not Mode.OBSERVE
        headers = encoded(rewritten_headers(head.raw, len(data))) if changed else head.raw
        self._exchange.status, self._exchange.bytes_out = head.status, len(data)
        await self._send({**head.message, "headers": list(headers)})
        await self._send(body(data))


class StreamAnswer:
    """A stream of a family on its way to the client."""

    def __init__(
        self,
        settings: ServerSettings,
        exchange: Exchange,
        incoming: Incoming,
        send: Send,
        stream: StreamRequest,
        head: Head,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._exchange = exchange
        self._incoming = incoming
        self._send = send
        self._stream = stream
        self._head = head
        self._normalizer = stream.normalizer()
        self._has_begun = False
        self._is_over = False
        self._is_closed = False
        self._heard_at = self._wrote_at = self._loop.time()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._last_words: asyncio.TimerHandle | None = None
        exchange.stream = True
        exchange.metrics.streams_in_flight.inc()
        self._arm()

    async def take(self, chunk: bytes, *, more: bool) -> None:
        """Take a piece of the body: one event, as a rule, so there is little here."""
        if self._is_over or self._incoming.is_gone:
            return
        self._heard_at = self._loop.time()
        self._exchange.bytes_in += len(chunk)
        normalizer = self._normalizer
        made = normalizer.feed(chunk)
        if normalizer.ended:
            await self._end(made)
        elif not more:
            await self._end(made + normalizer.finish(BodyEnd.EOF))
        elif made and self._has_begun:
            self._wrote_at = self._heard_at
            self._exchange.bytes_out += len(made)
            await self._send({"type": BODY, "body": made, "more_body": True})
        elif made or normalizer.committed:
            await self._write(made, more=True)

    async def finish(self, end: BodyEnd) -> None:
        """Upstream's body is over, in this way: send what remains."""
        if not self._is_over:
            await self._end(self._normalizer.finish(end))

    async def close(self, end: BodyEnd) -> None:
        """Count the stream.

        :param end: how it ended, if it has not.
        """
        if self._is_closed:
            return
        self._is_closed = True
        for timer in (self._timer, self._last_words):
            if timer is not None:
                timer.cancel()
        if not self._is_over and end is not BodyEnd.CLIENT_GONE:
            await self.finish(end)
        self._is_over = True
        self._exchange.end_stream(
            self._stream.handler.family.name, self._normalizer, BodyEnd.CLIENT_GONE, self._loop.time()
        )
        self._stream.note_end(self._normalizer)

    async def _write(self, data: bytes, *, more: bool) -> None:
        exchange = self._exchange
        self._wrote_at = self._loop.time()
        if not self._has_begun:
            self._has_begun = True
            exchange.metrics.time_to_first_event.observe(self._loop.time() - exchange.started_at)
            await self._send(start(self._head.status, encoded(stream_headers(self._head.raw))))
        exchange.bytes_out += len(data)
        if data or not more:
            await self._send(body(data, more=more))

    async def _end(self, data: bytes) -> None:
        """Send the last bytes; if they are the first ones, and the stream has failed, an HTTP error instead."""
        self._is_over = True
        normalizer = self._normalizer
        self._last_words = self._loop.call_later(_LAST_WORDS_SECONDS, self._incoming.stop)
        if not self._has_begun and normalizer.failure is not None and not normalizer.committed:
            await self._refuse(normalizer.failure)
        else:
            await self._write(data, more=False)

    async def _refuse(self, failure: Failure) -> None:
        family = self._stream.handler.family
        data = orjson.dumps(family.error(failure.message, failure.type, failure.code))
        headers = {
            "content-type": "application/json",
            "content-length": str(len(data)),
            ERROR_HEADER: failure.code,
        }
        self._has_begun = True
        self._exchange.status, self._exchange.bytes_out = failure.status, len(data)
        await self._send(start(failure.status, encoded(headers)))
        await self._send(body(data))

    def _arm(self) -> None:
        """Look again when the stream may have been silent for too long."""
        limits = [
            seconds for seconds in (self._keepalive_seconds, self._settings.idle_timeout_seconds) if seconds
        ]
        if limits:
            self._timer = self._loop.call_later(min(limits), self._look)

    @property
    def _keepalive_seconds(self) -> float:
        return 0.0 if self._settings.mode is Mode.OBSERVE else self._settings.keepalive_seconds

    def _look(self) -> None:
        """Send a keep-alive into a silent stream, or give it up."""
        if self._is_over:
            return
        now = self._loop.time()
        idle, keepalive = self._settings.idle_timeout_seconds, self._keepalive_seconds
        if idle and now - self._heard_at >= idle:
            self._exchange.hit(Limit.IDLE)
            self._exchange.metrics.upstream_failures.labels("idle").inc()
            self._incoming.stop()
            self._start(self.finish(BodyEnd.IDLE_TIMEOUT))
            return
        if keepalive and self._has_begun and now - self._wrote_at >= keepalive:
            self._exchange.metrics.keepalives.inc()
            self._start(self._write(self._stream.keepalive(self._normalizer), more=True))
        self._arm()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
