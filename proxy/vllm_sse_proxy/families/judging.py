"""What the judges of all families share: how they are fed, how they report, and how they read JSON.

Only judges import this module. No repair does, so a wrong idea of a repair cannot hide here; and a judge imports nothing
else but ``vllm_sse_proxy.sse``, the grammar of its own family and orjson. ``tests/families/test_judging.py`` enforces both.

A judge never raises, whatever bytes it is given, and takes time linear in their number. After a violation it goes on as
if the stream had sent what it must have meant, so that one fault is reported once.

A rule is a name and a sentence in the family's ``RULES``; the names are stable. A rule in the family's ``MINOR`` is part of
the contract, but the official types and accumulators let it pass: OpenAI's and Anthropic's own servers keep it, and only
some clients lose something without it. A rule in ``CONTENT`` is about what the model wrote: no repair may be able to keep it.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import orjson

from vllm_sse_proxy.sse import FrameDecoder

DONE: Final = b"[DONE]"
"""What ends the streams of OpenAI's families, as the data of the last frame."""

_BLANK: Final = b"\n\n"
_LONGEST: Final = 80
"""Characters of a value in a message."""


class Absent:
    """The type of :data:`ABSENT`, which is false."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()
"""What stands for a member that is not there, where null means something else."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: its name, the position of the event (counted from 0; at the end: their number), and what was wrong."""

    rule: str
    position: int
    detail: str

    def __str__(self) -> str:
        return f"event {self.position}: {self.rule}: {self.detail}"


class StreamJudge(ABC):
    """Judge one stream: ``feed`` it every event, comments left out, then ``finish``. Neither ever raises."""

    def __init__(self) -> None:
        self.position = 0
        """Position of the next event."""
        self._found: list[Violation] = []

    def feed(self, event_name: str | None, data: bytes) -> list[Violation]:
        """Judge the next event; return what it breaks."""
        self._found = []
        self._judge(event_name, data)
        self.position += 1
        return self._found

    def finish(self) -> list[Violation]:
        """Judge the end of the stream; return what it breaks."""
        self._found = []
        self._judge_end()
        return self._found

    def _say(self, rule: str, detail: str) -> None:
        self._found.append(Violation(rule, self.position, detail))

    @abstractmethod
    def _judge(self, event_name: str | None, data: bytes) -> None:
        """Judge one event."""

    @abstractmethod
    def _judge_end(self) -> None:
        """Judge what can only be known at the end."""


def judge_body(stream: bytes, judge: StreamJudge, frame: re.Pattern[bytes]) -> list[Violation]:
    """Judge a whole body with a fresh judge, its frames included.

    :param frame: what the lines of a frame must look like, without the blank line.
    """
    decoder = FrameDecoder(max_frame_bytes=len(stream) + 1)
    found: list[Violation] = []
    *blocks, rest = stream.split(_BLANK)
    for block in blocks:
        if not frame.fullmatch(block):
            found.append(Violation("frame_shape", judge.position, f"the frame is {short(block)}"))
        for event in decoder.feed(block + _BLANK):
            if event.comment is None:
                found += judge.feed(event.event, event.data)
    if rest:
        found.append(Violation("frame_shape", judge.position, f"no blank line after {short(rest)}"))
        for event in decoder.feed(rest):  # line ends other than LF LF may hide whole frames in it
            if event.comment is None:
                found += judge.feed(event.event, event.data)
    return found + judge.finish()


# ------------------------------------------------------------------------------------------------ values


