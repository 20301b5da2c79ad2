"""What the proxy itself answers: one table of problems, each with an honest status.

Exceptions of the network end here: each becomes one :class:`Problem`, named by whose fault it is and what can be done about
it. The answer reveals no address, no path of ours and no exception text; those are for the log.
"""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson
from aiohttp import web
from aiohttp.client_exceptions import UnixClientConnectorError

from vllm_sse_proxy.server.headers import ERROR_HEADER, REQUEST_ID_HEADER
from vllm_sse_proxy.server.sockets import bracketed
from vllm_sse_proxy.settings import Limit
from vllm_sse_proxy.stream.family import openai_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vllm_sse_proxy.stream.ending import Failure

    ErrorBody = Callable[[str, str, str], dict[str, Any]]

RETRY_AFTER_SECONDS: Final = 1
"""How long a client should wait when this instance is stopping or full: another one is available, or soon will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request is answered by the proxy itself.

    :ivar status: HTTP status for the client.
    :ivar code: ``error.code`` in the body, the ``X-SSE-Proxy-Error`` header and the log's ``ending``.
    :ivar type: ``error.type`` in the body, as OpenAI names them.
    :ivar failure: label of ``sse_proxy_upstream_failures_total``; None: upstream is not to blame.
    :ivar limit: label of ``sse_proxy_limits_hit_total``; None: no limit was hit.
    :ivar close: whether the client's connection must end with the answer, because the rest of its request was not read.
    """

    status: int
    code: str
    message: str
    type: str = "server_error"
    failure: str | None = None
    limit: Limit | None = None
    close: bool = False


def _refused(status: int, code: str, message: str, limit: Limit | None = None) -> Problem:
    """Return a problem of the request: it is not forwarded, and its connection is closed."""
    return Problem(
        status=status, code=code, message=message, type="invalid_request_error", limit=limit, close=True
    )


def _upstream(status: int, code: str, message: str, failure: str, limit: Limit | None = None) -> Problem:
    """Return a problem of upstream's: the client's connection stays as it is."""
    return Problem(status=status, code=code, message=message, failure=failure, limit=limit)


# fmt: off
# The request is not what HTTP allows, or not what the proxy forwards.
INVALID_HTTP: Final = _refused(400, "invalid_http", "The request is not valid HTTP.")
CODED_HTTP_1_0: Final = _refused(400, "invalid_http", "HTTP/1.0 has no Transfer-Encoding.")
INVALID_TARGET: Final = _refused(400, "invalid_target", "The request target must be a path.")
UNENCODABLE_TARGET: Final = _refused(400, "invalid_target", "The request target must be ASCII or UTF-8.")
INVALID_BODY: Final = _refused(400, "invalid_body", "The request's body is not valid HTTP.")
INVALID_UPGRADE: Final = _refused(400, "invalid_upgrade", "A WebSocket begins with an HTTP/1.1 GET request without a body.")
PATH_NOT_ALLOWED: Final = _refused(404, "path_not_allowed", "This path is not served here.")
EXPECTATION_FAILED: Final = _refused(417, "expectation_failed", "Only 100-continue can be expected.")
UPGRADE_NOT_SUPPORTED: Final = _refused(501, "upgrade_not_supported", "The only upgrade that this proxy relays is WebSocket.")
CODING_NOT_SUPPORTED: Final = _refused(501, "transfer_coding_not_supported", "The only transfer coding supported is chunked.")
NO_WEBSOCKET: Final = _refused(426, "websocket_not_available", "There is no WebSocket here: send the request over HTTP.")
LOOP_DETECTED: Final = _refused(508, "loop_detected", "The request has been through this proxy before.")

# The request is over a limit.
HEAD_TIMEOUT: Final = _refused(408, "request_timeout", "The request's header did not arrive in time.", Limit.REQUEST_HEAD)
BODY_TIMEOUT: Final = _refused(408, "request_timeout", "The request's body did not arrive in time.", Limit.REQUEST_BODY)
BODY_TOO_LARGE: Final = _refused(413, "body_too_large", "The request's body is too large.", Limit.REQUEST_BODY_BYTES)
HEADER_TOO_LARGE: Final = _refused(431, "header_too_large", "The request's header is too large.", Limit.HEADER_BYTES)

