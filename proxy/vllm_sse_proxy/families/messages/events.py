"""How events of a message stream are read from bytes, and how the proxy makes its own. Reading never raises."""

from __future__ import annotations

import re
from typing import Any, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.stream.event import COMMENT, OPAQUE, Body, Event
from vllm_sse_proxy.stream.payload import is_too_deep, read_leniently, read_strictly, with_whole_characters

_TYPE_NAME: Final = re.compile(r"[^<\x00-\x20][^\x00-\x1f]*")
"""A type goes into an ``event:`` line: no line ends. ``<`` begins the core's own pseudo-types."""


def parse_event(data: bytes, name: str | None) -> Event:
    """Read one payload. What no strict reader takes, and what has no ``type``, comes back as OPAQUE.

    :param name: the ``event:`` field of its frame.
    """
    try:
        body = read_strictly(data)
    except (ValueError, RecursionError):
        body = with_whole_characters(read_leniently(data))
        return Event(OPAQUE, body if type(body) is dict else {}, data, name=name)
    if type(body) is not dict or is_too_deep(data, body):
        return Event(OPAQUE, {}, data, name=name)
    return Event(type_of(body) or OPAQUE, body, data, name=name)


def type_of(body: Body) -> str:
    """Return the type that a payload names; empty if that could not stand in an ``event:`` line."""
    type_ = body.get("type")
    return type_ if type(type_) is str and _TYPE_NAME.fullmatch(type_) is not None else ""


def inserted(type_: str, **fields: Any) -> Event:
    """Return an event of the proxy's own making."""
    return Event(type_, {"type": type_, **fields}, inserted=True)


def error_event(type_: str, message: str) -> Event:
    """Return an error of the proxy's own."""
    return inserted(grammar.ERROR, error={"type": type_, "message": message})


def block_start(index: int, content: Body) -> Event:
    """Return the start of a block."""
    return inserted(grammar.BLOCK_START, index=index, content_block=content)


def block_stop(index: int) -> Event:
    """Return the stop of a block."""
    return inserted(grammar.BLOCK_STOP, index=index)


def delta_of(event: Event) -> Body:
    """Return the ``delta`` of an event; an empty object if it has none."""
    delta = event.body.get("delta")
    return delta if type(delta) is dict else {}


def delta_type(event: Event) -> str:
    """Return the type of an event's ``delta``; empty if it has none."""
    type_ = delta_of(event).get("type")
    return type_ if type(type_) is str else ""


IDLE: Final = frozenset({grammar.PING, grammar.MESSAGE_START, COMMENT})
"""Types of what says nothing of blocks: it passes what a repair holds."""
_SAID: Final = {grammar.TEXT_DELTA: "text", grammar.THINKING_DELTA: "thinking"}


def said_by(event: Event) -> str:
    """Return the words of a delta of text or thinking; empty for anything else."""
    member = _SAID.get(delta_type(event)) if event.type == grammar.BLOCK_DELTA else None
    words = delta_of(event).get(member) if member is not None else None
    return words if type(words) is str else ""


def says_nothing(event: Event) -> bool:
    """Return whether a delta, inside of a text, is none that a client gets: a signature, or thinking without words."""
    type_ = delta_type(event) if event.type == grammar.BLOCK_DELTA else ""
    return type_ == grammar.SIGNATURE_DELTA or (type_ == grammar.THINKING_DELTA and said_by(event) == "")


def saying(event: Event, type_: str, words: str) -> Event:
    """Return a delta of text or thinking with these words in place of an event's."""
    return event.having(delta={"type": type_, _SAID[type_]: words})
