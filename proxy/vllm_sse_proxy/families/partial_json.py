"""JSON that comes in pieces: how far the arguments of a call are one whole value, without reading any character twice.

Models write the arguments, so anything may come: the scanner never raises, nests without recursion, and takes time linear in
what it is fed. It looks for the end of the first value. What stands behind it, it does not read.

It is lenient in one thing. Control characters in strings (a raw line end) are not strict JSON, but lenient readers take them,
and the value that holds them has an end like any other.
"""

from __future__ import annotations

import re
from typing import Any, Final

_SPACE: Final = re.compile(r"[ \t\n\r]*+")
_PLAIN: Final = re.compile(r'[^"\\]*+')
"""Characters of a string that neither end it nor begin an escape."""
_NUMBER_PART: Final = re.compile(r"[-+.0-9eE]*+")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_NUMBER_BEGUN: Final = re.compile(r"-?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?(?:(?<=[0-9])[eE][+-]?[0-9]*+)?)?")
_LITERALS: Final = ("true", "false", "null")
_LONGEST_LITERAL: Final = 5
_HEX_DIGITS: Final = "0123456789abcdefABCDEF"
_ESCAPES: Final = '"\\/bfnrt'
_UNICODE_DIGITS: Final = 4

# What comes next.
_VALUE: Final = 0
_VALUE_OR_END: Final = 1
"""Behind ``[``."""
_KEY_OR_END: Final = 2
"""Behind ``{``."""
_KEY: Final = 3
_COLON: Final = 4
_COMMA_OR_END: Final = 5
_STRING: Final = 6
_ESCAPE: Final = 7
_HEX: Final = 8
_SCALAR: Final = 9
"""The rest of a number."""
_WORD: Final = 10
"""The rest of ``true``, ``false`` or ``null``."""
_DONE: Final = 11
_BROKEN: Final = 12


