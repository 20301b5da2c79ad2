"""Events of the Responses stream: what one is, how it is read from bytes and written back.

An :class:`Event` is never changed in place. A repair that has something to mend returns a new event
(:meth:`Event.having`), so the one it was given is still whole when the repair fails half way (the engine's fail-open
rule), and an event that nobody replaced still carries upstream's own bytes, which then go out unchanged.

Reading never raises. What is no JSON object with a ``type`` becomes an :data:`OPAQUE` event that keeps its bytes.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses.grammar import (
    ALIASES,
    COMPLETED,
    EVENT_FIELDS,
    PRIVATE_NOTICES,
    RUN_OF_DELTA,
    TERMINAL_OF_STATUS,
    WORDS_OF_SUCCESS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Body = dict[str, Any]

END: Final = "<end>"
"""Type of the pseudo-event that tells the repairs that upstream's body is over. No upstream bytes can make one: a
``type``
that begins with ``<`` is read as OPAQUE."""

OPAQUE: Final = "<opaque>"
"""Type of a payload that is no JSON object with a string ``type``; ``body`` holds the object if it is one, else is empty."""

COMMENT: Final = "<comment>"
"""Type of an event that leaves as an SSE comment line; ``raw`` is the comment's text. It takes no number."""

_DIGITS_AS_NOUGHTS: Final = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS: Final = b"0" * 19
"""So many digits in a row, in bytes whose digits were all made noughts, may be more than 64 bits hold.
A regular expression finds them as surely, in 6 ms instead of 1 per megabyte, for which every stream would stand still."""

_TYPE_NAME: Final = re.compile(r"[^<\x00-\x20][^\x00-\x1f]*")
"""A type goes into an ``event:`` line: no line ends. ``<`` begins the core's own pseudo-types."""


class Event:
    """One event on its way through the repairs.

    :ivar type: the canonical type (a private name of a fork is read as the protocol's name for it, see
    ``grammar.ALIASES``).
    :ivar body: the JSON object. ``body["type"]`` keeps upstream's spelling until a repair changes it.
    :ivar raw: upstream's own bytes of the object while nothing was changed; None for a changed or invented event.
    :ivar invented: made by the proxy, not by upstream.
    :ivar name: the ``event:`` field of upstream's frame, for payloads that name no type themselves.
    """

    __slots__ = ("body", "invented", "name", "raw", "type")

    def __init__(
        self,
        type_: str,
        body: Body,
        raw: bytes | None = None,
        *,
        invented: bool = False,
        name: str | None = None,
    ) -> None:
        self.name = name
        self.type = type_
        self.body = body
        self.raw = raw
        self.invented = invented

    def having(self, **changes: Any) -> Event:
        """Return this event with some fields of its body replaced or added; without upstream's bytes."""
        return Event(self.type, {**self.body, **changes}, invented=self.invented)

    def renamed(self, type_: str, **changes: Any) -> Event:
        """Return this event under another type, with some fields of its body replaced or added."""
        return Event(type_, {**self.body, **changes, "type": type_}, invented=self.invented)

    def without(self, *names: str) -> Event:
        """Return this event without the named fields of its body."""
        body = {name: value for name, value in self.body.items() if name not in names}
        return Event(self.type, body, invented=self.invented)

    def __repr__(self) -> str:
        origin = "invented" if self.invented else "changed" if self.raw is None else "raw"
        return f"Event({self.type}, {origin}, {self.body})"


def invented(type_: str, **fields: Any) -> Event:
    """Return an event of the proxy's own making. The engine's exit gives it its number."""
    return Event(type_, {"type": type_, **fields, "sequence_number": -1}, invented=True)


def parse_event(data: bytes, name: str | None = None) -> Event:
    """Read one payload; ``name`` is its frame's ``event:`` field. Never raises.

    orjson reads integers over 64 bits as floats, so payloads that hold any are read by the standard library, and their
    bytes stay. What is JSON only to lenient readers comes back as OPAQUE, with the object that they would see: NaN, control
    characters, numbers without a value (1e999), a byte order mark, UTF-16, bytes that are no UTF-8, halves of characters.
    """
    try:
        body = orjson.loads(data)
        type_ = body.get("type") if type(body) is dict else None
        if len(data) <= SHORT and type(type_) is str and type_ in RUN_OF_DELTA:
            return Event(type_, body, data)  # nearly every event: too short to be deep, no big numbers
        if _MANY_DIGITS in data.translate(_DIGITS_AS_NOUGHTS):
            body = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError):
        body = _parse_leniently(data)
        if type(body) is not dict or not _is_strict(data, body):
            return Event(OPAQUE, body if type(body) is dict else {}, data, name=name)
    if type(body) is not dict or _is_too_deep(data, body):
        return Event(OPAQUE, {}, data, name=name)
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


