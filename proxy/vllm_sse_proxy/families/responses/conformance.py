"""The judge: finds where a stream breaks the Responses protocol. It repairs nothing, and knows nothing of the repairs.

It shares only the tables of ``grammar`` with the rest, so that a wrong idea of the protocol in a repair cannot hide
here. Every rule has a name and a sentence in :data:`RULES`. After a violation it goes on as if the stream had said
what it must have meant, so that one fault is reported once; an event whose place is unknown (no such item or part) is
judged no further.

What the rules are taken from: OpenAI's event types, Open Responses 2026-04-24, the strictest checks of real clients,
and streams recorded from OpenAI's own API, which break none of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.judging import (
    ABSENT,
    StreamJudge,
    Violation,
    judge_body,
    member,
    short,
    strict_json,
)
from vllm_sse_proxy.families.responses.grammar import (
    ALIASES,
    ANNOTATION_ADDED,
    COMPLETED,
    CREATED,
    DONE_SENTINEL,
    ERROR,
    EVENT_FIELDS,
    FAILED,
    FUNCTION_CALL,
    IN_PROGRESS,
    INCOMPLETE,
    ITEM_ADDED,
    ITEM_DONE,
    ITEM_EVENTS,
    KEEPALIVE,
    KIND_OF_EVENT,
    LIFECYCLE,
    MCP_ARGUMENTS,
    MESSAGE,
    OPEN_RESPONSES_NAMES,
    OPENING,
    OUTPUT_TEXT,
    PART_ADDED,
    PART_DONE,
    PART_EVENTS,
    PINGS,
    PRIVATE_NOTICES,
    QUEUED,
    REASONING,
    RUN_OF_DELTA,
    RUN_OF_DONE,
    RUN_OF_PART,
    STATUSES_OF,
    SUMMARY_ADDED,
    SUMMARY_DONE,
    SUMMARY_EVENTS,
    SUMMARY_TEXT,
    TOOL_CALL_DELTA,
    ItemKind,
    Kind,
    TextRun,
    has_call_id,
    item_kind,
)
from vllm_sse_proxy.families.responses.response_judging import unknown_in_item, wrong_in_response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

RULES: Final[dict[str, str]] = {
    # framing
    "frame_shape": "A frame is an `event:`, a `data:` and a blank line (`[DONE]`: no `event:`) with LF ends, or a comment.",
    "event_line": "The `event:` line equals the `type` in the data.",
    "json": "The data of every event is one line of strict JSON (UTF-8, no NaN) that holds an object.",
    "type": "Every object has a `type` that is a string.",
    # numbers
    "sequence_number": "Sequence numbers are the integers 0, 1, 2… without gap, over all events, unknown ones too.",
    "nested_number": "A `sequence_number` inside an item, part or response is absent or the number of its event.",
    "keepalive": "A `keepalive` event repeats the number of the last event.",
    # names and fields
    "standard_name": "No event goes by a private name, or by one for which the dialect has another.",
    "fields": "An event of a known type has every field of that type, with the right JSON type; no id is empty.",
    "delta_type": "A delta is a string (of `response.shell_call_output_content.delta`: an object).",
    # the response
    "created_first": "The first event is `response.created`.",
    "created_once": "`response.created` comes once.",
    "queued_order": "`response.queued` comes at most once, after created and before in_progress.",
    "in_progress_once": "`response.in_progress` comes exactly once, before every item, error and terminal event.",
    "response_fields": "The `response` of a lifecycle event has every field that OpenAI's type requires, of its JSON type.",
    "open_responses_keys": "In dialect open-responses, a lifecycle event's `response` has all 31 keys, of their types.",
    "open_responses_fields": "In dialect open-responses, nothing is null that may only be absent, and no value is unknown.",
    "response_id": "`response.id` is the same in every lifecycle event.",
    "response_status": "`response.status` agrees with the event's name.",
    "opening_output": "`response.output` is empty until the terminal event.",
    "usage_details": "`response.usage`, if there is one, has its three counts, `cached_tokens` and `reasoning_tokens`.",
    "incomplete_reason": "`response.incomplete` says its reason in `incomplete_details`, which is null if nobody knows it.",
    "failed_error": "`response.failed` has `response.error` with code and message.",
    "error_shape": "An `error` event holds the nested object `error` with a message.",
    "error_then_failed": "After an `error` event comes `response.failed` and nothing else.",
    "terminal": "The stream has a terminal event: completed, incomplete or failed.",
    "after_terminal": "Nothing but `[DONE]` follows the terminal event.",
    "done_sentinel": "Exactly one `data: [DONE]` comes, after the terminal event, as the last.",
    # items
    "output_index": "Items are added with `output_index` 0, 1, 2… in this order, each once.",
    "item_id": "Item ids are strings, not empty, and no two items have the same.",
    "call_id": "No two calls have one `call_id`: the answer to a call names it by this.",
    "item_fields": "An item has the fields of its type (role, content, summary, name, call_id…), with the right JSON types.",
    "item_status": "A message, reasoning or call is in_progress when added; completed, incomplete or failed when done.",
    "opened_empty": "What is announced is empty yet: content, summary, arguments, input, code, and the text of a part.",
    "item_open": "Every event of an item comes between its added and its done, which come once.",
    "item_id_match": "The `item_id` of an event is the id of the item at its `output_index`.",
    "item_identity": "id, type, name, call_id and role of an item are the same when it is added and when it is done.",
    "item_type": "An event comes only for an item of the type that it belongs to.",
    "progress_order": "The progress events of a hosted tool's item come in their order.",
    "items_closed": "Every item is done before the terminal event, but for a call that was cut.",
    "incomplete_item": "A response whose last item is incomplete is itself incomplete or failed.",
    # parts
    "content_index": "The content parts of an item are added with `content_index` 0, 1, 2…",
    "summary_index": "The summary parts of an item are added with `summary_index` 0, 1, 2…",
    "parts_overlap": "A part is added only after the one before it is done.",
    "part_fields": "A part has the fields of its type, of the right JSON types.",
    "logprobs": "A logprob names its token and says a number; in a part (open-responses: anywhere) it has its bytes, too.",
    "part_type": "A part's type fits its item, stays the same, and fits the events that carry its text.",
    "part_open": "Every event of a part comes between its added and its done, which come once.",
    "parts_closed": "Every part of an item is done before the item is.",
    # texts
    "text_after_done": "After the done event of a text comes no delta and no second done event.",
    "text_done": "Every text has its done event before its part or item is done.",
    "text_sum": "The text of a done event is the sum of its deltas.",
    "part_text": "The text of a done part is the text that was streamed.",
    "annotations": "The annotations of a done part are those that were streamed.",
    "item_content": "The content, summary, arguments, input or code of a done item is what was streamed.",
    "terminal_output": "`response.output` of the terminal event holds the items as they were done, in order.",
}
"""Every rule by its name. The names are stable: tests, metrics and documentation use them."""

_OPENAI: Final = "openai"
_OPEN_RESPONSES: Final = "open-responses"

_NOT_STANDARD: Final = frozenset({*ALIASES, *PINGS, *PRIVATE_NOTICES, TOOL_CALL_DELTA})
_NAMES_NOT_OF: Final = {
    _OPENAI: _NOT_STANDARD,
    _OPEN_RESPONSES: _NOT_STANDARD - {*OPEN_RESPONSES_NAMES.values()} | {*OPEN_RESPONSES_NAMES},
}

_PART_FIELDS: Final = {
    "output_text": {"text": Kind.STRING, "annotations": Kind.LIST},
    "refusal": {"refusal": Kind.STRING},
    "reasoning_text": {"text": Kind.STRING},
    "summary_text": {"text": Kind.STRING},
}
_ITEM_FIELDS: Final = {
    "message": {"role": Kind.STRING, "content": Kind.LIST, "status": Kind.STRING},
    "reasoning": {"summary": Kind.LIST},
    "function_call": {"arguments": Kind.STRING},
    "custom_tool_call": {"input": Kind.STRING},
}
_JSON_TYPES: Final = {Kind.STRING: str, Kind.INDEX: int, Kind.LIST: list, Kind.OBJECT: dict}
_IDENTITY: Final = ("id", "type", "name", "call_id", "role")
_DONE_STATUSES: Final = frozenset({"completed", "incomplete", "failed"})
_DONE_STATUSES_OF: Final = {
    MESSAGE.type: _DONE_STATUSES,
    FUNCTION_CALL.type: _DONE_STATUSES,
    REASONING.type: _DONE_STATUSES | {None},  # OpenAI's have no status
}
"""OpenAI's hosted tools end in statuses of their own (`generating`, `searching`): not judged."""
_STRUCTURE: Final = ("item", "part", "response", "output", "content", "summary", "annotation", "annotations")
"""Where an upstream leaves a nested ``sequence_number``. Elsewhere (tool schemas, metadata) the name is the user's own."""

