"""How calls begin in the text of a model: one table for all tool parsers of vLLM 0.10 to 0.33.

Taken from the sources of the releases: ``vllm/entrypoints/openai/tool_parsers`` (to 0.12), ``vllm/tool_parsers`` and
``vllm/parser`` (from 0.13), ``rust/src/parser`` (from 0.22). A parser that takes its markers from the checkpoint (``hf``) has
none here, and the parser for gpt-oss (``openai``) works on tokens: what is here for it is what leaks when that fails.

A marker alone is not yet a call: answers about such models quote them. So each row says what must follow, and
:func:`find_call` says of a text whether a call begins in it, may begin at its end, or does not begin. What it finds is still
no proof of a call, only a reason to hold the text until upstream's final output shows what it is.

Two ways to begin need the names of the tools: JSON (``{"name": "get_weather", "arguments":``, alone or in the wrapper that the
chat API has) and Python (``[get_weather(``). Without a tool's name these are ordinary answers. JSON that has the arguments
before the name waits for it at the beginning of a message.
"""

# ruff: noqa: RUF001 - the fullwidth bars are the markers' own characters

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from vllm_sse_proxy.families.responses.echo import Echo


class Follow(Enum):
    """What must come after a marker for a call to begin there."""

    BODY = "body"
    """A call: JSON, another tag, or a name with one of these after it."""
    NAME = "name"
    """The name of a function, in quotes or not, and the end of the tag."""
    SUFFIX = "suffix"
    """The rest of a tag that has a checkpoint's own suffix, and its end."""
    RECIPIENT = "recipient"
    """The recipient of a message: a function instead of the user. Its name is compared with those of the tools."""
    ANYTHING = "anything"
    """The marker is a token that nothing else has."""


class Marker:
    """One way in which calls begin.

    :ivar text: what they begin with.
    :ivar parsers: the names of the parsers that look for it, as ``--tool-call-parser`` has them.
    :ivar releases: the first and the last release that has such a parser, of those that were read.
    :ivar end: what calls that begin so end with, and nothing else in them; empty if there is no such text.
    :ivar follow: what must come next.
    :ivar only_first: whether it is a marker at the beginning of a message only.
    """

    __slots__ = ("end", "follow", "only_first", "parsers", "releases", "text")

    def __init__(
        self,
        text: str,
        parsers: str,
        releases: str,
        end: str = "",
        follow: Follow = Follow.BODY,
        *,
        only_first: bool = False,
    ) -> None:
        self.text = text
        self.parsers = tuple(parsers.split())
        self.releases = releases
        self.end = end
        self.follow = follow
        self.only_first = only_first

    def __repr__(self) -> str:
        return f"Marker({self.text!r})"


_HERMES: Final = (
    "hermes qwen3_json qwen3_coder qwen3_xml glm45 glm47 granite granite4 ernie45 xlam step3p5 step5 mimo"
    " poolside_v1 ling3"
)

