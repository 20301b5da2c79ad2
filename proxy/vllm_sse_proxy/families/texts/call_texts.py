"""Calls that are written in the content: how they begin, and what they say.

A server whose tool parser does not fit the model, or fails, sends calls as text. Here is what the models of vLLM's parsers
write: JSON (hermes and its kin, mistral, kimi, deepseek, llama), and what :mod:`.tagged_calls` reads, tags and Python.
"""

# ruff: noqa: RUF001 - the fullwidth bars are the markers' own characters

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.texts.tagged_calls import PYTHON_TAGS, read_python, read_tagged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from vllm_sse_proxy.families.texts.tagged_calls import Types


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
    "<ifm|tool_call>": "</ifm|tool_call>",
    "<|function_call|>": "",
    "<|python_tag|>": "",
    "<|action_start|><|plugin|>": "<|action_end|>",
}
"""What opens JSON that is a call, or a list of calls → what closes it, if anything does."""
_MISTRAL: Final = "[TOOL_CALLS]"
_KIMI_CALL: Final = "<|tool_call_begin|>"
_DEEPSEEK_CALL: Final = "<｜tool▁call▁begin｜>"
_FUNCTION: Final = ("<function=%s>", '<functionname="%s">')
_INVOKE: Final = ('<invokename="%s">',)
_DSML_INVOKE: Final = ('<｜DSML｜invokename="%s">',)
_TAGS: Final = {
    "<function=": ("%s>",),
    '<function name="': ('%s">',),
    '<invoke name="': ('%s">',),
    "<minimax:tool_call>": _INVOKE,
    "<seed:tool_call>": _FUNCTION,
    "<dots_function_call>": _INVOKE,
    "<｜DSML｜function_calls>": _DSML_INVOKE,
    "<｜DSML｜tool_calls>": _DSML_INVOKE,
    "<｜DSML｜ calls>": _DSML_INVOKE,
    '<｜DSML｜invoke name="': ('%s">',),
    '<｜DSML｜ invoke name="': ('%s">',),
    '<steptml:invoke name="': ('%s">',),
    "<atem:function_calls>": ('<atem:invokename="%s">',),
    '<atem:invoke name="': ('%s">',),
}
"""What opens calls in tags → what must follow."""
_KIMI_NAMES: Final = (f"{_KIMI_CALL}functions.%s:", f"{_KIMI_CALL}%s")
_DEEPSEEK_NAMES: Final = ("function<｜tool▁sep｜>%s", "%s<｜tool▁sep｜>")
_TOKENS: Final = {
    "<|tool_calls_section_begin|>": _KIMI_NAMES,
    "<|tool_call_section_begin|>": _KIMI_NAMES,
    _KIMI_CALL: ("functions.%s:",),
    "<｜tool▁calls▁begin｜>": tuple(_DEEPSEEK_CALL + name for name in _DEEPSEEK_NAMES),
    _DEEPSEEK_CALL: _DEEPSEEK_NAMES,
}
"""The same for those of kimi and deepseek."""
MARKERS: Final = (*_TAGGED, _MISTRAL, *_TOKENS, *_TAGS, *PYTHON_TAGS)
SIGNS: Final = "<[{"
"""What a call begins with, whatever the format."""

_MARKER: Final = re.compile("|".join(re.escape(marker) for marker in MARKERS))
_JSON_HEADS: Final = (
    '{"name":"%s"',
    '[{"name":"%s"',
    '{"type":"function","name":"%s"',
    '{"type":"function","function":{"name":"%s"',
)
_PYTHON_HEADS: Final = ("[%s(", "%s(", *_INVOKE)
_HEADS: Final[dict[str, tuple[str, ...]]] = {
    **_TOKENS,
    **_TAGS,
    **dict.fromkeys(PYTHON_TAGS, _PYTHON_HEADS),
    _MISTRAL: (
        "%s{",
        "%s[ARGS]",
        "%s[CALL_ID]",
        '[{"name":"%s"',
        '{"name":"%s"',
        '[{"arguments":',
        '{"arguments":',
    ),
}
"""What must follow a marker, without white space; ``%s`` is the name of a tool."""
_BARE_HEADS: Final = (*_JSON_HEADS, "[%s(")
_TAGGED_HEADS: Final = (
    *_JSON_HEADS,
    '{"arguments":',
    '{"parameters":',
    *_FUNCTION,
    "%s<arg_key>",
    "%s</tool_call>",
)
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


def read_calls(
    text: str, tools: Collection[str], types: Mapping[str, Types] | None = None
) -> list[LeakedCall]:
    """Return the calls that a text consists of; none if it is anything else, or calls anything but the tools.

    :param types: tool → the types of its parameters, for arguments that do not say them.
    """
    try:
        calls = list(_read(text.strip(), types or {}))
    except (ValueError, RecursionError):
        return []
    return calls if calls and all(call.name in tools for call in calls) else []