_DIFFER_AT_OPENAI: Final = frozenset({"encrypted_content", "fingerprint", "sequence_number"})
"""Fields that OpenAI's own streams give anew in the terminal event, and the one that is the number of its event."""
_LABEL: Final = "server_label"
"""Of an MCP server: it must be there, and may be empty, unlike a name that somebody calls."""
_TOOL_SEARCH: Final = "tool_search_call"
"""OpenAI changes the ``call_id`` of items of this type."""
_NOT_ADDED_LATER: Final = frozenset(
    {*_IDENTITY, "status", "content", "summary", "text", "refusal", "arguments", "input", "code"}
)
"""Where an item was done without one of these, the terminal event has none either. Other fields it may fill."""
_NOTHING: Final[tuple[object, ...]] = (None, "", [], {})

_FRAME: Final = re.compile(rb"event: ([^\r\n]+)\ndata: ([^\r\n]+)|data: \[DONE\]|(:[^\r\n]*)(\n:[^\r\n]*)*")


def check_stream(stream: bytes, *, dialect: str = _OPENAI, require_done: bool = True) -> list[Violation]:
    """Judge a whole body, its frames included. Never raises.

    :param dialect: value or member of ``Dialect``.
    :param require_done: whether the stream must end with ``[DONE]``; OpenAI's own do not.
    """
    return judge_body(stream, ConformanceChecker(dialect=dialect, require_done=require_done), _FRAME)


