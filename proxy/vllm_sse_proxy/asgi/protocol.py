"""ASGI's types, and how its headers become those that the rest of the project knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = tuple[tuple[bytes, bytes], ...]

START = "http.response.start"
BODY = "http.response.body"
REQUEST = "http.request"
DISCONNECT = "http.disconnect"


def raw_headers(found: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return the headers of a scope or of a message as the shell has them."""
    return tuple((bytes(name), bytes(value)) for name, value in found)


def headers_of(raw: RawHeaders) -> CIMultiDict[str]:
    """Return headers by name."""
    return CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers for a scope or a message."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in headers.items()
    ]


def start(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Message:
    """Return the message that begins an answer."""
    return {"type": START, "status": status, "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> Message:
    """Return a message with a piece of an answer's body."""
    return {"type": BODY, "body": data, "more_body": more}