_ROWS: Final = (
    Marker("<tool_call>", _HERMES, "0.10-0.33", "</tool_call>"),
    Marker("<tool_call:", "hy_v3 hy_v4", "0.25-0.33", follow=Follow.SUFFIX),
    Marker("<tool_calls>", "jamba minimax hunyuan_a13b hy_v3 hy_v4", "0.10-0.33", "</tool_calls>"),
    Marker("<tool_calls:", "hy_v3 hy_v4", "0.25-0.33", follow=Follow.SUFFIX),
    Marker("<|tool_call|>", "granite", "0.10-0.33"),
    Marker("<|tool_call>", "gemma4", "0.19-0.33", "<tool_call|>"),
    Marker("<function_call>", "granite-20b-fc", "0.10-0.33"),
    Marker("<function_calls>", "olmo3", "0.11-0.33", "</function_calls>"),
    Marker("<function=", "qwen3_coder qwen3_xml step3p5", "0.10-0.33", "</function>", Follow.NAME),
    Marker("<function name=", "minicpm5 qwen3_xml step3p5", "0.11-0.33", "</function>", Follow.NAME),
    Marker("<functionname=", "minicpm5", "0.23-0.33", "</function>", Follow.NAME),
    Marker("<function ", "step3p5", "0.16-0.31", "</function>", Follow.NAME),
    Marker("<seed:tool_call>", "seed_oss", "0.10-0.33", "</seed:tool_call>"),
    Marker("<longcat_tool_call>", "longcat", "0.11-0.33", "</longcat_tool_call>"),
    Marker("<minimax:tool_call>", "minimax_m2", "0.11-0.33", "</minimax:tool_call>"),
    Marker("<invoke name=", "minimax_m2", "0.24-0.33", "</invoke>", Follow.NAME),
    Marker("]<]minimax[>[<tool_call>", "minimax_m3", "0.24-0.33", "]<]minimax[>[</tool_call>", Follow.ANYTHING),
    Marker("]<]minimax[>[<invoke name=", "minimax_m3", "0.24-0.33", "]<]minimax[>[</invoke>", Follow.NAME),
    Marker("<dots_function_call>", "dots", "0.28-0.33", "</dots_function_call>"),
    Marker("<ifm|tool_calls>", "k2_horizon", "0.30-0.33", "</ifm|tool_calls>"),
    Marker("<ifm|tool_call>", "k2_horizon", "0.30-0.33", "</ifm|tool_call>"),
    Marker("<start_function_call>", "functiongemma", "0.14-0.33", "<end_function_call>"),
    Marker("<TOOLCALL>", "nemotron_json", "a plugin of NVIDIA's", "</TOOLCALL>"),
    Marker("[TOOL_CALLS]", "mistral xlam", "0.10-0.33"),
    Marker("<|python_tag|>", "llama3_json llama4_json", "0.10-0.33"),
    Marker("<|python_start|>", "llama4_pythonic", "0.10-0.33", "<|python_end|>"),
    Marker("<|action_start|>", "internlm", "0.10-0.33", "<|action_end|>"),
    Marker("<|tool_call_start|>", "lfm2", "0.21-0.33", "<|tool_call_end|>"),
    Marker("<|tools_prefix|>", "apertus", "0.22-0.33", "<|tools_suffix|>"),
    Marker("<|START_ACTION|>", "cohere_command3 cohere_command4", "0.21-0.33", "<|END_ACTION|>"),
    Marker("<|function_call|>", "gigachat3", "0.19-0.33"),
    Marker("<|message_sep|>", "gigachat3", "0.19-0.33", follow=Follow.ANYTHING),
    Marker("function call", "gigachat3", "0.13-0.33", only_first=True),
    Marker("functools[", "phi4_mini_json", "0.10-0.33", only_first=True),
    Marker("<|tool_calls_section_begin|>", "kimi_k2", "0.10-0.33", "<|tool_calls_section_end|>"),
    Marker("<|tool_call_section_begin|>", "kimi_k2", "0.11-0.19", "<|tool_call_section_end|>"),
    Marker("<|tool_call_begin|>", "kimi_k2 step3", "0.10-0.33", "<|tool_call_end|>"),
    Marker("<|open|>tools<|sep|>", "kimi_k3", "0.27-0.33", "<|close|>tools<|sep|>", Follow.ANYTHING),
    Marker("<｜tool▁calls▁begin｜>", "deepseek_v3 deepseek_v31", "0.10-0.33", "<｜tool▁calls▁end｜>"),
    Marker("<｜tool▁call▁begin｜>", "deepseek_v3 deepseek_v31", "0.10-0.33", "<｜tool▁call▁end｜>"),
    Marker("<｜DSML｜function_calls>", "deepseek_v32", "0.13-0.33", "</｜DSML｜function_calls>"),
    Marker("<｜DSML｜tool_calls>", "deepseek_v4", "0.20-0.33", "</｜DSML｜tool_calls>"),
    Marker("<｜DSML｜ calls>", "deepseek_v41", "0.30-0.33", "</｜DSML｜ calls>"),
    Marker("<｜DSML｜invoke name=", "deepseek_v32 deepseek_v4", "0.25-0.33", "</｜DSML｜invoke>", Follow.NAME),
    Marker("<｜DSML｜ invoke name=", "deepseek_v41", "0.30-0.33", "</｜DSML｜ invoke>", Follow.NAME),
    Marker("<｜tool_calls_begin｜>", "step3", "0.10-0.33", "<｜tool_calls_end｜>"),
    Marker("<｜tool_call_begin｜>", "step3", "0.10-0.33", "<｜tool_call_end｜>"),
    Marker("<steptml:invoke name=", "step3", "0.10-0.33", "</steptml:invoke>", Follow.NAME),
    Marker("<|content_invoke_tool_json|>", "inkling", "0.26-0.33", "<|end_message|>"),
    Marker("<|content_invoke_tool_text|>", "inkling", "0.26-0.33", "<|end_message|>", Follow.ANYTHING),
    Marker("<|message_model|><|content_invoke_tool_json|>", "inkling", "0.26-0.33", "<|end_message|>"),
    Marker(
        "<|message_model|><|content_invoke_tool_text|>", "inkling", "0.26-0.33", "<|end_message|>", Follow.ANYTHING
    ),
    Marker(
        "<|plamo:begin_tool_requests:plamo|>", "plamo3", "0.32-0.33", "<|plamo:end_tool_requests:plamo|>"
    ),
    Marker("<|plamo:begin_tool_request:plamo|>", "plamo3", "0.32-0.33", "<|plamo:end_tool_request:plamo|>"),
    Marker(
        "<atem:function_calls>", "muse muse_glimmer musespark1x", "0.28-0.33", "</atem:function_calls>"
    ),
    Marker("<atem:invoke name=", "muse muse_glimmer musespark1x", "0.28-0.33", "</atem:invoke>", Follow.NAME),
    Marker("<|start|>assistant to=", "openai beam muse muse_glimmer musespark1x", "0.10-0.33", follow=Follow.RECIPIENT),
    Marker("<|start|>assistant<|channel|>commentary to=", "openai", "0.10-0.33", follow=Follow.RECIPIENT),
    Marker("<|channel|>commentary to=", "openai", "0.10-0.33", follow=Follow.RECIPIENT),
    Marker("<|channel|>analysis to=", "openai", "0.10-0.33", follow=Follow.RECIPIENT),
    Marker("commentary to=", "openai", "0.10-0.33", follow=Follow.RECIPIENT, only_first=True),
    Marker("to=", "openai beam muse muse_glimmer musespark1x", "0.10-0.33", follow=Follow.RECIPIENT, only_first=True),
)  # fmt: skip