@dataclass(slots=True)
class _Text:
    """A text as it is streamed: its deltas, then the text of its done event."""

    pieces: list[str] = field(default_factory=list)
    done: str | None = None

    @property
    def whole(self) -> str:
        return "".join(self.pieces) if self.done is None else self.done

    @property
    def has_begun(self) -> bool:
        return bool(self.pieces) or self.done is not None


@dataclass(slots=True)
class _Part:
    """A content or summary part from its added event on; ``final`` is the part of its done event."""

    type: str
    text: _Text = field(default_factory=_Text)
    annotations: list[Any] = field(default_factory=list)
    final: dict[str, Any] | None = None

    def as_streamed(self) -> dict[str, Any]:
        """Return the part as it was done or, if it was not, as its deltas add up to."""
        run = RUN_OF_PART.get(self.type)
        return self.final or {"type": self.type, **({run.field: self.text.whole} if run else {})}


@dataclass(slots=True)
class _Item:
    """An output item from its added event on; ``final`` is the item of its done event."""

    added: dict[str, Any]
    kind: ItemKind
    parts: dict[int, _Part] = field(default_factory=dict)
    summaries: dict[int, _Part] = field(default_factory=dict)
    text: _Text = field(default_factory=_Text)
    progress: int = -1
    final: dict[str, Any] | None = None

    def has_open_part(self) -> bool:
        return any(part.final is None for part in (*self.parts.values(), *self.summaries.values()))


