"""Requests to vLLM: one session with a pool of connections that adds no header, follows no redirect and decodes no body."""

from __future__ import annotations

import logging
import socket
from contextvars import ContextVar
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import hdrs
from yarl import URL

from vllm_sse_proxy.logs import emit, logger, milliseconds
from vllm_sse_proxy.server.headers import REQUEST_ID_HEADER
from vllm_sse_proxy.server.sockets import watch_peer
from vllm_sse_proxy.server.tls import upstream_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from aiohttp.connector import AddrInfoType
    from multidict import CIMultiDict

    from vllm_sse_proxy.metrics import Metrics
    from vllm_sse_proxy.settings import ServerSettings

MAX_HEADER_LINE_BYTES: Final = 64 * 1024
"""Longest line of an answer's head: as long as a request's whole head may be by default."""

PIECE_BYTES: Final = 256 * 1024
"""Largest piece of a body that is written at once."""

_KNOWN_TARGETS: Final = 32
"""How many request targets' URLs are cached: nearly all requests have one of a few."""

# What aiohttp would otherwise add to a request that has none.
_NOTHING_ADDED: Final = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.USER_AGENT, hdrs.CONTENT_TYPE)


_opened: Final[ContextVar[list[str]]] = ContextVar("opened")
"""The addresses that a socket was opened to for the request that is being sent: none if it goes out on a reused connection.

aiohttp's own way to find out is a trace, which costs every request ten awaited calls; for Unix sockets there is no other.
"""


class _UnansweredError(Exception):
    """Gets a connection error past aiohttp's own retry, which resends on fresh connections too and counts nothing.

    :ivar began: a part of an answer had come before the connection closed; then aiohttp has it as the message.
    """

    def __init__(self, error: aiohttp.ClientConnectionError) -> None:
        super().__init__()
        self.error = error
        self.began = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)


class Upstream:
    """Sends requests to vLLM. Must be built and closed within a running event loop."""

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        url = settings.upstream_base
        self._scheme = url.scheme
        self._host = url.host_subcomponent or ""  # with the brackets of an IPv6 address
        self._port = url.explicit_port
        self._prefix = url.raw_path.rstrip("/")
        self._metrics = metrics
        self._url = lru_cache(maxsize=_KNOWN_TARGETS)(self._make_url)
        self._session = aiohttp.ClientSession(
            connector=_connector(settings),
            trace_configs=[]
            if settings.upstream_socket is None
            else [_watched_unix_sockets(settings.upstream_socket)],
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOTHING_ADDED,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=settings.connect_timeout_seconds,
                sock_connect=settings.connect_timeout_seconds,
                sock_read=None,  # a timer per read; see vllm_sse_proxy.server.silence for what is used instead
            ),
            max_line_size=MAX_HEADER_LINE_BYTES,
            max_field_size=MAX_HEADER_LINE_BYTES,
        )

    async def send(
        self,
        method: str,
        target: str,
        headers: CIMultiDict[str],
        body: bytes | AsyncIterable[bytes] | None,
        *,
        may_repeat: bool = True,
    ) -> aiohttp.ClientResponse:
        """Send one request and return the answer once its headers are here.

        If upstream had just closed the reused connection that the request went out on, so that not one byte of an answer came,
        the request is sent once more, provided that it may be and its body is still whole. Nothing else is ever sent twice.

        :param target: path and query, sent byte for byte after the configured path prefix.
        :param body: an iterable is sent chunked unless ``headers`` hold a Content-Length.
        :param may_repeat: whether the request may be sent again at all.
        :raises aiohttp.ClientError: no answer; see :func:`vllm_sse_proxy.server.errors.problem_of`.
        """
        url = self._url(target)
        opened: list[str] = []
        _opened.set(opened)
        began = perf_counter()
        try:
            answer = await self._send_once(method, url, headers, body)
        except _UnansweredError as unanswered:
            is_whole = body is None or isinstance(body, bytes)
            fresh = opened or isinstance(unanswered.error, aiohttp.ClientConnectorError)
            if fresh or not (may_repeat and is_whole) or unanswered.began:
                raise unanswered.error from None
        else:
            if logger.isEnabledFor(logging.DEBUG):
                _say_how("upstream answers", headers, opened, began, target=target.partition("?")[0])
            return answer
        if logger.isEnabledFor(logging.DEBUG):
            _say_how("upstream is asked again: it had just closed the connection", headers, opened, began)
        self._metrics.upstream_retries.inc()
        try:
            return await self._send_once(method, url, headers, body)
        except _UnansweredError as unanswered:
            raise unanswered.error from None

    def _make_url(self, target: str) -> URL:
        # The whole target as the path: yarl would drop an empty query ("/x?").
        return URL.build(
            scheme=self._scheme, host=self._host, port=self._port, path=self._prefix + target, encoded=True
        )

    async def _send_once(
        self,
        method: str,
        url: URL,
        headers: CIMultiDict[str],
        body: bytes | AsyncIterable[bytes] | None,
    ) -> aiohttp.ClientResponse:
        if isinstance(body, bytes) and len(body) > PIECE_BYTES:
            headers.setdefault(hdrs.CONTENT_LENGTH, str(len(body)))
            body = _pieces(body)
        return await self._session.request(
            method,
            url,
            headers=headers,
            data=body,
            allow_redirects=False,
            middlewares=(_no_second_try,),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


def _connector(settings: ServerSettings) -> aiohttp.BaseConnector:
    """Return the pool of connections.

    :raises SettingsError: the file of authorities cannot be used.
    """
    # Unlimited: the clients decide how much is in flight; a queue here would be invisible.
    limit, idle = 0, settings.upstream_idle_seconds
    if settings.upstream_socket is not None:
        return aiohttp.UnixConnector(settings.upstream_socket, limit=limit, keepalive_timeout=idle)
    return aiohttp.TCPConnector(
        limit=limit,
        keepalive_timeout=idle,
        socket_factory=_watched_socket,
        ssl=upstream_context(settings) or True,
    )


def _watched_unix_sockets(path: str) -> aiohttp.TraceConfig:
    """Return what notes the connections that are opened; nobody vanishes from a Unix socket without a word."""

    async def note(*_: object) -> None:
        _opened.get().append(path)

    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(note)
    return config


def _say_how(message: str, headers: CIMultiDict[str], opened: list[str], began: float, **fields: Any) -> None:
    """Say whether a request needed a new connection, where that leads, and how long it has taken until now."""
    emit(
        logging.DEBUG,
        message,
        request_id=headers.get(REQUEST_ID_HEADER),
        connection="new" if opened else "reused",
        addresses=opened or None,
        took_ms=milliseconds(perf_counter() - began),
        **fields,
    )


def _watched_socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, where = address
    made = socket.socket(family, kind, protocol)
    _opened.get().append(str(where[0]))
    watch_peer(made, unacknowledged_seconds=0.0)
    return made


async def _no_second_try(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise _UnansweredError(error) from None


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """Yield a large body in pieces, so that it is written at the pace at which upstream takes it."""
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
