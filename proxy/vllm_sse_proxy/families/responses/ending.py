"""How streams end: two closed lists, one for upstream's body, one for what the client saw.

:class:`Ending` answers "how did it end, and whose fault was it?"; it is the label of ``sse_proxy_streams_total``, a
field of the log line and a table in docs/operations.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
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
    """The client closed its connection; nobody is left to be told anything."""


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

    COMPLETED = "completed", "Upstream said response.completed."
    INCOMPLETE = "incomplete", "Upstream said that the response was cut short (token limit or filter)."
    FAILED = "failed", "Upstream said response.failed."
    UPSTREAM_ERROR = (
        "upstream_error",
        "Upstream reported an error inside the stream; the proxy told response.failed.",
    )
    UNTERMINATED = (
        "unterminated",
        "Upstream ended a whole answer with [DONE] and without a terminal event; the proxy sent response.completed.",
    )
    TRUNCATED = (
        "truncated",
        "Upstream ended cleanly without saying that the response was over; the proxy sent response.failed.",
    )
    CUT = "cut", "Upstream's connection closed in the middle of the body; the proxy told response.failed."
    RESET = "reset", "Upstream's connection was reset; the proxy told response.failed."
    IDLE_TIMEOUT = "idle_timeout", "Upstream was silent for the idle limit; the proxy told response.failed."
    SHUTDOWN = "shutdown", "The proxy had to stop before the stream was over; it told response.failed."
    LIMIT = (
        "limit",
        "A frame, the stream's text or its final output was over a limit; the proxy sent response.failed.",
    )
    EMPTY = "empty", "Upstream answered 200 with a body that told nothing; the client got an HTTP error."
    CLIENT_GONE = "client_gone", "The client went away first; upstream was closed at once."


@dataclass(frozen=True, slots=True)
class Failure:
    """What the proxy says when nothing was told yet, so that a real HTTP error can still be given.

    :ivar status: HTTP status code.
    :ivar code: machine-readable code of the error object.
    :ivar type: type of the error object, as OpenAI names them.
    """

    status: int
    code: str
    message: str
    type: str = "server_error"
