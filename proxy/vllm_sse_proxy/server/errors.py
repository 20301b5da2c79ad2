"""What a client is told when the proxy, not upstream, has to answer: OpenAI-shaped errors with an honest status.

Exceptions of the network end here: each becomes one :class:`ProxyError`, named by whose fault it is and what may be done about
it. The answer tells no address, no path of ours and no exception text; those are for the log.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson
from aiohttp import web

from vllm_sse_proxy.server.headers import ERROR_HEADER, REQUEST_ID_HEADER

if TYPE_CHECKING:
    from vllm_sse_proxy import Failure

RETRY_AFTER_SECONDS: Final = 1
"""What a client is told to wait when this instance is stopping or full: another one is, or soon will be, there."""


class ProxyError(Exception):
    """The request cannot be answered by upstream.

    :ivar status: HTTP status for the client.
    :ivar code: value of ``error.code``, of the ``X-SSE-Proxy-Error`` header and of the log's ``ending``.
    :ivar kind: value of ``error.type``, as OpenAI names them.
    :ivar cause: label of ``sse_proxy_upstream_failures_total``; None: upstream is not to blame.
    :ivar limit: label of ``sse_proxy_limits_hit_total``, the name of the setting; None: no limit was hit.
    :ivar close: whether the client's connection must end with the answer, because the rest of its request was not read.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        kind: str = "server_error",
        cause: str | None = None,
        limit: str | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind
        self.cause = cause
        self.limit = limit
        self.close = close

    def response(self, request_id: str) -> web.Response:
        """Make the answer."""
        response = web.Response(
            status=self.status,
            body=self._body(),
            content_type="application/json",
            headers=self._headers(request_id),
        )
        if self.close:
            response.force_close()
        return response

    def wire(self, request_id: str) -> bytes:
        """Make the answer as bytes, for a connection on which there is no request yet; it must be closed after them."""
        body = self._body()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **self._headers(request_id),
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _body(self) -> bytes:
        return orjson.dumps(
            {"error": {"message": self.message, "type": self.kind, "param": None, "code": self.code}}
        )

    def _headers(self, request_id: str) -> dict[str, str]:
        headers = {ERROR_HEADER: self.code, REQUEST_ID_HEADER: request_id, "Server": "vllm-sse-proxy"}
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return headers


def bad_request(
    code: str, message: str, *, status: int = HTTPStatus.BAD_REQUEST, limit: str | None = None
) -> ProxyError:
    """Return the error for a request that cannot be passed on; its connection is closed."""
    return ProxyError(status, code, message, kind="invalid_request_error", limit=limit, close=True)


def request_head_timeout() -> ProxyError:
    """Return the error for a client that does not get to the end of its request's head."""
    return bad_request(
        "request_timeout",
        "The request's head did not come in time.",
        status=HTTPStatus.REQUEST_TIMEOUT,
        limit="request_head_timeout_seconds",
    )


def request_body_timeout() -> ProxyError:
    """Return the error for a client that does not get on with its request's body."""
    return bad_request(
        "request_timeout",
        "The request's body did not come in time.",
        status=HTTPStatus.REQUEST_TIMEOUT,
        limit="request_body_timeout_seconds",
    )


def header_too_large() -> ProxyError:
    """Return the error for a head that is larger than it may be."""
    return bad_request(
        "header_too_large",
        "The request's header is too large.",
        status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        limit="max_header_bytes",
    )


def body_too_large() -> ProxyError:
    """Return the error for a body that is larger than it may be."""
    return bad_request(
        "body_too_large",
        "The request's body is too large.",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        limit="max_request_body_bytes",
    )


def overloaded() -> ProxyError:
    """Return the error for a request that came while as many as may be were open."""
    return ProxyError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overloaded",
        "The proxy is answering as many requests as it may; try again.",
        limit="max_streams",
    )


def shutting_down() -> ProxyError:
    """Return the error for a request that was waiting for its answer when the proxy had to stop."""
    return ProxyError(
        HTTPStatus.SERVICE_UNAVAILABLE, "shutting_down", "The proxy is shutting down; try again.", close=True
    )


def internal_error() -> ProxyError:
    """Return the error for a fault of the proxy's own; its log holds the traceback."""
    return ProxyError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "The proxy failed to answer.", close=True
    )


def first_byte_timeout() -> ProxyError:
    """Return the error for an upstream that took a request and does not answer."""
    return ProxyError(
        HTTPStatus.GATEWAY_TIMEOUT,
        "upstream_timeout",
        "The upstream server did not answer in time.",
        cause="timeout",
        limit="first_byte_timeout_seconds",
    )


def upstream_protocol() -> ProxyError:
    """Return the error for an upstream whose answer is not what HTTP allows it to be."""
    return ProxyError(
        HTTPStatus.BAD_GATEWAY,
        "upstream_protocol",
        "The upstream server's answer is not valid HTTP.",
        cause="protocol",
    )


def stream_failure(failure: Failure) -> ProxyError:
    """Return the error for a stream that failed before it told anything."""
    return ProxyError(failure.status, failure.code, failure.message, kind=failure.type)


def from_client_error(error: Exception) -> ProxyError:
    """Say what an exception of aiohttp's client, raised before upstream's answer, means to the client."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ProxyError(
                HTTPStatus.GATEWAY_TIMEOUT,
                "upstream_connect_timeout",
                "The upstream server could not be connected to in time.",
                cause="connect",
                limit="connect_timeout_seconds",
            )
        case aiohttp.ClientConnectorError():  # name resolution and TLS too
            return ProxyError(
                HTTPStatus.BAD_GATEWAY,
                "upstream_connect",
                "The upstream server could not be connected to.",
                cause="connect",
            )
        case aiohttp.ServerDisconnectedError():
            return ProxyError(
                HTTPStatus.BAD_GATEWAY,
                "upstream_disconnect",
                "The upstream server closed the connection without an answer.",
                cause="disconnect",
            )
        case OSError() | aiohttp.ClientConnectionError():  # ClientOSError is both
            return ProxyError(
                HTTPStatus.BAD_GATEWAY,
                "upstream_reset",
                "The connection to the upstream server broke before an answer.",
                cause="reset",
            )
        case _:
            return upstream_protocol()