class ConformanceChecker(StreamJudge):
    """Judge one stream: ``feed`` it every event, comments left out, then ``finish``. Neither ever raises.

    :param dialect: value or member of ``Dialect``. In ``upstream`` every name is allowed; a known private name is judged as
        the protocol's event that it stands for.
    :param require_done: whether the stream must end with ``[DONE]``.
    """

    def __init__(self, *, dialect: str = _OPENAI, require_done: bool = True) -> None:
        super().__init__()
        self._dialect = str(dialect)
        self._require_done = require_done
        self._wrong_names = _NAMES_NOT_OF.get(self._dialect, frozenset[str]())
        self._last_number = -1
        self._begun = False
        self._queued = False
        self._in_progress = False
        self._error = False
        self._response_id: object = ABSENT
        self._terminal: str | None = None
        self._sentinel = False
        self._items: dict[int, _Item] = {}
        self._ids: set[str] = set()
        self._call_ids: set[str] = set()

    def _judge_end(self) -> None:
        if self._terminal is None:
            self._say("terminal", "the stream ended without completed, incomplete or failed")
        elif self._require_done and not self._sentinel:
            self._say("done_sentinel", "the stream ended without [DONE]")

    def _judge(self, event_name: str | None, data: bytes) -> None:
        if self._sentinel:
            self._say("done_sentinel", f"{short(data)} after [DONE]")
            return
        if data == DONE_SENTINEL:
            self._sentinel = True
            if self._terminal is None:
                self._say("done_sentinel", "[DONE] before the terminal event")
            return
        body = strict_json(data)
        if type(body) is not dict:
            self._say("json", f"the data is {short(data)}")
            return
        type_ = body.get("type")
        if type(type_) is not str:
            self._say("type", f"type is {short(type_)}")
            return
        if event_name != type_:
            self._say("event_line", f"the line says {event_name!r}, the data {type_!r}")
        self._judge_number(type_, body)
        if self._terminal is not None:
            self._say("after_terminal", f"{type_} after {self._terminal}")
        elif type_ != KEEPALIVE:
            self._judge_event(type_, body)

    def _judge_number(self, type_: str, body: dict[str, Any]) -> None:
        number = body.get("sequence_number", ABSENT)
        if type_ == KEEPALIVE:
            if number != self._last_number:
                self._say("keepalive", f"number {short(number)} after {self._last_number}")
            return
        if type(number) is not int or number != self._last_number + 1:
            self._say("sequence_number", f"{type_} has {short(number)} instead of {self._last_number + 1}")
        self._last_number = number if type(number) is int else self._last_number + 1
        for nested in _nested_numbers(body):
            if nested != number:
                self._say("nested_number", f"{type_} {short(number)} holds {short(nested)}")

    def _judge_event(self, type_: str, body: dict[str, Any]) -> None:
        if type_ in self._wrong_names:
            self._say("standard_name", type_)
        name = ALIASES.get(type_, type_)
        self._judge_order(name)
        fields = EVENT_FIELDS.get(name)
        if fields is None or not self._has_fields(name, body, fields):
            return
        if name in LIFECYCLE:
            self._judge_lifecycle(name, body["response"])
        elif name == ITEM_ADDED:
            self._judge_item_added(body)
        elif name == ITEM_DONE or name in ITEM_EVENTS:
            self._judge_item_event(name, body)

    def _judge_order(self, name: str) -> None:
        if not self._begun:
            self._begun = True
            if name != CREATED:
                self._say("created_first", f"the first event is {name}")
        elif name == CREATED:
            self._say("created_once", "response.created again")
        if self._error and name != FAILED:
            self._say("error_then_failed", f"{name} after error")
        self._error |= name == ERROR
        if name == QUEUED:
            if self._queued or self._in_progress:
                self._say("queued_order", "response.queued again, or after response.in_progress")
            self._queued = True
        elif name != CREATED and name in EVENT_FIELDS:
            if self._in_progress is (name == IN_PROGRESS):
                when = "again, or too late" if self._in_progress else f"not before {name}"
                self._say("in_progress_once", f"response.in_progress {when}")
            self._in_progress = True

    def _has_fields(self, name: str, body: dict[str, Any], fields: Mapping[str, Kind]) -> bool:
        """Judge the fields of an event; return whether it can be judged further."""
        if name == ERROR:
            error = body.get("error")
            if type(error) is not dict or type(error.get("message")) is not str:
                self._say("error_shape", f"error is {short(error)}")
            return False
        for key, kind in fields.items():
            value = body.get(key, ABSENT)
            if not _is_kind(value, kind):
                self._say("delta_type" if key == "delta" else "fields", f"{name}.{key} is {short(value)}")
                return False
        if body.get("item_id") == "":
            self._say("fields", f"{name}.item_id is empty")
            return False
        return True

    # the response

    def _judge_lifecycle(self, name: str, response: dict[str, Any]) -> None:
        for rule, detail in wrong_in_response(name, response, is_open=self._dialect == _OPEN_RESPONSES):
            self._say(rule, f"{detail} in {name}")
        if self._response_id is ABSENT:
            self._response_id = response.get("id")
        elif response.get("id") != self._response_id:
            self._say(
                "response_id", f"{short(self._response_id)} became {short(response.get('id'))} in {name}"
            )
        status = response.get("status")
        if not _is_one_of(status, STATUSES_OF[name]):
            self._say("response_status", f"{name} with status {short(status)}")
        if name in OPENING:
            if response.get("output"):
                self._say("opening_output", f"response.output is {short(response.get('output'))} in {name}")
        else:
            self._judge_terminal(name, response)

    def _judge_terminal(self, name: str, response: dict[str, Any]) -> None:
        self._terminal = name
        details = response.get("incomplete_details")
        if name == INCOMPLETE and details is not None and type(member(details, "reason")) is not str:
            self._say(
                "incomplete_reason", f"incomplete_details is {short(response.get('incomplete_details'))}"
            )
        if name == FAILED and not all(
            type(member(response, "error", key)) is str for key in ("code", "message")
        ):
            self._say("failed_error", f"response.error is {short(response.get('error'))}")
        output = response.get("output")
        open_items = [
            index
            for index, item in self._items.items()
            if item.final is None and not (item.kind.acts and (name == FAILED or _is_cut(output, index)))
        ]
        if open_items:
            self._say("items_closed", f"items {open_items} are open at {name}")
        finals = [item.final for item in self._items.values()]
        last = finals[-1] if finals else None
        if name == COMPLETED and last is not None and last.get("status") == "incomplete":
            self._say("incomplete_item", "response.completed after an incomplete item")
        if type(output) is not list:
            return  # a broken rule of its own: response_fields
        if len(output) != len(finals):
            self._say("terminal_output", f"{len(output)} items in response.output, {len(finals)} streamed")
            return
        for index, (final, streamed) in enumerate(zip(output, finals, strict=True)):
            difference = (
                None if streamed is None else _difference(_with_final_arguments(streamed, final), final)
            )
            if difference is not None:
                self._say("terminal_output", f"output[{index}]{difference}")

    # items

    def _judge_item_added(self, body: dict[str, Any]) -> None:
        index, item = body["output_index"], body["item"]
        if index != len(self._items):
            self._say("output_index", f"item {len(self._items)} is added with index {index}")
            if index in self._items:
                return
        kind = item_kind(item.get("type"))
        self._items[index] = _Item(item, kind)
        if type(item.get("type")) is not str:
            self._say("item_fields", f"item.type is {short(item.get('type'))}")
        self._judge_item_id(item.get("id", ABSENT))
        if has_call_id(str(item.get("type"))):
            self._judge_call_id(item.get("call_id"))
        for key in kind.required:
            if type(item.get(key)) is not str or (item[key] == "" and key != _LABEL):
                self._say("item_fields", f"{kind.type}.{key} is {short(item.get(key, ABSENT))} when added")
        self._judge_item_shape(item, kind)
        if kind.type in _DONE_STATUSES_OF and item.get("status", "in_progress") not in (
            "in_progress",
            None,
        ):
            self._say("item_status", f"{kind.type} is added with status {short(item['status'])}")
        growing = (
            ["content"] * bool(kind.parts)
            + ["summary"] * kind.summaries
            + [run.field for run in (kind.run,) if run]
        )
        for key in growing:
            if item.get(key):
                self._say("opened_empty", f"{kind.type}.{key} is {short(item[key])} when added")

    def _judge_item_id(self, id_: object) -> None:
        if type(id_) is not str or not id_:
            self._say("item_id", f"item.id is {short(id_)}")
        elif id_ in self._ids:
            self._say("item_id", f"item.id {id_!r} is another item's")
        else:
            self._ids.add(id_)

    def _judge_call_id(self, call_id: object) -> None:
        if type(call_id) is str and call_id in self._call_ids:
            self._say("call_id", f"call_id {call_id!r} is another call's")
        elif type(call_id) is str:
            self._call_ids.add(call_id)

    def _judge_item_shape(self, item: dict[str, Any], kind: ItemKind) -> None:
        for key, expected in _ITEM_FIELDS.get(kind.type, {}).items():
            if not _is_kind(item.get(key, ABSENT), expected):
                self._say("item_fields", f"{kind.type}.{key} is {short(item.get(key, ABSENT))}")
        if kind is REASONING and type(item.get("content", [])) is not list:
            self._say("item_fields", f"{kind.type}.content is {short(item['content'])}")
        if self._dialect == _OPEN_RESPONSES:
            for detail in unknown_in_item(item):
                self._say("open_responses_fields", detail)

    def _judge_item_event(self, name: str, body: dict[str, Any]) -> None:
        index = body["output_index"]
        item = self._items.get(index)
        if item is None or item.final is not None:
            self._say(
                "item_open", f"{name} for item {index}, that is {'not added' if item is None else 'done'}"
            )
            return
        if name == ITEM_DONE:
            self._judge_item_done(item, body["item"])
            return
        if "item_id" in body and body["item_id"] != item.added.get("id"):
            self._say(
                "item_id_match",
                f"{name} has {short(body['item_id'])}, item {index} {short(item.added.get('id'))}",
            )
        kind = KIND_OF_EVENT.get(name, item.kind)
        if kind is not item.kind:
            self._say("item_type", f"{name} for an item of type {item.kind.type}")
        elif name in PART_EVENTS:
            self._judge_part_event(name, body, item, item.parts, body["content_index"])
        elif name in SUMMARY_EVENTS:
            self._judge_part_event(name, body, item, item.summaries, body["summary_index"])
        elif name in RUN_OF_DELTA or name in RUN_OF_DONE:
            self._judge_text(name, body, item.text)
        else:
            self._judge_progress(name, item)

    def _judge_progress(self, name: str, item: _Item) -> None:
        order = (*item.kind.progress, *item.kind.finish)
        if name in order:
            place = order.index(name)
            again = place == item.progress and name != "response.mcp_call.in_progress"
            if place < item.progress or again:
                self._say("progress_order", f"{name} after {order[item.progress]}")
            item.progress = place

    def _judge_item_done(self, item: _Item, final: dict[str, Any]) -> None:
        item.final = final
        kind = item.kind
        for key in _IDENTITY:
            if final.get(key) != item.added.get(key) and not (key == "call_id" and kind.type == _TOOL_SEARCH):
                self._say(
                    "item_identity", f"{key} {short(item.added.get(key))} became {short(final.get(key))}"
                )
        self._judge_item_shape(final, kind)
        status, allowed = final.get("status"), _DONE_STATUSES_OF.get(kind.type)
        if allowed is not None and not _is_one_of(status, allowed) and not _is_for_program(final):
            self._say("item_status", f"{kind.type} is done with status {short(status)}")
        if item.has_open_part():
            self._say("parts_closed", f"item {short(final.get('id'))} is done before its parts")
        if kind.parts:
            self._judge_done_parts("content", item.parts, final.get("content"))
        if kind.summaries:
            self._judge_done_parts("summary", item.summaries, final.get("summary"))
        run = kind.run
        if run is not None and (item.text.has_begun or run is not MCP_ARGUMENTS):
            if item.text.done is None:
                self._say("text_done", f"item {short(final.get('id'))} is done without {run.done}")
            if final.get(run.field) != item.text.whole:
                self._say(
                    "item_content",
                    f"{run.field} is {short(final.get(run.field))}, streamed {short(item.text.whole)}",
                )

    def _judge_done_parts(self, key: str, streamed: Mapping[int, _Part], final: Any) -> None:
        parts = [] if final is None else final
        if type(parts) is not list:
            return  # item_fields says so
        if len(parts) != len(streamed):
            self._say("item_content", f"{key} is {short(final)}, streamed {len(streamed)} parts")
            return
        for index, (part, known) in enumerate(zip(parts, streamed.values(), strict=True)):
            difference = _difference(known.as_streamed(), part)
            if difference is not None:
                self._say("item_content", f"{key}[{index}]{difference}")

    # parts and texts

    def _judge_part_event(
        self, name: str, body: dict[str, Any], item: _Item, parts: dict[int, _Part], index: int
    ) -> None:
        if name in (PART_ADDED, SUMMARY_ADDED):
            self._judge_part_added(name, body["part"], item, parts, index)
            return
        part = parts.get(index)
        if part is None or part.final is not None:
            self._say(
                "part_open", f"{name} for part {index}, that is {'not added' if part is None else 'done'}"
            )
            return
        if name in (PART_DONE, SUMMARY_DONE):
            self._judge_part_done(body["part"], part)
            return
        run = RUN_OF_PART.get(part.type)
        if name == ANNOTATION_ADDED:
            part.annotations.append(body.get("annotation"))
        elif run is None or name not in (run.delta, run.done):
            self._say("part_type", f"{name} for a part of type {part.type}")
            return
        if name in (OUTPUT_TEXT.delta, OUTPUT_TEXT.done):
            self._judge_logprobs(body.get("logprobs"), whole=self._dialect == _OPEN_RESPONSES)
        self._judge_text(name, body, part.text)

    def _judge_logprobs(self, logprobs: Any, *, whole: bool) -> None:
        if logprobs is not None and not (
            type(logprobs) is list and all(_is_logprob(one, whole=whole) for one in logprobs)
        ):
            self._say("logprobs", f"logprobs is {short(logprobs)}")

    def _judge_part_added(
        self, name: str, body: dict[str, Any], item: _Item, parts: dict[int, _Part], index: int
    ) -> None:
        if index != len(parts):
            rule = "content_index" if parts is item.parts else "summary_index"
            self._say(rule, f"part {len(parts)} is added with index {index}")
            if index in parts:
                return
        if item.has_open_part():
            self._say("parts_overlap", f"{name} {index} while another part is open")
        type_ = body.get("type")
        allowed = item.kind.parts if name == PART_ADDED else (SUMMARY_TEXT.part_type,)
        if type_ not in allowed:
            self._say(
                "part_type", f"{name} with a part of type {short(type_)} in an item of type {item.kind.type}"
            )
        part = _Part(type_ if isinstance(type_, str) else "")
        parts[index] = part
        run = self._judge_part_shape(body, part)
        if run is not None and (body[run.field] or body.get("annotations")):
            self._say("opened_empty", f"{name} with {short(body)}")

    def _judge_part_shape(self, body: dict[str, Any], part: _Part) -> TextRun | None:
        """Judge the fields of a part; return what text it has, if that can be judged further."""
        for key, kind in _PART_FIELDS.get(part.type, {}).items():
            if not _is_kind(body.get(key, ABSENT), kind):
                self._say("part_fields", f"{part.type}.{key} is {short(body.get(key, ABSENT))}")
                return None
        if part.type == OUTPUT_TEXT.part_type:
            self._judge_logprobs(body.get("logprobs"), whole=True)
        return RUN_OF_PART.get(part.type)

    def _judge_part_done(self, body: dict[str, Any], part: _Part) -> None:
        part.final = body
        if body.get("type") != part.type:
            self._say("part_type", f"part of type {part.type} is done as {short(body.get('type'))}")
            return
        run = self._judge_part_shape(body, part)
        if run is None:
            return
        if part.text.done is None:
            self._say("text_done", f"the part is done without {run.done}")
        if body[run.field] != part.text.whole:
            self._say(
                "part_text", f"{run.field} is {short(body[run.field])}, streamed {short(part.text.whole)}"
            )
        if body.get("annotations", []) != part.annotations:
            self._say("annotations", f"{short(body.get('annotations'))}, streamed {short(part.annotations)}")

    def _judge_text(self, name: str, body: dict[str, Any], text: _Text) -> None:
        if text.done is not None:
            self._say("text_after_done", f"{name} after the done event of its text")
        elif name in RUN_OF_DELTA:
            text.pieces.append(body["delta"])
        elif name in RUN_OF_DONE:
            value, total = body[RUN_OF_DONE[name].done_field], text.whole
            text.done = value
            if value != total:
                self._say("text_sum", f"{name} says {short(value)}, the deltas {short(total)}")


