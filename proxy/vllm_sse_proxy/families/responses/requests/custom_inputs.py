"""The text of a custom tool, as a function carries it: ``{"input": "…"}``."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

INPUT: Final = "input"

_OPENING: Final = ("{", '"input"', ":", '"')
"""What the arguments begin with, white space apart."""
_WHITE: Final = " \t\r\n"
_STOPS: Final = re.compile(r'["\\]')
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")
_HIGH: Final = 0xD800
_LOW: Final = 0xDC00
_BEYOND: Final = 0xE000
"""Surrogates: high ones from the first, low ones from the second up to the third."""
_ESCAPE_CHARACTERS: Final = 6
_NO_CHARACTER: Final = "\ufffd"
"""Takes the place of half a surrogate pair, which UTF-8 cannot hold."""

_BEGINNING: Final = 0
_TEXT: Final = 1
_REST: Final = 2
_OBJECT: Final = 3
_BARE: Final = 4


def encode_input(text: str) -> str:
    """Return the arguments for an input, spelled as vLLM's own conversion spells them."""
    try:
        spelled = orjson.dumps(text).decode()
    except TypeError:  # half a surrogate pair
        spelled = orjson.dumps(text.encode("utf-8", "replace").decode()).decode()
    return f'{{"{INPUT}": {spelled}}}'


def decode_input(arguments: str) -> str:
    """Return the input that these arguments carry, the same as the deltas of an :class:`InputDecoder` joined."""
    decoder = InputDecoder()
    return decoder.feed(arguments) + decoder.finish()


class InputDecoder:
    """Decodes the arguments of a converted custom tool as they stream.

    What begins as ``{"input": "`` is decoded as it comes; an escape that a delta cuts waits for its end. Models also write
    line ends into the string as they are, and they are taken so. An object that begins otherwise is read at its end. Anything
    but an object with ``input`` is the input itself, as it is for vLLM.
    """

    __slots__ = ("_held", "_matched", "_state", "_token")

    def __init__(self) -> None:
        self._state = _BEGINNING
        self._held: list[str] = []
        """pieces that are not decoded yet"""
        self._token = 0
        """how many tokens of the opening were found"""
        self._matched = 0
        """how many characters of the next token were found"""

    def feed(self, piece: str) -> str:
        """Return the piece of the input that the next piece of the arguments makes certain."""
        if self._state == _BEGINNING:
            piece = self._begin(piece)
        if self._state == _TEXT:
            return self._decode(piece)
        if self._state == _BARE:
            return piece
        if self._state == _OBJECT and piece:
            self._held.append(piece)
        return ""

    def finish(self) -> str:
        """Return what is left of the input at the end of the arguments. What a cut left of an escape is lost."""
        held, self._held = "".join(self._held), []
        state, self._state = self._state, _REST
        if state != _OBJECT:
            return ""
        try:
            arguments: Any = orjson.loads(held)
        except ValueError:
            return held
        text = arguments.get(INPUT)
        return text if isinstance(text, str) else held

    def _begin(self, piece: str) -> str:
        """Look for the opening, and return what follows what was read of the piece."""
        for place, character in enumerate(piece):
            token = _OPENING[self._token]
            if character == token[self._matched]:
                self._matched += 1
                if self._matched == len(token):
                    self._matched = 0
                    self._token += 1
                if self._token == len(_OPENING):
                    self._state = _TEXT
                    self._held = []
                    return piece[place + 1 :]
            elif self._matched or character not in _WHITE:
                self._state = _OBJECT if self._token else _BARE
                held, self._held = "".join(self._held), []
                return held + piece
        self._held.append(piece)
        return ""

    def _decode(self, piece: str) -> str:
        """Return the decoded text of a piece of the string."""
        if self._held:
            piece = "".join(self._held) + piece
            self._held = []
        decoded: list[str] = []
        place = 0
        while place < len(piece):
            stop = _STOPS.search(piece, place)
            if stop is None:
                decoded.append(piece[place:])
                break
            decoded.append(piece[place : stop.start()])
            place = stop.start()
            if piece[place] == '"':
                self._state = _REST
                break
            text, end = _unescaped(piece, place)
            if end == 0:
                self._held.append(piece[place:])
                break
            decoded.append(text)
            place = end
        return "".join(decoded)


def _unescaped(piece: str, place: int) -> tuple[str, int]:
    """Return the text of the escape at this place, and where it ends; 0 if the piece does not hold it all."""
    if place + 1 >= len(piece):
        return "", 0
    letter = piece[place + 1]
    if letter != "u":
        return _ESCAPES.get(letter, letter), place + 2
    code = _code(piece, place)
    end = place + _ESCAPE_CHARACTERS
    if code < 0:
        return ("", 0) if end > len(piece) else ("u", place + 2)
    if not _HIGH <= code < _BEYOND:
        return chr(code), end
    if code >= _LOW:
        return _NO_CHARACTER, end
    rest = piece[end : end + _ESCAPE_CHARACTERS]
    if len(rest) < _ESCAPE_CHARACTERS and r"\u".startswith(rest[:2]):
        return "", 0
    low = _code(piece, end)
    if _LOW <= low < _BEYOND:
        return chr(0x10000 + ((code - _HIGH) << 10) + low - _LOW), end + _ESCAPE_CHARACTERS
    return _NO_CHARACTER, end


def _code(piece: str, place: int) -> int:
    """Return the number of the escape at this place; -1 if there is none, or not all of it."""
    digits = piece[place + 2 : place + 6]
    return int(digits, 16) if piece[place : place + 2] == r"\u" and _HEX.fullmatch(digits) else -1