class JsonScanner:
    """Finds the end of the first JSON value of a text that comes in pieces.

    :ivar length: how many characters were fed.
    :ivar end: how many of them the first value takes, with the white space before it; -1 while it has no end.
    :ivar is_object: whether the value is an object, as its first character says.
    :ivar begins_with: the first character that is not white space; empty before there is one.
    """

    __slots__ = (
        "_digits",
        "_in_key",
        "_open",
        "_state",
        "_token",
        "begins_with",
        "end",
        "is_object",
        "length",
    )

    def __init__(self) -> None:
        self.length = 0
        self.end = -1
        self.is_object = False
        self.begins_with = ""
        self._state = _VALUE
        self._open: tuple[str, Any] | None = None
        """what closes the innermost object or list that is open, and the same of those around it: so a copy costs nothing"""
        self._token: tuple[str, Any] | None = None
        """the last piece of the number or word that has begun, and those before it"""
        self._digits = 0
        """digits of a ``\\u`` escape that are still to come"""
        self._in_key = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing but white space was fed."""
        return self.begins_with == ""

    @property
    def is_complete(self) -> bool:
        """Whether the value has its end. A number outside of everything has one once something follows it."""
        return self._state == _DONE

    @property
    def is_broken(self) -> bool:
        """Whether what was fed was found to be no JSON, whatever follows. A number is looked at once it has its end."""
        return self._state == _BROKEN

    @property
    def is_open(self) -> bool:
        """Whether a value has begun, and neither its end nor anything that is not JSON was seen. Reads nothing again."""
        return self.begins_with != "" and self._state < _DONE

    @property
    def is_in_string(self) -> bool:
        """Whether a string has begun and has no end."""
        return self._state in (_STRING, _ESCAPE, _HEX)

    @property
    def expects_value(self) -> bool:
        """Whether a value may begin now."""
        return self._state in (_VALUE, _VALUE_OR_END)

    @property
    def is_cut(self) -> bool:
        """Whether a value has begun, and more must follow for it to be one. Reads the number that it stops in, if it does."""
        if self._state == _SCALAR:
            token = _joined(self._token)
            is_whole = self._open is None and _NUMBER.fullmatch(token) is not None
            return not is_whole and _NUMBER_BEGUN.fullmatch(token) is not None
        return self.begins_with != "" and self._state not in (_DONE, _BROKEN)

    @property
    def closing(self) -> str | None:
        """What must follow for the value to have its end, if that is nothing but brackets; None if it is anything else."""
        if self._state == _SCALAR:
            if _NUMBER.fullmatch(_joined(self._token)) is None:
                return None
        elif self._state not in (_COMMA_OR_END, _KEY_OR_END, _VALUE_OR_END):
            return None
        closers: list[str] = []
        level = self._open
        while level is not None:
            closer, level = level
            closers.append(closer)
        return "".join(closers)

    def copy(self) -> JsonScanner:
        """Return a scanner that goes on from here, in no time."""
        made = JsonScanner()
        made.length, made.end = self.length, self.end
        made.is_object, made.begins_with = self.is_object, self.begins_with
        made._state, made._open, made._token = self._state, self._open, self._token
        made._digits, made._in_key = self._digits, self._in_key
        return made

    def end_in(self, text: str) -> int:
        """Return where in the next piece the value has its end; -1 if it has none there. The piece is not taken."""
        ahead = self.copy()
        ahead.feed(text)
        return ahead.end - self.length if self.end < 0 <= ahead.end else -1

    def feed(self, text: str) -> None:
        """Take the next piece."""
        at, size = 0, len(text)
        while at < size and self._state < _DONE:
            at = self._step(text, at)
        if self._state == _DONE and self.end < 0:
            self.end = self.length + at
        self.length += size

    def _step(self, text: str, at: int) -> int:
        """Read one token, or a part of one; return where the next begins."""
        state = self._state
        if state == _STRING:
            return self._string(text, at)
        if state == _ESCAPE:
            return self._escape(text[at], at)
        if state == _HEX:
            return self._hex(text[at], at)
        if state in (_SCALAR, _WORD):
            return self._rest(text, at)
        at = _end_of(_SPACE, text, at)
        if at == len(text):
            return at
        character = text[at]
        if self.begins_with == "":
            self.begins_with = character
            self.is_object = character == "{"
        self._structure(character)
        return at if self._state in (_SCALAR, _WORD) else at + 1

    def _structure(self, character: str) -> None:
        """Read a character outside of strings, numbers and words."""
        state = self._state
        if state == _COMMA_OR_END and character == ",":
            self._state = _KEY if self._closer() == "}" else _VALUE
        elif state in (_COMMA_OR_END, _KEY_OR_END, _VALUE_OR_END) and character == self._closer():
            self._open = self._open[1] if self._open is not None else None
            self._after_value()
        elif state == _COLON and character == ":":
            self._state = _VALUE
        elif state in (_KEY, _KEY_OR_END) and character == '"':
            self._in_key = True
            self._state = _STRING
        elif state in (_VALUE, _VALUE_OR_END):
            self._begin_value(character)
        else:
            self._state = _BROKEN

    def _begin_value(self, character: str) -> None:
        if character == '"':
            self._in_key = False
            self._state = _STRING
        elif character == "{":
            self._open = ("}", self._open)
            self._state = _KEY_OR_END
        elif character == "[":
            self._open = ("]", self._open)
            self._state = _VALUE_OR_END
        elif character in "-0123456789":
            self._token = None
            self._state = _SCALAR
        elif character in "tfn":
            self._token = None
            self._state = _WORD
        else:
            self._state = _BROKEN

    def _closer(self) -> str:
        return "" if self._open is None else self._open[0]

    def _after_value(self) -> None:
        self._state = _DONE if self._open is None else _COMMA_OR_END

    def _string(self, text: str, at: int) -> int:
        at = _end_of(_PLAIN, text, at)
        if at == len(text):
            return at
        if text[at] == "\\":
            self._state = _ESCAPE
        elif self._in_key:
            self._state = _COLON
        else:
            self._after_value()
        return at + 1

    def _escape(self, character: str, at: int) -> int:
        if character == "u":
            self._digits = _UNICODE_DIGITS
            self._state = _HEX
        else:
            self._state = _STRING if character in _ESCAPES else _BROKEN
        return at + 1

    def _hex(self, character: str, at: int) -> int:
        self._digits -= 1
        if character not in _HEX_DIGITS:
            self._state = _BROKEN
        elif self._digits == 0:
            self._state = _STRING
        return at + 1

    def _rest(self, text: str, at: int) -> int:
        """Read on in a number or a word, to its end if that is in the text."""
        if self._state == _WORD:
            return self._word(text, at)
        end = _end_of(_NUMBER_PART, text, at)
        self._token = (text[at:end], self._token)
        if end == len(text):
            return end
        if _NUMBER.fullmatch(_joined(self._token)) is not None:
            self._after_value()
        else:
            self._state = _BROKEN
        return end

    def _word(self, text: str, at: int) -> int:
        """Read on in ``true``, ``false`` or ``null``."""
        begun = _joined(self._token)
        token = begun + text[at : at + _LONGEST_LITERAL]
        for literal in _LITERALS:
            if token.startswith(literal):
                self._after_value()
                return at + len(literal) - len(begun)
            if literal.startswith(token):
                self._token = (token, None)
                return len(text)
        self._state = _BROKEN
        return len(text)


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where what a pattern matches ends; the pattern matches nothing, too."""
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _joined(pieces: tuple[str, Any] | None) -> str:
    """Return the pieces of a token in one."""
    found: list[str] = []
    while pieces is not None:
        piece, pieces = pieces
        found.append(piece)
    found.reverse()
    return "".join(found)


_EMPTY_OBJECT = len("{}")


def scan(text: str) -> JsonScanner:
    """Return a scanner that was fed a text."""
    scanner = JsonScanner()
    scanner.feed(text)
    return scanner


def is_less_again(whole: str, sent: str) -> bool:
    """Return whether a whole object says again what was sent, without its end: a parser's view of an earlier moment (C17).

    Seen of hermes in 0.17.0, where several tokens come at once: ``{"a": 1, "b`` and then ``{"a": 1}``.

    :param whole: one complete object, without white space around it.
    """
    return len(whole) > _EMPTY_OBJECT and sent.startswith(whole[:-1])
