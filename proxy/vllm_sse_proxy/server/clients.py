"""The data port's side of a connection: what HTTP itself leaves open, and aiohttp leaves to its users.

A head that does not come to its end, one that is too large, and one that is no HTTP are answered here, before there is a
request; a peer that is gone without a word is found by the kernel. Everything after that is
:mod:`vllm_sse_proxy.server.handlers`'.

aiohttp's server is extended at three points: :meth:`ClientConnection.handle_error`, ``data_received`` and the request's
``_prepare_hook``. The tests hold them to it.
"""

from __future__ import annotations

import logging
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import LineTooLong

from vllm_sse_proxy.logs import emit
from vllm_sse_proxy.server.errors import ProxyError, bad_request, header_too_large, request_head_timeout
from vllm_sse_proxy.server.headers import request_id_of
from vllm_sse_proxy.server.relay import RelayedResponse, keep_headers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from vllm_sse_proxy.config import Settings
    from vllm_sse_proxy.metrics import Metrics

KEEPALIVE_IDLE_SECONDS: Final = 60
KEEPALIVE_INTERVAL_SECONDS: Final = 15
KEEPALIVE_PROBES: Final = 4
"""A peer that vanished is noticed two minutes after the last byte it was sent or sent itself."""

SWEEP_SECONDS: Final = 1.0


class ClientRequest(web.BaseRequest):
    """A request; relayed answers to it get no header from aiohttp."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        if isinstance(response, RelayedResponse):
            keep_headers(response)


class ClientConnection(web.RequestHandler):
    """One connection of a client.

    :ivar head_since: loop time at which the first byte of a head came whose end has not come yet; None while there is none.
    """

    __slots__ = ("_answering", "_guard", "_head_bytes", "head_since")

    def __init__(self, guard: ClientServer, **options: Any) -> None:
        super().__init__(guard, **options)
        self._guard = guard
        self._answering: web.BaseRequest | None = None
        self._head_bytes = 0
        self.head_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the kernel to notice when the client is gone."""
        super().connection_made(transport)
        watch_peer(
            transport.get_extra_info("socket"), unacknowledged_seconds=self._guard.write_timeout_seconds
        )

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the head that did not come."""
        self._forget_head()
        super().connection_lost(exc)

    def begin(self, request: web.BaseRequest) -> None:
        """A head was read to its end: it is answered now."""
        self._forget_head()
        self._answering = request

    def end(self) -> None:
        """The request is answered; the next bytes begin another head."""
        self._answering = None

    def data_received(self, data: bytes) -> None:
        """Take bytes, and mind those of heads."""
        super().data_received(data)
        request = self._answering
        if request is not None:
            # A message that is there before the body's end is no request: the body's framing is broken.
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
            self.refuse(header_too_large())

    def refuse(self, error: ProxyError) -> None:
        """Answer a head that has not come to its end, and close the connection."""
        self._forget_head()
        transport = self.transport
        if transport is not None:
            transport.write(error.wire(request_id_of(())))
        self._guard.note_refusal(error, self)
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP. aiohttp's own answer would repeat what it did not like, and its log line would as well."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        error = (
            header_too_large()
            if isinstance(exc, LineTooLong) or exc.message.startswith("Too many headers")
            else bad_request("invalid_http", "The request is not valid HTTP.")
        )
        self._forget_head()
        self._guard.note_refusal(error, self, reason=type(exc).__name__)
        return error.response(request_id_of(()))

    def _head_is_open(self) -> bool:
        """Say whether no whole head has come since the last answer: aiohttp's task is still waiting for one."""
        return self._waiter is not None and not self._waiter.done()

    def _forget_head(self) -> None:
        self.head_since = None
        self._head_bytes = 0
        self._guard.forget_head(self)


class ClientServer(web.Server):
    """Makes a :class:`ClientConnection` of each connection, and closes those whose head takes too long.

    :param handle: answers a request.
    """

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        super().__init__(
            self._serve,
            request_factory=self._request,
            handler_cancellation=True,  # else a client that leaves is not noticed
            keepalive_timeout=settings.client_idle_seconds,
            access_log=None,
            auto_decompress=False,  # bodies cross as they are
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
        """A head has begun: see to it that it ends."""
        if self._head_timeout:
            self._heads[connection] = None
            if self._timer is None:
                self._timer = self._loop.call_later(self._period, self._sweep)

    def forget_head(self, connection: ClientConnection) -> None:
        """A head is there, or its connection is gone."""
        self._heads.pop(connection, None)

    def note_refusal(
        self, error: ProxyError, connection: ClientConnection, *, reason: str | None = None
    ) -> None:
        """Count and log an answer to what never became a request. What it was is not told: it may hold secrets."""
        self._metrics.requests.labels("other", f"{error.status // 100}xx").inc()
        if error.limit is not None:
            self._metrics.limits_hit.labels(error.limit).inc()
        peer = connection.peername
        emit(
            logging.INFO,
            "request refused",
            client_ip=peer[0] if isinstance(peer, tuple) else None,
            status=error.status,
            ending=error.code,
            limit=error.limit,
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
            connection.refuse(request_head_timeout())
        self._timer = self._loop.call_later(self._period, self._sweep) if self._heads else None

    def _request(
        self, message: Any, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]
    ) -> web.BaseRequest:
        return ClientRequest(message, payload, protocol, writer, task, self._loop)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if not isinstance(connection, ClientConnection):  # pragma: no cover - they are all made above
            raise TypeError
        connection.begin(request)
        try:
            return await self._handle(request)
        finally:
            connection.end()


def watch_peer(sock: socket.socket | None, *, unacknowledged_seconds: float) -> None:
    """Let the kernel close a connection whose peer vanished, as far as this system can.

    :param unacknowledged_seconds: how long sent bytes may stay unacknowledged; 0 leaves it to the system.
    """
    options: list[tuple[int, str, int]] = [
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", KEEPALIVE_PROBES),
    ]
    if unacknowledged_seconds:
        options.append((socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", max(1, int(unacknowledged_seconds * 1000))))
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    for level, name, value in options:
        number = getattr(socket, name, None)
        if number is not None:
            try:
                sock.setsockopt(level, number, value)
            except OSError:
                continue


def expects_continue(request: web.BaseRequest) -> bool:
    """Say whether the client waits for "100 Continue" before it sends the body.

    :raises ProxyError: it expects something else.
    """
    expected = request.headers.get("Expect")
    if expected is None or request.version < (1, 1):
        return False
    if expected.strip().lower() != "100-continue":
        raise bad_request(
            "expectation_failed",
            "Nothing but 100-continue can be expected.",
            status=HTTPStatus.EXPECTATION_FAILED,
        )
    return True
