r"""The input of a custom tool, read from the arguments of a function that vLLM made of it.

vLLM shows the model a custom tool as a function with one string, ``input``. So ``{"input": "*** Begin Patch\n…"}`` comes back
as arguments, in pieces that end anywhere: in an escape, between the halves of a surrogate pair. The tool wants the string.

Arguments that turn out otherwise are passed as they are, as vLLM itself does from 0.32 on: bare text is what the tool wants
anyway, and of JSON of another shape nobody can say what is meant. The client then runs the tool on it, which says what is
wrong, and the model tries again. A function call with the name of a custom tool would be worse: Codex ends the turn over it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

import orjson

_LONGEST_HEAD: Final = 256
"""Characters in which arguments must have shown that they begin with ``input``: what is longer is white space, or no input."""

_HEAD: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_HALF_HEAD: Final = re.compile(r'\s*(?:\{\s*(?:"(?:i(?:n(?:p(?:u(?:t(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?\Z')
_OBJECT: Final = re.compile(r"\s*\{")
_STOP: Final = re.compile(r'["\\]')
_HEX: Final = re.compile(r"[0-9a-fA-F]{0,4}")
_ESCAPES: Final = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_HIGH: Final = range(0xD800, 0xDC00)
_LOW: Final = range(0xDC00, 0xE000)
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_ESCAPE_LENGTH: Final = 6
"""Characters of ``\\u0000``."""


class _State(Enum):
    HEAD = "head"
    """not known yet"""
    STRING = "string"
    """in the string"""
    END = "end"
    """past it: what follows does not belong to the input"""
    OBJECT = "object"
    """another object: only the whole of it shows whether it has an input"""
    BARE = "bare"
    """no object at all"""


class InputReader:
    """Reads the input from arguments that come in pieces; what it returns, joined, does not depend on where they were cut."""

    __slots__ = ("_kept", "_state", "_tail")

    def __init__(self) -> None:
        self._state = _State.HEAD
        self._tail = ""
        """the end of what came that cannot be read yet: a head, or an escape"""
        self._kept: list[str] = []
        """all that came of an object that does not begin with the input"""

    @property
    def is_input(self) -> bool:
        """Whether the arguments are an object that begins with a string ``input``."""
        return self._state is _State.STRING or self._state is _State.END

    @property
    def unread(self) -> str:
        """What came and was not returned, since it is not known what it is."""
        return "".join(self._kept) if self._state is _State.OBJECT else self._tail

    def read(self, piece: str) -> str:
        """Return how the input goes on with a piece of the arguments; nothing while that is not sure."""
        if self._state is _State.HEAD:
            piece = self._read_head(piece)
        if self._state is _State.STRING:
            return self._read_string(piece)
        if self._state is _State.BARE:
            return piece
        if self._state is _State.OBJECT and piece:
            self._kept.append(piece)
        return ""

    def _read_head(self, piece: str) -> str:
        """Return what comes behind the head; nothing if the head has not ended."""
        text = self._tail + piece
        self._tail = ""
        found = _HEAD.match(text, 0, _LONGEST_HEAD)
        if found is not None:
            self._state = _State.STRING
            return text[found.end() :]
        if len(text) < _LONGEST_HEAD and _HALF_HEAD.match(text) is not None:
            self._tail = text
            return ""
        self._state = _State.OBJECT if _OBJECT.match(text) is not None else _State.BARE
        return text

    def _read_string(self, piece: str) -> str:
        text = self._tail + piece
        self._tail = ""
        pieces: list[str] = []
        at = 0
        while (stop := _STOP.search(text, at)) is not None:
            pieces.append(text[at : stop.start()])
            if stop[0] == '"':
                self._state = _State.END
                return "".join(pieces)
            character, at = _unescape(text, stop.start())
            if not character:
                self._tail = text[at:]
                return "".join(pieces)
            pieces.append(character)
        pieces.append(text[at:])
        return "".join(pieces)


def _unescape(text: str, at: int) -> tuple[str, int]:
    """Return what an escape says, and where the text goes on; nothing if it may not be whole.

    A backslash before any other character stands for itself: models write such, and the tool should see it.
    """
    letter = text[at + 1 : at + 2]
    if letter != "u":
        return (_ESCAPES.get(letter, "\\" + letter), at + 2) if letter else ("", at)
    code = _code_at(text, at)
    if code is None:
        return "", at
    behind = at + _ESCAPE_LENGTH
    if code < 0:
        return "\\u", at + 2
    if code not in _HIGH:
        return (_REPLACEMENT if code in _LOW else chr(code)), behind
    if not text.startswith("\\u", behind):
        return ("", at) if text[behind:] in ("", "\\") else (_REPLACEMENT, behind)
    low = _code_at(text, behind)
    if low is None:
        return "", at
    if low in _LOW:
        return chr(0x10000 + ((code - _HIGH.start) << 10) + (low - _LOW.start)), behind + _ESCAPE_LENGTH
    return _REPLACEMENT, behind


def _code_at(text: str, at: int) -> int | None:
    """Return the number that an escape at ``at`` has; -1 if it has none, None if the text ends too soon."""
    found = _HEX.match(text, at + 2)
    digits = found[0] if found is not None else ""
    if len(digits) == _ESCAPE_LENGTH - 2:
        return int(digits, 16)
    return None if at + 2 + len(digits) == len(text) else -1


def input_of(arguments: str) -> str:
    """Return the input that whole arguments have; the arguments as they are if they have none."""
    reader = InputReader()
    text = reader.read(arguments)
    if reader.is_input:
        return text
    try:
        value: Any = orjson.loads(arguments)
    except (ValueError, UnicodeEncodeError):
        return arguments
    found = value.get("input") if isinstance(value, dict) else None
    return found if isinstance(found, str) else arguments
