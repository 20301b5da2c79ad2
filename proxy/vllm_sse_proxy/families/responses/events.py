"""How events of the Responses stream are read from bytes.

Reading never raises. A payload other than a JSON object with a ``type`` becomes an OPAQUE event that keeps its bytes.
"""

from __future__ import annotations

import re
from typing import Any, Final

from vllm_sse_proxy.families.responses.grammar import (
    ALIASES,
    COMPLETED,
    EVENT_FIELDS,
    OF_ITEMS,
    PRIVATE_NOTICES,
    RUN_OF_DELTA,
    TERMINAL_OF_STATUS,
    WORDS_OF_SUCCESS,
)
from vllm_sse_proxy.stream.event import OPAQUE, Body, Event
from vllm_sse_proxy.stream.payload import (
    is_json,
    is_too_deep,
    may_hold_halves,
    read_leniently,
    read_strictly,
    with_whole_characters,
)

_TYPE_NAME: Final = re.compile(r"[^<\x00-\x20][^\x00-\x1f]*")
"""A type goes into an ``event:`` line: no line ends. ``<`` begins the core's own pseudo-types."""


def inserted(type_: str, **fields: Any) -> Event:
    """Return an event of the proxy's own making. The engine's exit gives it its number."""
    return Event(type_, {"type": type_, **fields, "sequence_number": -1}, inserted=True)


def parse_event(data: bytes, name: str | None = None) -> Event:
    """Read one payload; ``name`` is its frame's ``event:`` field. Never raises.

    orjson reads integers over 64 bits as floats, so payloads that hold any are read by the standard library, and their
    bytes stay. What is JSON only to lenient readers comes back as OPAQUE, with the object that they would see: NaN, control
    characters, numbers without a value (1e999), a byte order mark, UTF-16, bytes that are not UTF-8, halves of characters.
    """
    try:
        body = read_strictly(data)
    except (ValueError, RecursionError):
        body = _read_leniently(data)
        if type(body) is not dict or not _is_vendors(body) or not (may_hold_halves(data) and is_json(data)):
            return Event(OPAQUE, body if type(body) is dict else {}, data, name=name)
    if type(body) is not dict or is_too_deep(data, body):
        return Event(OPAQUE, {}, data, name=name)
    type_ = body.get("type")
    if type(type_) is str and type_ in EVENT_FIELDS:
        return Event(type_, body, data, name=name)
    if not is_typed(body):
        return Event(OPAQUE, body, data, name=name)
    return Event(canonical_type(body), body, data, name=name)


def canonical_type(body: Body) -> str:
    """Return the protocol's name for the type of a typed payload.

    An unknown event that carries a response which is over is the end of that response (issue 12, K1).
    """
    type_: str = body["type"]
    known = ALIASES.get(type_)
    if known is not None or type_ in EVENT_FIELDS or "response" not in body or type_ in PRIVATE_NOTICES:
        return known or type_
    response = body["response"]
    status = response.get("status") if type(response) is dict else None
    terminal = TERMINAL_OF_STATUS.get(status) if type(status) is str else None
    if terminal is None or (terminal == COMPLETED and type_.rpartition(".")[2] not in WORDS_OF_SUCCESS):
        return type_
    return terminal


def is_typed_object(value: object) -> bool:
    """Return whether a value is an object whose ``type`` is a string, as every item and every part is."""
    return type(value) is dict and type(value.get("type")) is str


def object_in(body: Body, name: str) -> Body:
    """Return the object that a member holds; an empty one where the member is absent or no object."""
    value = body.get(name)
    return value if type(value) is dict else {}


def item_id_of(event: Event) -> str:
    """Return upstream's id of the item that an event is of; empty if it has none, or no string."""
    body = event.body
    id_ = object_in(body, "item").get("id") if event.type in OF_ITEMS else body.get("item_id")
    return id_ if type(id_) is str else ""


def is_typed(body: Body) -> bool:
    """Return whether a payload names a type that can stand in an ``event:`` line."""
    type_ = body.get("type")
    return type(type_) is str and _TYPE_NAME.fullmatch(type_) is not None


def _read_leniently(data: bytes) -> Any:
    """Return what a lenient reader sees in a payload that orjson refuses; None if that is nothing either.

    Halves of characters stay where they may find their other half (a text's ``delta``), and in vendors' events, whose bytes
    are their own; everywhere else they are joined or replaced.
    """
    body = read_leniently(data)
    if type(body) is not dict or not is_typed(body):
        return with_whole_characters(body)
    type_ = canonical_type(body)
    if type_ in RUN_OF_DELTA:
        delta = body.get("delta")
        whole: Body = with_whole_characters({name: value for name, value in body.items() if name != "delta"})
        return whole | {"delta": delta} if "delta" in body else whole
    return with_whole_characters(body) if type_ in EVENT_FIELDS else body


def _is_vendors(body: Body) -> bool:
    return is_typed(body) and canonical_type(body) not in EVENT_FIELDS