def _nested_numbers(body: dict[str, Any]) -> Iterator[Any]:
    """Yield every ``sequence_number`` below the top level, in the places where items and parts are."""
    below = [body.get(key) for key in _STRUCTURE]
    while below:
        value = below.pop()
        if type(value) is list:
            below += value
        elif type(value) is dict:
            if "sequence_number" in value:
                yield value["sequence_number"]
            below += [value.get(key) for key in _STRUCTURE]


def _with_final_arguments(streamed: dict[str, Any], final: Any) -> dict[str, Any]:
    """Return an item as streamed, with the final arguments if they continue streamed ones that are not JSON."""
    run = item_kind(streamed.get("type")).run
    if run is None or type(final) is not dict or type(final.get(run.field)) is not str:
        return streamed
    begun, whole = streamed.get(run.field), final[run.field]
    if (
        type(begun) is not str
        or not whole.startswith(begun)
        or strict_json(begun.encode("utf-8", "replace")) is not ABSENT
    ):
        return streamed
    return {**streamed, run.field: whole}


def _difference(streamed: Any, final: Any) -> str | None:
    """Return where and how ``final`` contradicts what was streamed; None if it agrees, or only adds to it."""
    if type(streamed) is list and type(final) is list and len(streamed) == len(final):
        for index, (old, new) in enumerate(zip(streamed, final, strict=True)):
            difference = _difference(old, new)
            if difference is not None:
                return f"[{index}]{difference}"
        return None
    if type(streamed) is dict and type(final) is dict:
        for key in {**streamed, **final}:
            old, new = streamed.get(key), final.get(key)
            if key in _DIFFER_AT_OPENAI or (key == "call_id" and streamed.get("type") == _TOOL_SEARCH):
                continue
            if old in _NOTHING and (new in _NOTHING or key not in _NOT_ADDED_LATER):
                continue
            difference = _difference(old, new)
            if difference is not None:
                return f".{key}{difference}"
        return None
    return None if streamed == final else f" is {short(final)}, streamed {short(streamed)}"


