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

from proxy.server.headers import ERROR_HEADER, REQUEST_ID_HEADER

if TYPE_CHECKING:
    from proxy.responses import Failure

RETRY_AFTER_SECONDS: Final = 1
"""What a client is told to wait when this instance is stopping: another one is, or soon will be, there."""


class ProxyError(Exception):
    """The request cannot be answered by upstream.

    :ivar status: HTTP status for the client.
    :ivar code: value of ``error.code``, of the ``X-SSE-Proxy-Error`` header and of the log's ``ending``.
    :ivar kind: value of ``error.type``, as OpenAI names them.
    :ivar cause: label of ``sse_proxy_upstream_failures_total``; None: upstream is not to blame.
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
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind
        self.cause = cause
        self.close = close

    def response(self, request_id: str) -> web.Response:
        """Make the answer."""
        body = {"error": {"message": self.message, "type": self.kind, "param": None, "code": self.code}}
        headers = {ERROR_HEADER: self.code, REQUEST_ID_HEADER: request_id, "Server": "vllm-sse-proxy"}
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        response = web.Response(
            status=self.status, body=orjson.dumps(body), content_type="application/json", headers=headers
        )
        if self.close:
            response.force_close()
        return response


def bad_request(code: str, message: str, *, status: int = HTTPStatus.BAD_REQUEST) -> ProxyError:
    """Return the error for a request that cannot be passed on; its connection is closed."""
    return ProxyError(status, code, message, kind="invalid_request_error", close=True)


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