# Upstream did not answer.
CONNECT: Final = _upstream(502, "upstream_connect", "The proxy could not connect to the upstream server.", "connect")
CONNECT_TIMEOUT: Final = _upstream(
    504, "upstream_connect_timeout", "The proxy could not connect to the upstream server in time.", "connect", Limit.CONNECT)
DISCONNECT: Final = _upstream(
    502, "upstream_disconnect", "The upstream server closed the connection without an answer.", "disconnect")
RESET: Final = _upstream(502, "upstream_reset", "The connection to the upstream server broke before an answer.", "reset")
PROTOCOL: Final = _upstream(502, "upstream_protocol", "The upstream server's answer is not valid HTTP.", "protocol")
FIRST_BYTE_TIMEOUT: Final = _upstream(
    504, "upstream_timeout", "The upstream server did not answer in time.", "timeout", Limit.FIRST_BYTE)

# The proxy cannot answer.
INTERNAL: Final = Problem(status=500, code="internal_error", message="The proxy failed to answer.", close=True)
OVERLOADED: Final = Problem(
    status=503, code="overloaded", message="The proxy has as many requests open as it may; try again.", limit=Limit.STREAMS)
SHUTTING_DOWN: Final = Problem(
    status=503, code="shutting_down", message="The proxy is shutting down; try again.", close=True)
# fmt: on

# The first that matches. Name resolution and TLS fail as connector errors; a ClientOSError is both of the last two.
_BY_EXCEPTION: Final = (
    (aiohttp.ConnectionTimeoutError, CONNECT_TIMEOUT),
    (aiohttp.ClientConnectorError, CONNECT),
    (aiohttp.ServerDisconnectedError, DISCONNECT),
    ((OSError, aiohttp.ClientConnectionError), RESET),
)


def problem_of(error: Exception) -> Problem:
    """Return what an exception of aiohttp's client, raised before upstream's answer, means to the client."""
    return next((problem for types, problem in _BY_EXCEPTION if isinstance(error, types)), PROTOCOL)


def reason_of(error: BaseException) -> str:
    """Return why upstream could not be asked, for the log and for people.

    aiohttp's own text of a connection that failed speaks of TLS (``ssl:default``) where there is none.
    """
    match error:
        case UnixClientConnectorError():
            return f"{error.path}: {_cause_of(error.os_error)}"
        case aiohttp.ClientConnectorCertificateError():
            return f"{bracketed(error.host)}:{error.port}: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            return f"{bracketed(error.host)}:{error.port}: {_cause_of(error.os_error)}"
        case TimeoutError() if not str(error):
            return "no answer in time"
        case _:
            return str(error) or type(error).__name__


def _cause_of(error: OSError) -> str:
    """Return the system's own words; asyncio's repeat the address as a tuple. TLS and name resolution number theirs apart."""
    if isinstance(error, (ssl.SSLError, socket.gaierror)) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)


def failed_stream(failure: Failure) -> Problem:
    """Return the problem of a stream that failed before the client was sent anything of it."""
    return Problem(status=failure.status, code=failure.code, message=failure.message, type=failure.type)


class ProxyError(Exception):
    """The request cannot be answered by upstream."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def error_response(problem: Problem, request_id: str, error_body: ErrorBody = openai_error) -> web.Response:
    """Return the answer.

    :param error_body: what the body looks like, by :attr:`vllm_sse_proxy.stream.family.Family.error`.
    """
    response = web.Response(
        status=problem.status,
        body=_body(problem, error_body),
        content_type="application/json",
        headers=_headers(problem, request_id),
    )
    if problem.close:
        response.force_close()
    return response


def error_bytes(problem: Problem, request_id: str) -> bytes:
    """Return the answer as bytes, for a connection without a request yet; it must be closed after them."""
    body = _body(problem, openai_error)
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **_headers(problem, request_id),
    }
    lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _body(problem: Problem, error_body: ErrorBody) -> bytes:
    return orjson.dumps(error_body(problem.message, problem.type, problem.code))


def _headers(problem: Problem, request_id: str) -> dict[str, str]:
    headers = {ERROR_HEADER: problem.code, REQUEST_ID_HEADER: request_id, "Server": "vllm-sse-proxy"}
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if problem.status == HTTPStatus.UPGRADE_REQUIRED:
        headers["Upgrade"] = (
            "HTTP/1.1"  # such an answer must name a protocol that will do (RFC 9110, section 15.5.22)
        )
    return headers
