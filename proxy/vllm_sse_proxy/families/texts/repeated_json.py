"""Arguments that come again behind a part of them (C15, C17, C45), and what of that is new.

Parsers of vLLM subtract what they have sent from what they expect, by text. Where the two are spelled differently (white
space, escapes), or where several choices share one parser, they send the whole again, or begin once more. JSON can never go
on so, but for one case: where a value is due, an object may be one. There the tool's schema must forbid it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.partial_json import is_less_again, scan
from vllm_sse_proxy.families.texts.tagged_calls import types_of
from vllm_sse_proxy.stream.payload import has_halves

if TYPE_CHECKING:
    from vllm_sse_proxy.families.partial_json import JsonScanner
    from vllm_sse_proxy.stream.view import TextView

_SPELLED: Final = re.compile(r'("(?:[^"\\]|\\.)*+"?)|[ \t\n\r]+', re.DOTALL)
"""A string, closed or not; or white space outside of strings."""
_ESCAPE: Final = re.compile(
    r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|u([0-9a-f]{4})|(.))", re.DOTALL | re.IGNORECASE
)
_SHORT: Final = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_HAS_TWO_BRACES: Final = re.compile(r"\{[ \t\n\r]*\{")
_LEAST: Final = 200
"""Characters of arguments that are compared with any piece, however short."""
_MOST_SPELLED: Final = 6
"""Characters that another spelling may need for one: those of ``\\u00e9``."""


def without_brace_before(text: str) -> str:
    """Return the beginning of arguments without a brace that stands before another: no object begins with an object (C45)."""
    return text[1:] if _HAS_TWO_BRACES.match(text) else text


def new_in_again(sent: TextView, scanner: JsonScanner, piece: str, schema: object) -> str | None:
    """Return what a piece adds that may say again what was sent.

    :param sent: the arguments so far, which have begun and have no end. They are read only if the piece is long enough.
    :param scanner: has read these; it is left as it is.
    :param piece: begins with ``{``.
    :param schema: of the tool's parameters, whatever the request has in its place.
    :returns: nothing if the piece is another whole that does not go on with what was sent; None if it says nothing again.
    """
    whole = scan(piece)
    complete = piece[: whole.end] if whole.is_complete else ""
    is_longer = scanner.length > _MOST_SPELLED * len(piece) + _LEAST
    if scanner.expects_value:
        return _behind_key(sent.text.lstrip(), complete, schema) if complete and not is_longer else None
    if is_longer:
        return "" if complete and not scanner.is_in_string else None
    begun = sent.text.lstrip()
    if begun.rstrip() == "{":
        return piece[1:]
    if not complete:
        return None if whole.is_broken else _behind(begun, piece)
    rest = _behind(begun, complete)
    if rest is not None:
        return rest
    if is_less_again(complete, begun):
        return ""
    closing = scanner.closing
    if closing is not None and _is_same_value(begun + closing, complete):
        return closing
    return None if scanner.is_in_string else ""


def _behind(begun: str, again: str) -> str | None:
    """Return what stands behind a beginning in a text that says it again, in any spelling; None if it does not."""
    if again.startswith(begun):
        return again[len(begun) :]
    first, second = spelled(begun), spelled(again)
    return second[len(first) :] if second.startswith(first) else None


def _behind_key(begun: str, whole: str, schema: object) -> str | None:
    """Return what stands behind a key in an object that says all again; None if the object may be the value of the key."""
    if not begun.rstrip().endswith(":"):  # in a list
        return None
    rest = _behind(begun, whole)
    if rest is None:
        return None
    try:
        members = json.loads(begun + "0}", strict=False)
    except (ValueError, RecursionError):  # the key is one of an object within
        return None
    types = types_of(schema).get(str(next(reversed(members))), ())
    return None if not types or "object" in types else rest


def spelled(text: str) -> str:
    """Return JSON in one spelling: no white space outside of its strings, and no escape that is not needed."""
    return _SPELLED.sub(_respelled, text)


def _respelled(found: re.Match[str]) -> str:
    string = found.group(1)
    if string is None:
        return ""
    return _ESCAPE.sub(_unescaped, string) if "\\" in string else string


def _unescaped(found: re.Match[str]) -> str:
    high, low, code, letter = found.groups()
    if letter is not None:
        return "/" if letter == "/" else found.group()
    if high is not None:
        return (bytes.fromhex(high) + bytes.fromhex(low)).decode("utf-16-be")
    character = chr(int(code, 16))
    if character in _SHORT:
        return _SHORT[character]
    return found.group().lower() if character < " " or has_halves(character) else character


def _is_same_value(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one, strict=False) == json.loads(other, strict=False))
    except (ValueError, RecursionError):
        return False