def _with_ascii_bars(marker: Marker) -> Marker:
    return Marker(
        marker.text.replace(_BAR, "|"),
        " ".join(marker.parsers),
        marker.releases,
        marker.end.replace(_BAR, "|"),
        marker.follow,
    )


_BAR: Final = "｜"
_TEXTS: Final = frozenset(marker.text for marker in _ROWS)
MARKERS: Final = (
    *_ROWS,
    *(
        twin
        for marker in _ROWS
        if _BAR in marker.text and (twin := _with_ascii_bars(marker)).text not in _TEXTS
    ),
)
"""Every marker. The fullwidth bars of the DeepSeek models also come as ASCII ones: some templates and models write them so."""

JSON: Final = Marker("{", "llama3_json llama4_json xlam granite", "0.10-0.33", follow=Follow.ANYTHING)
"""A call as bare JSON, alone or in a list. llama3_json finds it behind any text (from 0.10.1)."""
FENCED_JSON: Final = Marker("```", "xlam", "0.10-0.33", "```", Follow.ANYTHING, only_first=True)
"""The same in a block of Markdown."""
PYTHON: Final = Marker("[", "pythonic llama4_pythonic lfm2 olmo3", "0.10-0.33", only_first=True)
"""Calls in a list of Python, or (olmo3) a line each."""
FORCED: Final = Marker("", "", "0.10-0.33", only_first=True)
"""The JSON of a call that ``tool_choice`` forces, which no parser reads."""

SIGNS: Final = "<[]{"
"""What calls begin with that are not at the beginning of a message."""

_SIGN: Final = re.compile(r"[<\[\]{]")
_WORD: Final = re.compile(r"\S")

_LONGEST: Final = 512
"""Characters in which a beginning must have shown that it is one: a marker, white space, and the longest of names."""

_NAME: Final = r"\w[\w.:/\-]*"
_MUST: Final = {
    Follow.BODY: re.compile(rf"\s*(?:[\[{{]|<(?!/|\Z)|{_NAME}(?:[{{(\[]|\s*<))"),
    Follow.NAME: re.compile(rf"\s*[\"']?{_NAME}[\"']?\s*/?>"),
    Follow.SUFFIX: re.compile(r"[^\s<>]+>"),
    Follow.RECIPIENT: re.compile(rf"({_NAME})[^\w.:/\-]"),
    Follow.ANYTHING: re.compile(""),
}
_MAY: Final = {
    Follow.BODY: re.compile(rf"\s*(?:<|{_NAME}\s*)?\Z"),
    Follow.NAME: re.compile(rf"\s*(?:[\"']|[\"']?{_NAME}[\"']?\s*/?)?\Z"),
    Follow.SUFFIX: re.compile(r"[^\s<>]*\Z"),
    Follow.RECIPIENT: re.compile(rf"(?:{_NAME})?\Z"),
    Follow.ANYTHING: re.compile(r"\Z"),
}
"""What must follow a marker, and what may go on to it where the text ends too soon."""


def _beginning(*parts: str) -> re.Pattern[str]:
    """Return the pattern of every text that ends inside ``parts``, which stand one after another."""
    pattern = ""
    for part in reversed(parts):
        pattern = f"{part}{pattern}" if part.endswith("*") else f"(?:{part}{pattern})?"
    return re.compile(pattern + r"\Z")


