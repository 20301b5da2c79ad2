"""Calls that are written in the content: how they begin, and what they say.

A server whose tool parser does not fit the model, or fails, sends calls as text. Here is what the models of vLLM's JSON
parsers write: hermes and its kin, mistral, kimi, deepseek, llama. Formats whose arguments are not JSON (qwen3_coder, glm,
minimax) are left out: their types would have to be guessed.
"""

# ruff: noqa: RUF001 - the fullwidth bars are the markers' own characters

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


class LeakedCall:
    """A call that was found in a text.

    :ivar arguments: a JSON object, as text.
    :ivar id: as the model wrote it; empty if it wrote none.
    """

    __slots__ = ("arguments", "id", "name")

    def __init__(self, name: str, arguments: str, id_: str = "") -> None:
        self.name = name
        self.arguments = arguments
        self.id = id_


_TAGGED: Final = {
    "<tool_call>": "</tool_call>",
    "<tool_calls>": "</tool_calls>",
    "<|tool_call|>": "",
    "<function_call>": "",
    "<TOOLCALL>": "</TOOLCALL>",
    "<longcat_tool_call>": "</longcat_tool_call>",
    "<|python_tag|>": "",
    "<|action_start|><|plugin|>": "<|action_end|>",
}
"""What opens JSON that is a call, or a list of calls → what closes it, if anything does."""
_MISTRAL: Final = "[TOOL_CALLS]"
_KIMI: Final = "<|tool_calls_section_begin|>"
_DEEPSEEK: Final = "<｜tool▁calls▁begin｜>"
MARKERS: Final = (*_TAGGED, _MISTRAL, _KIMI, _DEEPSEEK)
SIGNS: Final = "<[{"
"""What a call begins with, whatever the format."""

_MARKER: Final = re.compile("|".join(re.escape(marker) for marker in MARKERS))
_JSON_HEADS: Final = (
    '{"name":"%s"',
    '[{"name":"%s"',
    '{"type":"function","name":"%s"',
    '{"type":"function","function":{"name":"%s"',
)
_HEADS: Final = {
    _MISTRAL: (
        "%s{",
        "%s[ARGS]",
        "%s[CALL_ID]",
        '[{"name":"%s"',
        '{"name":"%s"',
        '[{"arguments":',
        '{"arguments":',
    ),
    _KIMI: ("<|tool_call_begin|>functions.%s:", "<|tool_call_begin|>%s"),
    _DEEPSEEK: ("<｜tool▁call▁begin｜>function<｜tool▁sep｜>%s", "<｜tool▁call▁begin｜>%s<｜tool▁sep｜>"),
}
"""What must follow a marker, without white space; ``%s`` is the name of a tool."""
_BARE_HEADS: Final = _JSON_HEADS
_TAGGED_HEADS: Final = (*_JSON_HEADS, '{"arguments":', '{"parameters":')
_LONGEST_HEAD: Final = 300
"""Characters behind a marker that are looked at: the name of a tool has 64 at most."""
_MOST_MARKERS: Final = 20
"""Markers of one delta that are looked at."""


def find_call(text: str, tools: Collection[str], *, at_start: bool) -> tuple[int, bool]:
    """Return where in a text a call begins or may begin, and whether it does; the length of the text if nothing does.

    :param at_start: whether the text is the beginning of the content, where a call may come without a marker.
    """
    if at_start:
        stripped = text.lstrip()
        if stripped[:1] in ("{", "["):
            fit = _fit(stripped, _BARE_HEADS, tools)
            if fit is not None:
                return len(text) - len(stripped), fit
    for number, found in enumerate(_MARKER.finditer(text)):
        if number == _MOST_MARKERS:
            break
        fit = _fit(text[found.end() :], _HEADS.get(found.group(), _TAGGED_HEADS), tools)
        if fit is not None:
            return found.start(), fit
    longest = max(map(len, MARKERS)) - 1
    for at in range(max(0, len(text) - longest), len(text)):
        if text[at] in SIGNS and any(marker.startswith(text[at:]) for marker in MARKERS):
            return at, False
    return len(text), False


def _fit(text: str, heads: tuple[str, ...], tools: Collection[str]) -> bool | None:
    """Return whether a call begins a text; None if none can, however it goes on."""
    begun = "".join(text[:_LONGEST_HEAD].split())
    may_fit = False
    is_long = len(text) > _LONGEST_HEAD
    for head in heads:
        for name in tools if "%s" in head else ("",):
            wanted = head.replace("%s", name)
            if begun.startswith(wanted):
                return True
            may_fit = may_fit or (not is_long and wanted.startswith(begun))
    return False if may_fit else None


def read_calls(text: str, tools: Collection[str]) -> list[LeakedCall]:
    """Return the calls that a text consists of; none if it is anything else, or calls anything but the tools."""
    try:
        calls = list(_read(text.strip()))
    except (ValueError, RecursionError):
        return []
    return calls if calls and all(call.name in tools for call in calls) else []


