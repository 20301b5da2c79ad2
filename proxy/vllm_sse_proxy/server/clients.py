"""Connections of clients: what HTTP itself leaves open, and aiohttp leaves to its users.

A request's head that does not end, one that is too large, and one that is not HTTP are answered here, before there is a
request; a peer that vanished without a word is found by the kernel. Everything after that is up to
:mod:`vllm_sse_proxy.server.gateway`.

aiohttp's server is extended at two points, :meth:`ClientConnection.handle_error` and ``data_received``, and its answers at
``RelayedResponse._prepare_headers``. Tests make sure that aiohttp still calls them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import LineTooLong

from vllm_sse_proxy.logs import emit
from vllm_sse_proxy.metrics import code_class
from vllm_sse_proxy.server import errors
from vllm_sse_proxy.server.headers import request_id_of
from vllm_sse_proxy.server.sockets import watch_peer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from vllm_sse_proxy.metrics import Metrics
    from vllm_sse_proxy.server.errors import Problem
    from vllm_sse_proxy.settings import ServerSettings

SWEEP_SECONDS: Final = 1.0


class ClientConnection(web.RequestHandler):
    """One connection of a client.

    :ivar head_since: loop time of the first byte of a request's head that has not ended yet; None while there is none.
    :ivar drained: is called when the client, after it could not keep up with its answer, can take more.
    """

    __slots__ = ("_answering", "_guard", "_head_bytes", "drained", "head_since")

    def __init__(self, guard: ClientServer, **options: Any) -> None:
        super().__init__(guard, **options)
        self._guard = guard
        self._answering: web.BaseRequest | None = None
        self._head_bytes = 0
        self.head_since: float | None = None
        self.drained: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the kernel notice when the client vanishes."""
        super().connection_made(transport)
        watch_peer(
            transport.get_extra_info("socket"), unacknowledged_seconds=self._guard.write_timeout_seconds
        )

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the head that did not end."""
        self._forget_head()
        super().connection_lost(exc)

    def begin(self, request: web.BaseRequest) -> None:
        """Take note that a head has ended: its request is answered now."""
        self._forget_head()
        self._answering = request

    def end(self) -> None:
        """Take note that the request was answered: the next bytes begin another head."""
        self._answering = self.drained = None

    def resume_writing(self) -> None:
        """Take note that the client has taken most of what was written."""
        super().resume_writing()
        if self.drained is not None:
            self.drained()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and watch over those of heads."""
        super().data_received(data)
        request = self._answering
        if request is not None:
            # A message before the end of the body is not a request: the body's framing is broken.
            if self._messages and not request.content.is_eof():
                request.content.set_exception(web.RequestPayloadError("bad framing"))
            return
        if not data or self.transport is None:
            return
        if self.head_since is None:
            self.head_since = self._loop.time()
            self._guard.expect_head(self)
        self._head_bytes += len(data)
        if self._head_bytes > self._guard.max_header_bytes and not self._messages and self._head_is_open():
            self.refuse(errors.HEADER_TOO_LARGE)

    def refuse(self, problem: Problem) -> None:
        """Answer a head that has not ended, and close the connection."""
        self._forget_head()
        transport = self.transport
        if transport is not None:
            transport.write(errors.error_bytes(problem, request_id_of(())))
        self._guard.note_refusal(problem, self)
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP. aiohttp's own answer would repeat what it did not like, and so would its log line."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        too_large = isinstance(exc, LineTooLong) or exc.message.startswith("Too many headers")
        problem = errors.HEADER_TOO_LARGE if too_large else errors.INVALID_HTTP
        self._forget_head()
        self._guard.note_refusal(problem, self, reason=type(exc).__name__)
        return errors.error_response(problem, request_id_of(()))

    def _head_is_open(self) -> bool:
        """Return whether no whole head has come since the last answer: aiohttp's task is still waiting for one."""
        return self._waiter is not None and not self._waiter.done()

    def _forget_head(self) -> None:
        self.head_since = None
        self._head_bytes = 0
        self._guard.forget_head(self)


class ClientServer(web.Server):
    """Makes a :class:`ClientConnection` of each connection, and closes those that send a head too slowly.

    :param handle: answers a request.
    """

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        settings: ServerSettings,
        metrics: Metrics,
    ) -> None:
        super().__init__(
            self._serve,
            handler_cancellation=True,  # otherwise a client that leaves is not noticed
            keepalive_timeout=settings.client_idle_seconds,
            access_log=None,
            auto_decompress=False,  # bodies are forwarded as they are
            max_field_size=settings.max_header_bytes,
            max_line_size=settings.max_header_bytes,
        )
        self._handle = handle
        self._metrics = metrics
        self._head_timeout = settings.request_head_timeout_seconds
        self._heads: dict[ClientConnection, None] = {}  # in the order in which they began
        self._timer: asyncio.TimerHandle | None = None
        self.max_header_bytes = settings.max_header_bytes
        self.write_timeout_seconds = settings.client_write_timeout_seconds

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of a new connection."""
        return ClientConnection(self, loop=self._loop, **self._kwargs)

    def expect_head(self, connection: ClientConnection) -> None:
        """Take note that a head has begun, and make sure that it ends."""
        if self._head_timeout:
            self._heads[connection] = None
            if self._timer is None:
                self._timer = self._loop.call_later(self._period, self._sweep)

    def forget_head(self, connection: ClientConnection) -> None:
        """Take note that a head has ended, or its connection is gone."""
        self._heads.pop(connection, None)

    def note_refusal(
        self, problem: Problem, connection: ClientConnection, *, reason: str | None = None
    ) -> None:
        """Count and log an answer to what never became a request. What it was is not logged: it may hold secrets."""
        self._metrics.requests.labels("other", code_class(problem.status)).inc()
        if problem.limit is not None:
            self._metrics.limits_hit.labels(problem.limit).inc()
        peer = connection.peername
        emit(
            logging.INFO,
            "request refused",
            client_ip=peer[0] if isinstance(peer, tuple) else None,
            status=problem.status,
            ending=problem.code,
            limit=problem.limit,
            reason=reason,
        )

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's signature
        """Close what is open."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await super().shutdown(timeout)

    @property
    def _period(self) -> float:
        return min(SWEEP_SECONDS, self._head_timeout / 4)

    def _sweep(self) -> None:
        latest = self._loop.time() - self._head_timeout
        for connection in list(self._heads):
            if connection.head_since is not None and connection.head_since > latest:
                break
            connection.refuse(errors.HEAD_TIMEOUT)
        self._timer = self._loop.call_later(self._period, self._sweep) if self._heads else None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = connection_of(request)
        connection.begin(request)
        try:
            return await self._handle(request)
        finally:
            connection.end()


def connection_of(request: web.BaseRequest) -> ClientConnection:
    """Return the connection that a request came on."""
    connection = request.protocol
    if not isinstance(connection, ClientConnection):  # pragma: no cover - they are all made above
        raise TypeError
    return connection