_S: Final = r"\s*"
_QUOTED: Final = r"([^\"\\\s]+)"
_TYPE: Final = (*'"type"', _S, ":", _S, *'"function"', _S, ",", _S)
_ID: Final = (*'"id"', _S, ":", _S, '"', r"[^\"\\\s]*", '"', _S, ",", _S)
_WRAPPER: Final = (*'"function"', _S, ":", _S, r"\{", _S)
_JSON_MUST: Final = re.compile(
    rf"(?:\[\s*)?\{{\s*(?:{''.join(_TYPE)}|{''.join(_ID)})*(?:{''.join(_WRAPPER)})?"
    r"\"name\"\s*:\s*\"" + _QUOTED + r"\"\s*,\s*\"(?:arguments|parameters)\""
)
_JSON_MAY: Final = tuple(
    _beginning(
        *bracket, r"\{", _S, *kind, *wrapper, *'"name"', _S, ":", _S, '"', _QUOTED, '"', _S, ",", _S, *key
    )
    for bracket in ((), (r"\[", _S))
    for kind in ((), _TYPE, _ID, (*_ID, *_TYPE), (*_TYPE, *_ID))
    for wrapper in ((), _WRAPPER)
    for key in ('"arguments"', '"parameters"')
)
_ARGUMENTS_MUST: Final = re.compile(r"(?:\[\s*)?\{\s*\"(?:arguments|parameters)\"\s*:\s*\{")
"""The arguments before the name, which nobody knows yet: only where nothing was said before."""
_ARGUMENTS_MAY: Final = tuple(
    _beginning(*bracket, r"\{", _S, *key, _S, ":", _S, r"\{")
    for bracket in ((), (r"\[", _S))
    for key in ('"arguments"', '"parameters"')
)
_JSON_HEAD: Final = re.compile(r"(?:\[\s*)?(?:\{\s*(?:\"|\Z)|\Z)")
"""What distinguishes the brackets of a call from nearly all others."""
_PYTHON_MUST: Final = re.compile(r"(?:\[\s*)?([A-Za-z_][\w.\-]*)\(")
_PYTHON_MAY: Final = (re.compile(r"(?:\[\s*)?((?:[A-Za-z_][\w.\-]*)?)\Z"),)
_FENCE: Final = re.compile(r"```(?:json)?\s*")
_WHOLE_FENCE: Final = "```json"


def _by_beginning(*, only_first: bool) -> dict[str, tuple[Marker, ...]]:
    """Return the markers by their first two characters, and by the first alone; the longest come first."""
    found: dict[str, list[Marker]] = {}
    for marker in sorted(MARKERS, key=lambda marker: -len(marker.text)):
        if marker.only_first == only_first:
            found.setdefault(marker.text[:2], []).append(marker)
            found.setdefault(marker.text[:1], []).append(marker)
    return {beginning: tuple(markers) for beginning, markers in found.items()}


def _any_of(texts: Iterable[str]) -> str:
    """Return the pattern of any of these texts, in which each character is compared once for all that begin alike."""
    rests: dict[str, list[str]] = {}
    for text in texts:
        rests.setdefault(text[:1], []).append(text[1:])
    if "" in rests:
        return ""  # a text ends here, so what goes on from here has it as well
    ways = [re.escape(first) + _any_of(rest) for first, rest in rests.items()]
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


_KEYS: Final = r"\s*\"(?:name|type|id|function)\""
_LIKELY: Final = re.compile(
    _any_of(marker.text for marker in MARKERS if not marker.only_first) + rf"|\{{{_KEYS}|\[\s*\{{{_KEYS}"
)
"""Where a call may begin: a whole marker, or the head of a call in JSON."""

_ANYWHERE: Final = _by_beginning(only_first=False)
_FIRST: Final = _by_beginning(only_first=True)


class Found:
    """Where a call begins in a text.

    :ivar place: index of the beginning; the length of the text if none begins.
    :ivar marker: what it begins with; None if only the end of the text may be a beginning.
    """

    __slots__ = ("marker", "place")

    def __init__(self, place: int, marker: Marker | None) -> None:
        self.place = place
        self.marker = marker


