"""One event of a stream on its way through the stations, and JSON as it is read and written here.

An :class:`Event` is never changed in place. A repair that has something to correct returns a new event (:meth:`Event.having`),
so the one that it was given is still whole when the repair fails half way, and an event that nobody replaced still carries
upstream's own bytes, which then go out unchanged.
"""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

Body = dict[str, Any]

END: Final = "<end>"
"""Type of the pseudo-event that marks the end of upstream's body. No bytes can forge one: an event of upstream's whose type
begins with ``<`` is read as OPAQUE."""

OPAQUE: Final = "<opaque>"
"""Type of a payload that is not an event of the family; ``body`` holds it if it is an object, and is empty otherwise."""

COMMENT: Final = "<comment>"
"""Type of an event that leaves as an SSE comment line; ``raw`` is the comment's text."""


SENTINEL: Final = b"[DONE]"
"""What ends a stream of events in OpenAI's protocols. An early one is held back: it goes out last, once."""


class Event:
    """One event.

    :ivar type: the canonical type, by which repairs are asked (a private name is read as the protocol's name for it).
    :ivar body: the JSON object.
    :ivar raw: upstream's own bytes of the object while nothing was changed; None for a changed or inserted event.
    :ivar inserted: made by the proxy, not by upstream.
    :ivar name: the ``event:`` field of upstream's frame, for payloads that name no type themselves.
    """

    __slots__ = ("body", "inserted", "name", "raw", "type")

    def __init__(
        self,
        type_: str,
        body: Body,
        raw: bytes | None = None,
        *,
        inserted: bool = False,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.type = type_
        self.body = body
        self.raw = raw
        self.inserted = inserted

    def having(self, **changes: Any) -> Event:
        """Return this event with some fields of its body replaced or added; without upstream's bytes."""
        return Event(self.type, {**self.body, **changes}, inserted=self.inserted)

    def having_member(self, name: str, value: Any) -> Event:
        """Return this event with one field replaced or added, whose name is not known before."""
        return Event(self.type, {**self.body, name: value}, inserted=self.inserted)

    def renamed(self, type_: str, **changes: Any) -> Event:
        """Return this event under another type, with some fields of its body replaced or added."""
        return Event(type_, {**self.body, **changes, "type": type_}, inserted=self.inserted)

    def without(self, *names: str) -> Event:
        """Return this event without the named fields of its body."""
        body = {name: value for name, value in self.body.items() if name not in names}
        return Event(self.type, body, inserted=self.inserted)

    def __repr__(self) -> str:
        origin = "inserted" if self.inserted else "changed" if self.raw is None else "raw"
        return f"Event({self.type}, {origin}, {self.body})"


_LF: Final = 10
_CR: Final = 13
"""As numbers, which are found many times faster than bytes in bytes."""


def serialize_event(event: Event) -> bytes:
    """Return the event's JSON on one line: upstream's own bytes where nothing was changed."""
    raw = event.raw
    if raw is not None and _LF not in raw and _CR not in raw:
        return raw
    return dump_json(event.body)


_DUMPS: Final = orjson.dumps


def dump_json(value: Any) -> bytes:
    """Return ``value`` as JSON on one line; with ASCII escapes where it holds what orjson cannot write (lone surrogates)."""
    try:
        return _DUMPS(value)
    except TypeError:  # a lone surrogate, or an integer over 64 bits
        return json.dumps(value, separators=(",", ":")).encode()