def is_typed(body: Body) -> bool:
    """Tell whether a payload names a type that can stand in an ``event:`` line."""
    type_ = body.get("type")
    return type(type_) is str and _TYPE_NAME.fullmatch(type_) is not None


def serialize_event(event: Event) -> bytes:
    """Return the event's JSON on one line: upstream's own bytes where nothing was changed."""
    raw = event.raw
    if raw is not None and b"\n" not in raw and b"\r" not in raw:
        return raw
    return dump_json(event.body)


def dump_json(value: Mapping[str, Any]) -> bytes:
    """Return ``value`` as JSON on one line; with ASCII escapes where it holds what orjson cannot write (lone surrogates)."""
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, or an integer over 64 bits
        return json.dumps(value, separators=(",", ":")).encode()


def _parse_leniently(data: bytes) -> Any:
    """Return what a lenient reader sees in a payload that orjson refuses; None if that is nothing either.

    Halves of characters stay where they may find their other half (a text's ``delta``), and in vendors' events, whose bytes
    are their own; everywhere else they are joined or replaced.
    """
    try:
        body = json.loads(
            decode_text(data), parse_constant=_no_number, parse_float=_finite_or_none, strict=False
        )
    except (ValueError, RecursionError):
        return None
    if _is_too_deep(data, body):
        return None
    if type(body) is not dict or not is_typed(body):
        return with_whole_characters(body)
    type_ = canonical_type(body)
    if type_ in RUN_OF_DELTA:
        delta = body.get("delta")
        whole: Body = with_whole_characters({name: value for name, value in body.items() if name != "delta"})
        return whole | {"delta": delta} if "delta" in body else whole
    return with_whole_characters(body) if type_ in EVENT_FIELDS else body


def _is_strict(data: bytes, body: Body) -> bool:
    """Return whether a payload that orjson refuses is a vendor's, and JSON in UTF-8 all the same: halves of characters are."""
    if not is_typed(body) or canonical_type(body) in EVENT_FIELDS:
        return False
    try:
        json.loads(data.decode(), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return False
    return True


def decode_text(data: bytes) -> str:
    """Return a payload as text, without byte order marks: UTF-8, or what its first bytes show it to be (UTF-16, UTF-32).

    Halves of characters that were written as UTF-8 stay, so that they can be joined; other stray bytes become U+FFFD.
    """
    encoding = json.detect_encoding(data)
    try:
        text = data.decode(encoding, "surrogatepass")
    except ValueError:
        text = data.decode(encoding, "replace")
    return text.lstrip("\ufeff")


def has_halves(text: str) -> bool:
    """Return whether a text holds halves of characters (surrogates), which no UTF-8 can write."""
    return not text.isascii() and _HALF.search(text) is not None


def whole_characters(text: str) -> str:
    """Return a text with the two halves of a character joined, and U+FFFD for a half without the other."""
    return (
        text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if has_halves(text) else text
    )


_HALF: Final = re.compile(r"[\ud800-\udfff]")


def with_whole_characters(value: Any) -> Any:
    """Return a JSON value with whole characters in all of its texts."""
    if type(value) is str:
        return whole_characters(value)
    if type(value) is list:
        return [with_whole_characters(one) for one in value]
    if type(value) is dict:
        return {whole_characters(name): with_whole_characters(one) for name, one in value.items()}
    return value


def may_hold_halves(raw: bytes) -> bool:
    """Return whether a payload has escapes as halves of characters are written; two that belong together count as well."""
    return _ESCAPED_HALF.search(raw) is not None


_ESCAPED_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(text: str) -> float:
    """Read a number. One too large for a float has no value that could be written again."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def _finite_or_none(text: str) -> float | None:
    value = float(text)
    return None if math.isinf(value) else value


def _no_number(_constant: str) -> None:
    """NaN and the infinities are no JSON: a strict client cannot read them, so they become null."""


def _is_too_deep(data: bytes, body: Any) -> bool:
    """Tell whether an object is nested deeper than anything that any event has, or that orjson can write (254)."""
    if data.count(b"{") + data.count(b"[") <= _DEEPEST:
        return False
    level = [body]
    for _ in range(_DEEPEST):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


_DEEPEST: Final = 200
SHORT: Final = 2 * _DEEPEST
"""Bytes that an object at the limit of nesting takes at least."""