def find_call(text: str, echo: Echo, *, is_first: bool, is_forced: bool) -> Found:
    """Return where in a text a call begins, or may begin.

    Linear in the length of the text: at each place at most :data:`_LONGEST` characters are looked at. One expression finds
    the few places that are worth a look: a text of brackets alone would hold the loop otherwise (issue 12, K11).

    :param is_first: whether nothing but white space came before the text in its message.
    :param is_forced: whether the request forces a call, so that JSON at the beginning of a message is one.
    """
    at = 0
    if is_first:
        word = _WORD.search(text)
        if word is None:
            return Found(len(text), None)
        at = word.start()
        if is_forced and text[at] in "[{":
            return Found(at, FORCED)
        marker, may = _begin(text, at, echo, is_first=True)
        if marker is not None or may:
            return Found(at, marker)
        at += 1
    near_end = len(text) - _LONGEST  # from there on the text may end inside a beginning
    while at < near_end and (likely := _LIKELY.search(text, at, len(text))) is not None:
        at = likely.start()
        if at >= near_end:
            break
        marker, _ = _begin(text, at, echo, is_first=False)
        if marker is not None:
            return Found(at, marker)
        at += 1
    at = max(at, near_end)
    while (sign := _SIGN.search(text, at)) is not None:
        at = sign.start()
        marker, may = _begin(text, at, echo, is_first=False)
        if marker is not None or may:
            return Found(at, marker)
        at += 1
    return Found(len(text), None)


def _begin(text: str, at: int, echo: Echo, *, is_first: bool) -> tuple[Marker | None, bool]:
    """Return the marker with which a call begins at a place; where none does, whether one may if the text goes on."""
    end = min(len(text), at + _LONGEST)
    marker, may = _begin_with(_ANYWHERE, text, at, end, echo)
    if marker is None and is_first:
        marker, first_may = _begin_with(_FIRST, text, at, end, echo)
        may = may or first_may
    if marker is None and text[at] in "[{":
        marker, json_may = _begin_json(JSON, text, at, end, echo)
        may = may or json_may
    if marker is None and is_first:
        marker, bare_may = _begin_bare(text, at, end, echo)
        may = may or bare_may
    return marker, may and end == len(text)  # what is longer has shown what it is


def _begin_with(
    table: Mapping[str, tuple[Marker, ...]], text: str, at: int, end: int, echo: Echo
) -> tuple[Marker | None, bool]:
    may = False
    for marker in table.get(text[at : at + 2], ()):
        behind = at + len(marker.text)
        if not text.startswith(marker.text, at):
            may = may or marker.text.startswith(text[at:end])
        elif (found := _MUST[marker.follow].match(text, behind, end)) is None:
            may = may or _MAY[marker.follow].match(text, behind, end) is not None
        elif marker.follow is not Follow.RECIPIENT or _is_function(found[1], echo):
            return marker, False
    return None, may


def _is_function(recipient: str, echo: Echo) -> bool:
    """Return whether a message to this recipient is a call; one to the user is none, nor one to a built-in tool."""
    return (
        recipient.startswith("functions.")
        or recipient in echo.names
        or recipient.rpartition(".")[2] in echo.names
    )


def _begin_json(marker: Marker, text: str, at: int, end: int, echo: Echo) -> tuple[Marker | None, bool]:
    if _JSON_HEAD.match(text, at, end) is None:
        return None, False
    found = _JSON_MUST.match(text, at, end)
    if found is not None:
        return (marker if found[1] in echo.names else None), False
    return None, _may_be_named(_JSON_MAY, text, at, end, echo.names)


def _begin_bare(text: str, at: int, end: int, echo: Echo) -> tuple[Marker | None, bool]:
    """The same for calls that only stand at the beginning of a message, and begin with no marker."""
    fence = _FENCE.match(text, at, end)
    if fence is not None:
        marker, may = (
            (None, True) if fence.end() == end else _begin_json(FENCED_JSON, text, fence.end(), end, echo)
        )
        return marker, may or _WHOLE_FENCE.startswith(text[at:end])
    if echo.names and _ARGUMENTS_MUST.match(text, at, end) is not None:
        return JSON, False
    found = _PYTHON_MUST.match(text, at, end)
    if found is not None:
        return (PYTHON if found[1] in echo.names else None), False
    may = _may_be_named(_PYTHON_MAY, text, at, end, echo.names) or (
        bool(echo.names) and any(pattern.match(text, at, end) for pattern in _ARGUMENTS_MAY)
    )
    return None, may or _WHOLE_FENCE.startswith(text[at:end])


def _may_be_named(
    patterns: Sequence[re.Pattern[str]], text: str, at: int, end: int, names: Collection[str]
) -> bool:
    """Return whether a text may go on to one of the patterns, with the name of a tool in it."""
    for pattern in patterns:
        found = pattern.match(text, at, end)
        if found is None:
            continue
        name = found[1] or ""
        if name in names or (
            (not name or found.end(1) == end) and any(known.startswith(name) for known in names)
        ):
            return True
    return False