_CLOSINGS: Final = (
    *(closing for closing in _TAGGED.values() if closing),
    "</function>",
    "</minimax:tool_call>",
    "</seed:tool_call>",
    "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_section_end|>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<|close|>message<|sep|>",  # kimi_k3
    "</answer>",  # hunyuan
)
"""What ends calls and answers, and means nothing without its beginning."""
_MOST_CLOSINGS: Final = 200
"""Characters of closing markers that are looked at: there are the end of a call, of all calls, and of an answer."""


def find_closings(text: str) -> tuple[int, bool]:
    """Return where a text goes on with nothing but closing markers to its end, and whether they are whole.

    The first ``<`` of the text must be that of such a marker; the length of the text if it is not.
    """
    at = text.find("<")
    if at < 0 or len(text) - at > _MOST_CLOSINGS:
        return len(text), False
    rest = text[at:]
    while rest:
        closing = next((one for one in _CLOSINGS if rest.startswith(one)), None)
        if closing is None:
            return (at if any(one.startswith(rest) for one in _CLOSINGS) else len(text)), False
        rest = rest[len(closing) :].lstrip()
    return at, True


def unsent(calls: list[LeakedCall], sent: list[tuple[str, str]]) -> list[LeakedCall]:
    """Return the calls that the parser did not send as well.

    :param sent: name and arguments of each call that it did; each of them is one of the calls at most.
    """
    left = [(name, _value_of(arguments)) for name, arguments in sent]
    found: list[LeakedCall] = []
    for call in calls:
        said = (call.name, _value_of(call.arguments))
        if said in left:
            left.remove(said)
        else:
            found.append(call)
    return found


def _value_of(arguments: str) -> Any:
    """Return the value that arguments are; the text itself if that is not JSON."""
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def _read(text: str, types: Mapping[str, Types]) -> Iterator[LeakedCall]:
    """Yield the calls of a text.

    :raises ValueError: for a text that has anything else in it.
    """
    if (kimi := _OF_KIMI.match(text)) is not None:
        for head, arguments in _between_markers(text, kimi.end(), _KIMI_HEAD, _KIMI_END, _KIMI_OVER):
            yield LeakedCall(head[2], arguments, head[1] if ":" in head[1] else "")
    elif (deepseek := _OF_DEEPSEEK.match(text)) is not None:
        at = deepseek.end()
        for head, arguments in _between_markers(text, at, _DEEPSEEK_HEAD, _DEEPSEEK_END, _DEEPSEEK_OVER):
            yield LeakedCall(head[1] or head[2], arguments)
    elif text.startswith(_MISTRAL):
        yield from _mistral(text)
    elif _OF_PYTHON.match(text) is not None:
        yield from (LeakedCall(name, arguments) for name, arguments in read_python(text))
    elif _OF_TAGS.match(text) is not None:
        yield from (LeakedCall(name, arguments) for name, arguments in read_tagged(text, types))
    else:
        yield from _json(text)


_OF_PYTHON: Final = re.compile(rf"(?:{'|'.join(map(re.escape, PYTHON_TAGS))})?\s*(?:\[\s*)?[\w.]+\(")
_OF_TAGS: Final = re.compile(r"(?:<[^<>]+>\s*)?<(?![|_])[^<>]*[=｜ ]|<tool_call>\s*[\w.:/-]+\s*<")
_OF_KIMI: Final = re.compile(r"(?:<\|tool_calls?_section_begin\|>)?\s*(?=<\|tool_call_begin\|>)")
_OF_DEEPSEEK: Final = re.compile(r"(?:<｜tool▁calls▁begin｜>)?\s*(?=<｜tool▁call▁begin｜>)")
_KIMI_HEAD: Final = re.compile(
    r"\s*<\|tool_call_begin\|>\s*((?:functions\.)?([\w.-]+)(?::\d+)?)\s*<\|tool_call_argument_begin\|>\s*"
)
_KIMI_END: Final = re.compile(r"\s*<\|tool_call_end\|>")
_KIMI_OVER: Final = re.compile(r"\s*(?:<\|tool_calls?_section_end\|>)?\s*\Z")


_DEEPSEEK_HEAD: Final = re.compile(
    r"\s*<｜tool▁call▁begin｜>\s*(?:function\s*<｜tool▁sep｜>\s*([\w.-]+)\s*```json\s*|([\w.-]+)\s*<｜tool▁sep｜>\s*)"
)
_DEEPSEEK_END: Final = re.compile(r"\s*(?:```)?\s*<｜tool▁call▁end｜>")
_DEEPSEEK_OVER: Final = re.compile(r"\s*(?:<｜tool▁calls▁end｜>)?\s*\Z")


def _between_markers(
    text: str, at: int, head: re.Pattern[str], end: re.Pattern[str], over: re.Pattern[str]
) -> Iterator[tuple[re.Match[str], str]]:
    """Yield the head and the arguments of each call of a text that has markers around them.

    :param over: what stands behind the last call.
    """
    while over.match(text, at) is None:
        found = _wanted(head, text, at)
        arguments, at = _arguments(text, found.end())
        at = _wanted(end, text, at).end()
        yield found, arguments


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
