"""Calls as text, in texts of the final output: which of them were streamed as calls (R39, R45)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses.call_match import LOOK_AHEAD

if TYPE_CHECKING:
    from vllm_sse_proxy.families.responses.view import ItemView

TAG: Final = "<tool_call>"
_RAW_CALL: Final = re.compile(r"<tool_call>.*?(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
"""A call as the model writes it for the parsers that look for this tag (hermes, qwen …); one that was cut has no end."""
_FILLING: Final = frozenset(' \t\r\n[]{},:"')
_WORDS_OF_A_CALL: Final = ("name", "parameters", "arguments")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz_"


def without_raw_calls(said: str, calls: list[ItemView]) -> str | None:
    """Return a text without the raw calls that were sent as calls, in their order; None if it holds no such call."""
    waiting = calls[::-1]
    pieces: list[str] = []
    at, found = 0, False
    for match in _RAW_CALL.finditer(said):
        raw = match[0]
        pieces.append(said[at : match.start()])
        at = match.end()
        for back in range(1, min(len(waiting), LOOK_AHEAD) + 1):
            if _is_raw_text_of(raw, waiting[-back]):
                del waiting[-back]
                found = True
                break
        else:
            if raw.strip() == TAG:
                found = True
            else:
                pieces.append(raw)
    pieces.append(said[at:])
    return "".join(pieces) if found else None


def is_forced_calls(raw: str, calls: list[ItemView]) -> bool:
    """Return whether a text is the JSON of forced calls, whole or cut, and says nothing but the calls that were sent (R45)."""
    at, found = 0, False
    for call in calls:
        name = call.item.get("name")
        for words in (name if type(name) is str else "", call.own.text if call.own is not None else ""):
            place = raw.find(words, at) if words else -1
            if place >= 0:
                if not _is_filling(raw[at:place]):
                    return False
                at, found = place + len(words), True
    return found and _is_filling(raw[at:])


def _is_filling(text: str) -> bool:
    """Return whether a text is what stands around the names and arguments of calls in JSON."""
    for word in _WORDS_OF_A_CALL:
        text = text.replace(word, "")
    return _FILLING.issuperset(text)


def _is_raw_text_of(raw: str, call: ItemView) -> bool:
    """Return whether all that the raw text says is a call's name and arguments, as far as they were sent."""
    name = call.item.get("name")
    if call.own is None or type(name) is not str or name not in raw:
        return False
    text = call.own.text
    if text in ("", "{}") and _is_before_arguments(raw[raw.find(name) + len(name) :]):
        return True  # cut before its arguments, which the stream may have closed as empty ones
    place = raw.rfind(text) if text else -1
    if place < 0:
        return False
    end = raw[place + len(text) :].lstrip(" \t\r\n}")
    return end in ("", "</tool_call>")


def _is_before_arguments(raw: str) -> bool:
    """Return whether a raw call breaks off behind its name, before its arguments begin."""
    rest = raw.removeprefix('"').lstrip(" \t\r\n,")
    if rest.startswith('"'):
        key = rest[1:]
        rest = key.lstrip(_LETTERS).removeprefix('"')
    return not rest.strip(" \t\r\n:")
