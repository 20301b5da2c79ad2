"""What a stream says, as somebody reads it who repairs nothing: its calls and its texts, wherever they stand.

Upstream says most things several times: in deltas, in done events, in done items, in its final object. Each of these is a
*source* of its own here, and damage may have changed any of them. Sources are read without regard to ids and indexes, since
these are what is wrong most often.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses.grammar import ALIASES
from vllm_sse_proxy.sse import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json = dict[str, Any]

CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
"""Types of the items that clients run, and the field that holds what they are run with."""
TERMINAL: Final = ("response.completed", "response.incomplete", "response.failed")
_DELTAS: Final = {
    "response.output_text.delta": "answer",
    "response.refusal.delta": "answer",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
_DONES: Final = {
    "response.output_text.done": ("answer", "text"),
    "response.refusal.done": ("answer", "refusal"),
    "response.reasoning_text.done": ("reasoning", "text"),
    "response.reasoning_summary_text.done": ("reasoning", "text"),
    "response.function_call_arguments.done": ("arguments", "arguments"),
    "response.custom_tool_call_input.done": ("arguments", "input"),
}
_KINDS: Final = {"message": "answer", "reasoning": "reasoning"}
_SPECIAL: Final = re.compile(r"</?think>|<\|\w+\|>")


def events_of(stream: bytes) -> Iterator[Json]:
    """Yield the typed events of a stream, under the protocol's names, up to the terminal one: no client reads on.

    Payloads are read as leniently as anybody does.
    """
    for frame in FrameDecoder(max_frame_bytes=len(stream) + 1).feed(stream + b"\n\n"):
        try:
            text = frame.data.decode("utf-8", "replace")
            body = json.loads(text, strict=False) if frame.comment is None else None
        except (ValueError, RecursionError):
            continue
        if isinstance(body, dict) and _reports_error(body):
            yield {**body, "type": "error"}
            continue
        if not isinstance(body, dict) or not isinstance(body.get("type"), str):
            continue
        yield {**body, "type": ALIASES.get(body["type"], body["type"])}
        if ALIASES.get(body["type"], body["type"]) in TERMINAL:
            return


def _reports_error(body: Json) -> bool:
    """Return whether a payload that is not an event of the protocol reports an error, as vLLM and gateways write one."""
    if str(body.get("type")).startswith("response."):
        return False
    return bool(body.get("error")) or body.get("object") == "error" or isinstance(body.get("detail"), str)


@dataclass
class Source:
    """One of the places where a stream says what it says.

    :ivar calls: tool and arguments of each call; arguments alone, under the tool ``""``, where the place names no tool.
    :ivar texts: kind and text of each text.
    """

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    texts: list[tuple[str, str]] = field(default_factory=list)

    def holds(self, tool: str, arguments: str) -> int:
        """Return how often the call stands here."""
        return self.calls[tool, arguments] + self.calls["", arguments]

    def times(self, text: str) -> int:
        """Return how often the whole text stands here, whatever it is the text of."""
        return sum(bare(said) == text for _, said in self.texts)

    def times_begun(self, text: str) -> int:
        """Return how many texts here begin with a text."""
        return sum(bare(said).startswith(text) for _, said in self.texts)

    def times_in_part(self, text: str) -> int:
        """Return how many texts here hold a text that calls were taken out of: its beginning and its end."""
        lines = text.splitlines()
        return sum(lines[0] in said and lines[-1] in said for _, said in self.texts)


@dataclass
class Said:
    """What one stream says.

    :ivar items: the done items, in order; the same one twice is one.
    :ivar done: the calls among them.
    :ivar tools: the tools of each call that is announced or done: more than one where the events of it disagree.
    :ivar open_calls: how many calls are announced and not done.
    :ivar final: the items of the terminal event; None without one.
    """

    deltas: Source = field(default_factory=Source)
    texts_done: Source = field(default_factory=Source)
    parts_done: Source = field(default_factory=Source)
    items_done: Source = field(default_factory=Source)
    finals: Source = field(default_factory=Source)
    items: list[Json] = field(default_factory=list)
    done: list[Json] = field(default_factory=list)
    open_calls: int = 0
    tools: list[set[str]] = field(default_factory=list)
    final: list[Json] | None = None
    terminal: Json | None = None
    types: list[str] = field(default_factory=list)

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.deltas, self.texts_done, self.parts_done, self.items_done, self.finals

    def calls_of(self, tool: str) -> int:
        """Return how many calls of a tool there are for somebody who reads either the stream or its final object."""
        streamed = sum(tool in names for names in self.tools)
        return max(streamed, sum(tool == tool_of(item) for item in self.final or () if is_call(item)))


def bare(text: str) -> str:
    """Return a text without what vLLM has in only one of its copies: special tokens, white space at the edges."""
    return _SPECIAL.sub("", text).strip()


def is_call(item: Json) -> bool:
    """Return whether clients run an item of this type."""
    type_ = item.get("type")
    return isinstance(type_, str) and type_ in CALLS


def tool_of(item: Json) -> str:
    """Return the tool that a call names, with its namespace, however the two are put together."""
    parts = (item.get("namespace"), item.get("name"))
    return "".join(re.sub(r"\W|_", "", part) for part in parts if isinstance(part, str))


def arguments_of(item: Json) -> str:
    """Return what a call is run with, see :func:`canonical`."""
    return canonical(item.get(CALLS[item["type"]]))


def canonical(arguments: object) -> str:
    """Return the same for arguments that mean the same.

    No arguments are an empty object, and ``{"input": text}`` is what a custom tool called as a function gets.
    """
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        return "{}"
    value: Any = arguments
    if isinstance(arguments, str):
        try:
            value = json.loads(arguments)
        except (ValueError, RecursionError):
            return arguments.strip()
    if isinstance(value, dict) and list(value) == ["input"] and isinstance(value["input"], str):
        return value["input"].strip()
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return json.dumps(value, sort_keys=True)


def read(stream: bytes) -> Said:
    """Read a stream."""
    emitted = Said()
    runs: list[tuple[str, str]] = []
    announced: list[tuple[Json, set[str]]] = []
    seen: list[Json] = []
    for event in events_of(stream):
        emitted.types.append(event["type"])
        same = {name: value for name, value in event.items() if name != "sequence_number"}
        if event["type"].endswith((".done", ".added")):
            if same in seen:
                continue
            seen.append(same)
        _note_delta(runs, event)
        _note_event(emitted, event, announced)
    for kind, text in runs:
        _note_text(emitted.deltas, kind, text)
    emitted.open_calls = len(announced)
    return emitted


def _note_delta(runs: list[tuple[str, str]], event: Json) -> None:
    """Join deltas of one kind that nothing stands between."""
    kind = _DELTAS.get(event["type"])
    if kind is None:
        if event["type"] in ("response.output_item.added", "response.content_part.added"):
            runs.append(("", ""))
        return
    text = _text_in(event.get("delta"))
    if runs and runs[-1][0] == kind:
        runs[-1] = (kind, runs[-1][1] + text)
    else:
        runs.append((kind, text))


def _note_event(emitted: Said, event: Json, announced: list[tuple[Json, set[str]]]) -> None:
    type_ = event["type"]
    if type_ in _DONES:
        kind, name = _DONES[type_]
        _note_text(emitted.texts_done, kind, event.get(name))
    elif type_ in ("response.content_part.done", "response.reasoning_summary_part.done"):
        for kind, text in _texts_of({"content": [event.get("part")]}):
            _note_text(emitted.parts_done, kind, text)
    elif type_ in ("response.output_item.added", "response.output_item.done"):
        _note_item(emitted, event, announced)
    elif type_ in TERMINAL:
        _note_final(emitted, event)


def _note_text(source: Source, kind: str, text: object) -> None:
    if kind == "arguments":
        source.calls["", canonical(text)] += 1
    elif isinstance(text, str) and kind:
        source.texts.append((kind, text))


def _note_item(emitted: Said, event: Json, announced: list[tuple[Json, set[str]]]) -> None:
    item = event.get("item")
    if not isinstance(item, dict):
        return
    is_done = event["type"] == "response.output_item.done"
    if is_done:
        emitted.items.append(item)
        _note(emitted.items_done, item)
    if not is_call(item):
        return
    if is_done:
        emitted.done.append(item)
    place = {"index": event.get("output_index"), "id": item.get("id"), "call_id": item.get("call_id")}
    known = next((names for other, names in announced if is_done and _is_same(place, other)), None)
    if known is not None:
        known.add(tool_of(item))
        announced[:] = [one for one in announced if one[1] is not known]
        return
    names = {tool_of(item)}
    emitted.tools.append(names)
    if not is_done:
        announced.append((place, names))


def _is_same(place: Json, other: Json) -> bool:
    return any(value is not None and value == other[name] for name, value in place.items())


def _note_final(emitted: Said, event: Json) -> None:
    emitted.terminal = event
    response = event.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    emitted.final = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    for item in emitted.final:
        _note(emitted.finals, item)


def _note(source: Source, item: Json) -> None:
    if is_call(item):
        source.calls[tool_of(item), arguments_of(item)] += 1
    else:
        source.texts += _texts_of(item)


def _texts_of(item: Json) -> list[tuple[str, str]]:
    """Return the texts of an item, in whatever form they stand there."""
    kind = _KINDS.get(str(item.get("type")))
    texts = []
    for name in ("summary", "content"):
        parts: Any = item.get(name)
        for part in parts if isinstance(parts, list) else [parts]:
            text = _text_in(part)
            if text:
                texts.append((kind or _kind_of(part), text))
    return texts


def _kind_of(part: object) -> str:
    type_ = part.get("type") if isinstance(part, dict) else None
    return "reasoning" if type_ in ("reasoning_text", "summary_text") else "answer"


def _text_in(value: object) -> str:
    """Return the words in a value of any shape."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return next(
            (text for name in ("text", "refusal", "content", "delta") if (text := _text_in(value.get(name)))),
            "",
        )
    return "".join(map(_text_in, value)) if isinstance(value, list) else ""


def completed_calls(emitted: Said) -> list[Json]:
    """Return the calls that clients run: those whose done item says that they are completed."""
    return [item for item in emitted.done if item.get("status") != "incomplete"]


def tools_in(calls: Iterable[Json]) -> Counter[str]:
    """Return how often each tool is called."""
    return Counter(map(tool_of, calls))
