"""Payloads as JSON, for strict readers and for lenient ones: what every family needs to read an event. Nothing here raises.

orjson reads nearly all of them. It refuses what is JSON to lenient readers only, and reads integers over 64 bits as floats.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

import orjson

_DIGITS_AS_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS: Final = b"0" * 19
"""A number of so many digits may need more than 64 bits. Every digit is replaced by 0, so that a substring search finds it in
1 ms per megabyte. A regular expression takes 6 ms, during which every other stream of the process would wait."""
_LOADS: Final = orjson.loads
_STEP: Final = 6
_FEW_DIGITS: Final = b"0" * 3
"""Of so many digits in a row, every sixth byte shows three: most payloads need no closer look."""


BEGINNINGS_OF_OBJECTS: Final = frozenset(b"{ \t\r\n\x00\xef\xfe\xff")
"""First bytes of a payload that some reader can take for an object: a brace, white space, or the beginning of a byte order
mark or of UTF-16 and UTF-32 without one. Any other is refused for a fraction of what two readers need."""


def read_strictly(data: bytes) -> Any:
    """Return the value of a payload that strict readers accept, integers of any size included.

    :raises ValueError: for what is not JSON in UTF-8, or has a number without a value (1e999).
    :raises RecursionError: for what is nested too deep.
    """
    value = _LOADS(data)
    if (
        data[::_STEP].translate(_DIGITS_AS_ZEROS).partition(_FEW_DIGITS)[1]
        and data.translate(_DIGITS_AS_ZEROS).partition(_MANY_DIGITS)[1]
    ):
        return json.loads(data, parse_constant=_refuse)
    return value


def read_leniently(data: bytes) -> Any:
    """Return what a lenient reader sees in a payload that orjson refuses: halves of characters stay; None if that is nothing.

    NaN, the infinities and numbers without a value become null; a strict client cannot read them.
    """
    try:
        value = _LENIENT.decode(decode_text(data))
    except (ValueError, RecursionError):
        return None
    return None if is_too_deep(data, value) else value


def is_json(data: bytes) -> bool:
    """Return whether a payload that orjson refuses is JSON in UTF-8 all the same: halves of characters are."""
    try:
        _STRICT.decode(data.decode())
    except (ValueError, RecursionError):
        return False
    return True


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
    """NaN and the infinities are not JSON: a strict client cannot read them, so they become null."""


_LENIENT: Final = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite_or_none, strict=False)
_STRICT: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
"""Made once: making one takes longer than reading a short payload."""


def decode_text(data: bytes) -> str:
    """Return a payload as text, without byte order marks: UTF-8, or what its first bytes show it to be (UTF-16, UTF-32).

    Halves of characters that were written as UTF-8 stay, so that they can be joined; other stray bytes become U+FFFD.
    """
    if data.isascii() and b"\0" not in data[:_BYTES_THAT_SHOW]:
        return data.decode()
    encoding = json.detect_encoding(data)
    try:
        text = data.decode(encoding, "surrogatepass")
    except ValueError:
        text = data.decode(encoding, "replace")
    return text.lstrip("\ufeff")


_BYTES_THAT_SHOW: Final = 4
"""Bytes of a JSON text that show its encoding."""


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


def is_too_deep(data: bytes, body: Any) -> bool:
    """Return whether an object is nested deeper than anything that any event has, or that orjson can write (254)."""
    if len(data) <= 2 * _DEEPEST or data.count(b"{") + data.count(b"[") <= _DEEPEST:
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