def _read(text: str) -> Iterator[LeakedCall]:
    """Yield the calls of a text.

    :raises ValueError: for a text that has anything else in it.
    """
    if text.startswith(_KIMI):
        yield from _kimi(text)
    elif text.startswith(_DEEPSEEK):
        yield from _deepseek(text)
    elif text.startswith(_MISTRAL):
        yield from _mistral(text)
    else:
        yield from _json(text)


_KIMI_CALL: Final = re.compile(
    r"\s*<\|tool_call_begin\|>\s*((?:functions\.)?([\w.-]+)(?::\d+)?)\s*<\|tool_call_argument_begin\|>\s*"
)
_KIMI_END: Final = re.compile(r"\s*<\|tool_call_end\|>")
_KIMI_OVER: Final = re.compile(r"\s*(?:<\|tool_calls_section_end\|>)?\s*\Z")


def _kimi(text: str) -> Iterator[LeakedCall]:
    at = len(_KIMI)
    while _KIMI_OVER.match(text, at) is None:
        head = _wanted(_KIMI_CALL, text, at)
        arguments, at = _arguments(text, head.end())
        at = _wanted(_KIMI_END, text, at).end()
        yield LeakedCall(head[2], arguments, head[1] if ":" in head[1] else "")


_DEEPSEEK_CALL: Final = re.compile(
    r"\s*<｜tool▁call▁begin｜>\s*(?:function\s*<｜tool▁sep｜>\s*([\w.-]+)\s*```json\s*|([\w.-]+)\s*<｜tool▁sep｜>\s*)"
)
_DEEPSEEK_END: Final = re.compile(r"\s*(?:```)?\s*<｜tool▁call▁end｜>")
_DEEPSEEK_OVER: Final = re.compile(r"\s*(?:<｜tool▁calls▁end｜>)?\s*\Z")


def _deepseek(text: str) -> Iterator[LeakedCall]:
    at = len(_DEEPSEEK)
    while _DEEPSEEK_OVER.match(text, at) is None:
        head = _wanted(_DEEPSEEK_CALL, text, at)
        arguments, at = _arguments(text, head.end())
        at = _wanted(_DEEPSEEK_END, text, at).end()
        yield LeakedCall(head[1] or head[2], arguments)


_MISTRAL_CALL: Final = re.compile(
    r"\s*(?:\[TOOL_CALLS\]\s*)?([\w.-]+)\s*(?:\[CALL_ID\]\s*(\w+)\s*)?(?:\[ARGS\]\s*)?(?=\{)"
)


def _mistral(text: str) -> Iterator[LeakedCall]:
    rest = text[len(_MISTRAL) :].lstrip()
    if rest[:1] in ("[", "{"):
        yield from _json(rest)
        return
    at = 0
    while at < len(text):
        head = _wanted(_MISTRAL_CALL, text, at)
        arguments, at = _arguments(text, head.end())
        yield LeakedCall(head[1], arguments, head[2] or "")


def _wanted(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise ValueError(at)
    return found


_SPACE: Final = re.compile(r"[\s;,]*")
_OPEN_TAG: Final = re.compile("|".join(re.escape(tag) for tag in _TAGGED))
_CLOSE_TAG: Final = re.compile(rf"\s*(?:{'|'.join(re.escape(tag) for tag in _TAGGED.values() if tag)})")


def _json(text: str) -> Iterator[LeakedCall]:
    """Read calls as JSON objects or lists of them, within tags or without."""
    at = 0
    while at < len(text):
        opened = _OPEN_TAG.match(text, at)
        value, at = _decoder.raw_decode(text, _space(text, at if opened is None else opened.end()))
        yield from _of_value(value)
        closed = _CLOSE_TAG.match(text, at)
        at = _space(text, at if closed is None else closed.end())


def _of_value(value: Any) -> Iterator[LeakedCall]:
    """Yield the calls of a JSON value.

    :raises ValueError: for what is not a call.
    """
    calls = value if type(value) is list else [value]
    for call in calls:
        inner = call.get("function") if type(call) is dict and type(call.get("function")) is dict else call
        if type(inner) is not dict:
            raise ValueError(call)
        name = inner.get("name")
        arguments = inner.get("arguments", inner.get("parameters"))
        if type(arguments) is str:
            arguments = _decoder.decode(arguments)
        if type(name) is not str or type(arguments) is not dict:
            raise ValueError(call)
        id_ = call.get("id")
        yield LeakedCall(name, json.dumps(arguments, ensure_ascii=False), id_ if type(id_) is str else "")


def _arguments(text: str, at: int) -> tuple[str, int]:
    """Return the JSON object that stands at a place of a text, and where it ends.

    :raises ValueError: for anything else.
    """
    value, end = _decoder.raw_decode(text, at)
    if type(value) is not dict:
        raise ValueError(at)
    return text[at:end], end


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


_decoder: Final = json.JSONDecoder()