def strict_json(data: bytes) -> Any:
    """Return the value, or :data:`ABSENT` for anything but JSON on one line (UTF-8, no NaN)."""
    if b"\n" in data or b"\r" in data:
        return ABSENT
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    try:  # legal JSON that orjson refuses: lone surrogate escapes
        return json.loads(data.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return ABSENT


def _refuse(name: str) -> None:
    raise ValueError(name)


def short(value: object) -> str:
    """Return the value for a message, cut where it is long."""
    try:
        text = repr(value[: _LONGEST + 1]) if isinstance(value, (str, bytes)) else repr(value)
    except RecursionError:  # orjson reads JSON that nests deeper than repr can follow
        text = f"a {type(value).__name__} that nests too deeply"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def member(value: object, *path: str) -> Any:
    """Return what stands at a path of members, :data:`ABSENT` if nothing does."""
    for key in path:
        value = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
    return value


def is_count(value: object) -> bool:
    """Return whether a value is an integer of at least 0, and no boolean."""
    return type(value) is int and value >= 0


def is_number(value: object) -> bool:
    """Return whether a value is a number, and no boolean."""
    return type(value) in (int, float)


def is_given(value: object) -> bool:
    """Return whether a value is there: neither absent nor null."""
    return value is not ABSENT and value is not None


def is_one_of(value: object, names: frozenset[str]) -> bool:
    """Return whether a value is one of some strings; any value may be asked about."""
    return isinstance(value, str) and value in names


# ------------------------------------------------------------------------------------------------ JSON in pieces


class JsonState(Enum):
    """What a text is that should be one JSON object."""

    EMPTY = "empty"
    """Nothing, or white space."""
    OBJECT = "an object"
    VALUE = "a value that is not an object"
    CUT = "cut before its end"
    """The beginning of JSON, and more may follow."""
    EXCESS = "followed by more"
    """A whole value with something other than white space behind it."""
    BROKEN = "not JSON"


_NOT_SPACE: Final = re.compile(r"[^ \t\n\r]")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_STRING_BEGUN: Final = re.compile(
    r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z'
)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_NUMBER_BEGUN: Final = re.compile(r"-?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]*+)?)?\Z")
"""A number at the end of the text: more digits may follow."""
_LITERALS: Final = ("true", "false", "null")


def json_state(text: str) -> JsonState:
    """Return how far a text is one JSON value. Linear in its length, however deep it nests."""
    if not text.strip(" \t\n\r"):
        return JsonState.EMPTY
    return _JsonScan(text).state()


class _JsonScan:
    """One walk over a text, without recursion: models write ``[[[[`` a million times."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[str] = []
        """What closes the objects and lists that are open."""

    def state(self) -> JsonState:
        self._skip_space()
        is_object = self._text[self._at] == "{"
        stopped = self._value()
        while stopped is None and self._open:
            stopped = self._after_value()
        if stopped is not None:
            return stopped
        self._skip_space()
        if self._at < len(self._text):
            return JsonState.EXCESS
        return JsonState.OBJECT if is_object else JsonState.VALUE

    def _skip_space(self) -> bool:
        """Skip white space; return whether the text is at its end."""
        found = _NOT_SPACE.search(self._text, self._at)
        self._at = len(self._text) if found is None else found.start()
        return found is None

    def _take(self, character: str) -> bool:
        if self._text[self._at] != character:
            return False
        self._at += 1
        return True

    def _value(self) -> JsonState | None:
        """Read a scalar, or whatever opens until one comes. Return what stopped it, None if nothing did."""
        while True:
            if self._skip_space():
                return JsonState.CUT
            if self._take("{"):
                self._open.append("}")
                if self._skip_space():
                    return JsonState.CUT
                if self._take("}"):
                    self._open.pop()
                    return None
                stopped = self._key()
                if stopped is not None:
                    return stopped
            elif self._take("["):
                self._open.append("]")
                if self._skip_space():
                    return JsonState.CUT
                if self._take("]"):
                    self._open.pop()
                    return None
            else:
                return self._scalar()

    def _key(self) -> JsonState | None:
        if self._skip_space():
            return JsonState.CUT
        stopped = self._string()
        if stopped is not None:
            return stopped
        if self._skip_space():
            return JsonState.CUT
        return None if self._take(":") else JsonState.BROKEN

    def _after_value(self) -> JsonState | None:
        """Read what follows a value in an object or list, and the value that follows a comma."""
        if self._skip_space():
            return JsonState.CUT
        closer = self._open[-1]
        if self._take(closer):
            self._open.pop()
            return None
        if not self._take(","):
            return JsonState.BROKEN
        stopped = self._key() if closer == "}" else None
        return self._value() if stopped is None else stopped

    def _scalar(self) -> JsonState | None:
        first = self._text[self._at]
        if first == '"':
            return self._string()
        if first in "-0123456789":
            return self._number()
        for literal in _LITERALS:
            if self._text.startswith(literal, self._at):
                self._at += len(literal)
                return None
            if literal.startswith(self._text[self._at : self._at + len(literal)]):
                return JsonState.CUT
        return JsonState.BROKEN

    def _string(self) -> JsonState | None:
        token = _STRING.match(self._text, self._at)
        if token is None:
            return JsonState.CUT if _STRING_BEGUN.match(self._text, self._at) else JsonState.BROKEN
        self._at = token.end()
        return None

    def _number(self) -> JsonState | None:
        token = _NUMBER.match(self._text, self._at)
        if token is None or (self._open and _NUMBER_BEGUN.match(self._text, self._at)):
            return JsonState.CUT if _NUMBER_BEGUN.match(self._text, self._at) else JsonState.BROKEN
        self._at = token.end()
        return None