def _is_logprob(logprob: Any, *, whole: bool) -> bool:
    if not _is_token(logprob, whole=whole):
        return False
    others = logprob.get("top_logprobs", [] if not whole else None)
    return type(others) is list and all(_is_token(other, whole=whole) for other in others)


def _is_token(logprob: Any, *, whole: bool) -> bool:
    if type(logprob) is not dict or type(logprob.get("token")) is not str:
        return False
    return type(logprob.get("logprob")) in (int, float) and (not whole or type(logprob.get("bytes")) is list)


def _is_kind(value: object, kind: Kind) -> bool:
    return type(value) is _JSON_TYPES[kind] and (kind is not Kind.INDEX or value >= 0)  # type: ignore[operator]


def _is_one_of(value: object, names: AbstractSet[str | None] | AbstractSet[str]) -> bool:
    return (value is None or isinstance(value, str)) and value in names


def _is_for_program(item: dict[str, Any]) -> bool:
    """Return whether a program that OpenAI runs has made the call: such a call is done while it is in progress."""
    return type(item.get("caller")) is dict and item.get("status") == "in_progress"


def _is_cut(output: object, index: int) -> bool:
    """Return whether an item of the final output says that it is incomplete."""
    return type(output) is list and index < len(output) and member(output[index], "status") == "incomplete"
