"""Request bodies as trees whose numbers keep their spelling.

A body that is sent again may differ in nothing but the members that a repair names. A JSON parser turns ``1e5`` and ``1.0``
into floats and cannot hold every integer, so numbers that Python would spell otherwise stay what they are: bytes, in an
``orjson.Fragment``. No repair looks at numbers.
"""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

Body = dict[str, Any]

_MAX_DIGITS: Final = 18
"""An integer of so many characters fits into 64 bits, which is what orjson writes."""


def read(raw: bytes) -> Body | None:
    """Return the JSON object, or None if these bytes are anything else.

    Of a member that stands twice the last is taken, as vLLM does.
    """
    try:
        tree: Any = _DECODER.decode(raw.decode())
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def write(tree: Body) -> bytes | None:
    """Return the object as JSON, or None if it cannot be written (nested 254 levels deep)."""
    try:
        return orjson.dumps(tree)
    except TypeError:
        pass  # perhaps half a surrogate pair, which JSON can spell and UTF-8 cannot
    try:
        return orjson.dumps(_escaped(tree))
    except (TypeError, RecursionError):
        return None


def plain(value: object) -> bytes | None:
    """Return a part of a tree as JSON, or None if it cannot be written."""
    written = write({"": value})
    return None if written is None else written[4:-1]


def _escaped(value: Any) -> Any:
    """Return a tree whose strings can all be written."""
    if isinstance(value, dict):
        return {name: _escaped(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_escaped(member) for member in value]
    if isinstance(value, str) and not value.isascii():
        return orjson.Fragment(json.dumps(value))
    return value


def _integer(spelling: str) -> object:
    if len(spelling) > _MAX_DIGITS or spelling == "-0":
        return orjson.Fragment(spelling)
    return int(spelling)


def _constant(spelling: str) -> object:
    raise ValueError(f"{spelling} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_float=orjson.Fragment, parse_int=_integer, parse_constant=_constant)
