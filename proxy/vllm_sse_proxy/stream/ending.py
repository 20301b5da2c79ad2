"""How streams end: two closed lists, one for upstream's body, one for what the client saw.

:class:`Ending` answers "how did it end, and whose fault was it?"; it is the label of ``sse_proxy_streams_total``, a
field of the log line and a table in docs/operations.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Self


class BodyEnd(StrEnum):
    """How upstream's body stopped."""

    EOF = "eof"
    """Cleanly: the last chunk, or all of Content-Length, came."""
    CUT = "cut"
    """The connection closed before the body was complete."""
    RESET = "reset"
    """The connection was reset."""
    IDLE_TIMEOUT = "idle_timeout"
    """Nothing came for the idle limit."""
    SHUTDOWN = "shutdown"
    """The proxy had to stop."""
    LIMIT = "limit"
    """A frame or the stream's text grew over its limit."""
    CLIENT_GONE = "client_gone"
    """The client closed its connection; nobody is left to send anything to."""


REPORTS: Final = {
    BodyEnd.EOF: (
        "upstream_truncated",
        "The upstream server ended the stream before the response was complete.",
    ),
    BodyEnd.CUT: (
        "upstream_cut",
        "The connection to the upstream server broke before the response was complete.",
    ),
    BodyEnd.RESET: (
        "upstream_reset",
        "The upstream server reset the connection before the response was complete.",
    ),
    BodyEnd.IDLE_TIMEOUT: ("upstream_idle_timeout", "The upstream server sent nothing for too long."),
    BodyEnd.SHUTDOWN: ("proxy_shutdown", "The proxy is shutting down; please send the request again."),
    BodyEnd.LIMIT: (
        "upstream_limit",
        "The upstream server sent more than the proxy accepts for one response.",
    ),
    BodyEnd.CLIENT_GONE: ("client_gone", "The client closed the connection."),
}
"""Code and message that the client reads when a body stopped too early."""


class Ending(StrEnum):
    """How the stream ended for the client."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        """Make a member of its value and its meaning; the value alone finds the member."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    COMPLETED = "completed", "Upstream sent response.completed."
    INCOMPLETE = "incomplete", "Upstream reported that the response was cut short (token limit or filter)."
    FAILED = "failed", "Upstream sent response.failed."
    UPSTREAM_ERROR = (
        "upstream_error",
        "Upstream reported an error inside the stream; the proxy sent response.failed.",
    )
    UNTERMINATED = (
        "unterminated",
        "Upstream ended a whole answer with [DONE] and without a terminal event; the proxy sent response.completed.",
    )
    TRUNCATED = (
        "truncated",
        "Upstream's body ended cleanly, but without a terminal event; the proxy sent response.failed.",
    )
    CUT = "cut", "Upstream's connection closed in the middle of the body; the proxy sent response.failed."
    RESET = "reset", "Upstream's connection was reset; the proxy sent response.failed."
    IDLE_TIMEOUT = "idle_timeout", "Upstream was silent for the idle limit; the proxy sent response.failed."
    SHUTDOWN = "shutdown", "The proxy had to stop before the stream was over; it sent response.failed."
    LIMIT = (
        "limit",
        "A frame, the stream's text or its final output was over a limit; the proxy sent response.failed.",
    )
    EMPTY = "empty", "Upstream answered 200 with a body without any event; the client got an HTTP error."
    CLIENT_GONE = "client_gone", "The client went away first; upstream was closed at once."


@dataclass(frozen=True, slots=True)
class Failure:
    """What the proxy answers while no event has been emitted, so that a real HTTP error is still possible.

    :ivar status: HTTP status code.
    :ivar code: machine-readable code of the error object.
    :ivar type: type of the error object, as OpenAI names them.
    """

    status: int
    code: str
    message: str
    type: str = "server_error"


def reported_failure(error: object) -> Failure:
    """Return an error object of upstream's as a failure; the HTTP status that its ``code`` or its ``type`` names, else 502."""
    detail = error if isinstance(error, dict) else {}
    code, message, type_ = detail.get("code"), detail.get("message"), detail.get("type")
    statuses = (_STATUS_OF_ERROR.get(str(name)) for name in (code, type_) if isinstance(name, int | str))
    return Failure(
        next((status for status in statuses if status is not None), HTTPStatus.BAD_GATEWAY),
        str(code) if isinstance(code, int | str) and code != "" else "upstream_error",
        message if isinstance(message, str) and message else "The upstream server reported an error.",
        type_ if isinstance(type_, str) and type_ else "server_error",
    )


_STATUS_OF_ERROR: Final = {
    **{str(status.value): status for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST},
    **dict.fromkeys(
        ("BadRequestError", "invalid_request_error", "invalid_prompt", "context_length_exceeded"),
        HTTPStatus.BAD_REQUEST,
    ),
    **dict.fromkeys(
        ("AuthenticationError", "authentication_error", "invalid_api_key"), HTTPStatus.UNAUTHORIZED
    ),
    **dict.fromkeys(("PermissionDeniedError", "permission_error"), HTTPStatus.FORBIDDEN),
    **dict.fromkeys(("NotFoundError", "not_found_error", "model_not_found"), HTTPStatus.NOT_FOUND),
    **dict.fromkeys(
        ("RateLimitError", "rate_limit_error", "rate_limit_exceeded", "insufficient_quota"),
        HTTPStatus.TOO_MANY_REQUESTS,
    ),
    **dict.fromkeys(
        ("ServiceUnavailableError", "overloaded_error", "server_is_overloaded"),
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
}
"""Code or type of an error → the HTTP status that clients know it by: they send some requests again, and others never."""
