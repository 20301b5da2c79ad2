"""The judge of Anthropic message streams: says where one breaks the protocol. It repairs nothing.

Sources of the rules: the types of anthropic-python, the accumulators of its ``MessageStream`` and of the TypeScript SDK's, the
schemas of the AI SDK, and what Claude Code was seen to do with streams that differ. Members that are unknown pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from vllm_sse_proxy.families.judging import (
    ABSENT,
    DONE,
    JsonState,
    StreamJudge,
    Violation,
    is_count,
    is_given,
    is_one_of,
    json_state,
    judge_body,
    member,
    short,
    strict_json,
)
from vllm_sse_proxy.families.markup import (
    CALL_MARKERS,
    HARMONY_MARKERS,
    first_marker,
    left_opening,
    left_tag,
)
from vllm_sse_proxy.families.messages.grammar import (
    BLOCK_DELTA,
    BLOCK_START,
    BLOCK_STOP,
    BLOCKS,
    CUT_REASONS,
    DELTA_MEMBERS,
    END_TURN,
    ERROR,
    ERROR_TYPES,
    EVENTS,
    MESSAGE_DELTA,
    MESSAGE_START,
    MESSAGE_STOP,
    PING,
    SIGNATURE_DELTA,
    STOP_REASONS,
    STOP_SEQUENCE,
    TEXT,
    THINKING,
    TOOL_USE,
)

RULES: Final[dict[str, str]] = {
    # framing
    "frame_shape": "A frame is comments, an `event:` and a `data:` line, or both, with LF ends and a blank line behind.",
    "done_marker": "No `data: [DONE]` comes.",
    "json": "The data of every frame is one line of strict JSON (UTF-8, no NaN) that holds an object.",
    "event_type": "Every event has a `type` that Anthropic's SDKs know.",
    "event_line": "The `event:` line equals the `type` in the data.",
    # the message
    "start_first": "The first event is `message_start`, or `error`.",
    "start_once": "`message_start` comes once.",
    "message_fields": "`message` has `id` (not empty), `model` and `content`, an empty list.",
    "message_role": '`message` has `type` "message" and `role` "assistant".',
    "message_usage": "`message.usage` has the counts `input_tokens` and `output_tokens`.",
    "message_stops": "`message` has `stop_reason` and `stop_sequence`, both null.",
    # blocks
    "block_index": "Blocks are started with `index` 0, 1, 2…",
    "block_open": "A delta and a stop are for the block that is open.",
    "block_overlap": "A block is started only after the one before it is stopped.",
    "block_fields": "A block is of a known type and has its members, of their JSON types, ids and names not empty.",
    "block_signature": "A `thinking` block starts with `signature`, a string.",
    "opened_empty": "A block that grows by deltas is empty when it starts.",
    "delta_kind": "A delta is of a type that fits its block.",
    "delta_fields": "A delta has the member of its type, a string.",
    "thinking_end": "A `thinking` block that stops has one `signature_delta`, as its last.",
    # calls
    "call_id": "No two calls have the same id.",
    "call_name": 'A call names a tool of the request; with `tool_choice` "tool", that one.',
    "call_unasked": 'No call comes where the request has no tools, or `tool_choice` is "none".',
    "forced_call": 'With `tool_choice` "any" or "tool", a message that is not cut has a call.',
    "input_cut": "The input of a call has its end, unless the message was cut (`max_tokens`, an error before its stop).",
    "input_excess": "Nothing follows the end of a call's input.",
    "input_json": "The input of a call is a JSON object, or nothing.",
    "input_required": "Where a tool requires arguments, the input of its call is not empty.",
    # the end
    "message_delta": "`message_delta` comes once, after the last block is stopped and before `message_stop`.",
    "stop_reason": "`delta.stop_reason` is one of Anthropic's values, and not null.",
    "stop_reason_calls": "`tool_use` comes if and only if there are calls, unless the message was cut or hit a stop sequence.",
    "stop_sequence": "`delta` has `stop_sequence`: the string if that is the reason, else null.",
    "usage": "`message_delta.usage` has the count `output_tokens`, its other counts are counts or null, and none falls.",
    "end": "The stream ends with `message_stop` or an error.",
    "after_end": "Nothing follows `message_stop` or an error.",
    "error_shape": "An error has `error.type`, one of Anthropic's, and `error.message`, not empty.",
    "stop_before_error": "An error does not follow a `content_block_stop`: clients would take the cut block for whole.",
    # texts
    "call_markup": "The text of a request with tools holds no markup of calls; none holds tokens of harmony.",
    "thought_markup": "Text holds no tag of thinking, unless it mentions one, and thinking does not begin with one.",
    "stop_string": "Text does not hold a stop sequence of the request.",
}
"""Every rule by its name."""

MINOR: Final = frozenset({"input_required", "thought_markup"})
"""Rules that Anthropic's types and helpers let pass; see ``families.judging``."""

CONTENT: Final = frozenset(
    {
        "call_name",
        "call_unasked",
        "forced_call",
        "input_json",
        "input_required",
        "call_markup",
        "thought_markup",
        "stop_string",
    }
)
"""Rules about what the model wrote: a breach may be its own doing, and mostly no repair may change it."""

_FRAME: Final = re.compile(
    rb"(?:(?::[^\r\n]*\n)*event: [^\r\n]+\ndata: [^\r\n]+(?:\n:[^\r\n]*)*)|data: \[DONE\]|(?::[^\r\n]*)(?:\n:[^\r\n]*)*"
)
_START_COUNTS: Final = ("input_tokens", "output_tokens")
_COUNTS: Final = (*_START_COUNTS, "cache_creation_input_tokens", "cache_read_input_tokens")
_INPUT_RULES: Final = {
    JsonState.CUT: "input_cut",
    JsonState.EXCESS: "input_excess",
    JsonState.VALUE: "input_json",
    JsonState.BROKEN: "input_json",
}


@dataclass(frozen=True, slots=True)
class _Request:
    """What a request says of its stream; a member is None where that is not known."""

    tools: dict[str, bool] | None = None
    """By name: whether the tool requires arguments."""
    choice: str | None = None
    """``auto``, ``any``, ``tool`` or ``none``."""
    named: str | None = None
    stops: tuple[str, ...] = ()

    @property
    def may_call(self) -> bool:
        """Whether calls may come, as far as that is known."""
        return self.choice != "none" and self.tools != {}


def _read_request(body: object) -> _Request:
    """Read a request body as it was sent: any value is taken, what makes no sense is as good as left out."""
    if not isinstance(body, dict):
        return _Request()
    choice, stops = body.get("tool_choice"), body.get("stop_sequences")
    kind, name = member(choice, "type"), member(choice, "name")
    known = isinstance(kind, str) and kind in ("auto", "any", "tool", "none")
    return _Request(
        tools=_read_tools(body.get("tools")),
        choice=kind if known else "auto",
        named=name if kind == "tool" and isinstance(name, str) else None,
        stops=tuple(text for text in stops if isinstance(text, str) and text)
        if isinstance(stops, list)
        else (),
    )


def _read_tools(tools: object) -> dict[str, bool] | None:
    if not isinstance(tools, list):
        return {}
    named = [(member(tool, "name"), member(tool, "input_schema", "required")) for tool in tools]
    names = {
        name: isinstance(needed, list) and bool(needed) for name, needed in named if isinstance(name, str)
    }
    return names if len(named) == sum(isinstance(name, str) for name, _ in named) else None


def check_stream(stream: bytes, *, request: object = None) -> list[Violation]:
    """Judge a whole body, its frames included. Never raises.

    :param request: the decoded body of the request, None if it is not known. It shows which tools and stop sequences may
        and must be there.
    """
    return judge_body(stream, ConformanceChecker(request=request), _FRAME)


@dataclass(slots=True)
class _Block:
    """A block from its start on."""

    index: int
    type: str
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    """Its text, thinking or input."""
    signatures: int = 0
    signed_last: bool = False
    stopped: bool = False


class ConformanceChecker(StreamJudge):
    """Judge one stream of message events."""

    def __init__(self, *, request: object = None) -> None:
        super().__init__()
        self._request = _read_request(request)
        self._begun = False
        self._started = False
        self._end: str | None = None
        self._blocks: list[_Block] = []
        self._ids: set[str] = set()
        self._counts: dict[str, int] = {}
        self._delta = False
        self._last = ""
        """The type of the last event that was not a ping."""

    def _judge(self, event_name: str | None, data: bytes) -> None:
        if data == DONE:
            self._say("done_marker", "[DONE]")
            return
        body = strict_json(data)
        if type(body) is not dict:
            self._say("json", f"the data is {short(data)}")
            return
        type_ = body.get("type", ABSENT)
        if not isinstance(type_, str) or type_ not in EVENTS:
            self._say("event_type", f"type is {short(type_)}")
            return
        if event_name != type_:
            self._say("event_line", f"the line says {short(event_name)}, the data {short(type_)}")
        if self._end is not None:
            self._say("after_end", f"{type_} after {self._end}")
            return
        self._judge_event(type_, body)
        if type_ != PING:
            self._last = type_

    def _judge_end(self) -> None:
        if self._end is None:
            self._say("end", "the stream ended without message_stop or an error")
            self._judge_inputs(may_be_cut=True)

    def _judge_event(self, type_: str, body: dict[str, Any]) -> None:
        if not self._begun and type_ not in (MESSAGE_START, ERROR):
            self._say("start_first", f"the first event is {type_}")
        self._begun = True
        if self._delta and type_ not in (PING, MESSAGE_STOP, ERROR):
            self._say("message_delta", f"{type_} after message_delta")
        if type_ == MESSAGE_START:
            self._judge_start(body)
        elif type_ == BLOCK_START:
            self._judge_block_start(body)
        elif type_ in (BLOCK_DELTA, BLOCK_STOP):
            self._judge_block_event(type_, body)
        elif type_ == MESSAGE_DELTA:
            self._judge_message_delta(body)
        elif type_ == MESSAGE_STOP:
            self._judge_stop()
        elif type_ == ERROR:
            self._judge_error(body)

    # the message

    def _judge_start(self, body: dict[str, Any]) -> None:
        if self._started:
            self._say("start_once", "a second message_start")
            return
        self._started = True
        message = body.get("message", ABSENT)
        id_, content, model = (member(message, key) for key in ("id", "content", "model"))
        if not (isinstance(id_, str) and id_ and isinstance(model, str) and content == []):
            self._say("message_fields", f"id is {short(id_)}, model {short(model)}, content {short(content)}")
        if member(message, "type") != "message" or member(message, "role") != "assistant":
            self._say(
                "message_role",
                f"type is {short(member(message, 'type'))}, role {short(member(message, 'role'))}",
            )
        if not all(member(message, key) is None for key in ("stop_reason", "stop_sequence")):
            self._say("message_stops", f"message is {short(message)}")
        usage = member(message, "usage")
        if not all(is_count(member(usage, key)) for key in _START_COUNTS) or not _are_counts(usage):
            self._say("message_usage", f"usage is {short(usage)}")
        self._keep_counts(usage)

    def _keep_counts(self, usage: object) -> None:
        for key in _COUNTS:
            count = member(usage, key)
            if is_count(count):
                self._counts[key] = count

    # blocks

    def _judge_block_start(self, body: dict[str, Any]) -> None:
        index, content = body.get("index", ABSENT), body.get("content_block", ABSENT)
        if index != len(self._blocks) or type(index) is not int:
            self._say("block_index", f"block {len(self._blocks)} is started with index {short(index)}")
        if self._blocks and not self._blocks[-1].stopped:
            self._say(
                "block_overlap", f"block {len(self._blocks)} is started while {len(self._blocks) - 1} is open"
            )
        type_, name = member(content, "type"), member(content, "name")
        block = _Block(
            index if type(index) is int else len(self._blocks),
            type_ if isinstance(type_, str) else "",
            name if isinstance(name, str) else "",
        )
        self._blocks.append(block)
        self._judge_content(content, block)

    def _judge_content(self, content: object, block: _Block) -> None:
        kind = BLOCKS.get(block.type)
        if kind is None:
            self._say("block_fields", f"content_block is {short(content)}")
            return
        wrong = next(
            (key for key in kind.strings if not _is_text(content, key, empty=key == kind.grows)), None
        )
        if wrong is None and kind.inputs and not isinstance(member(content, "input"), dict):
            wrong = "input"
        if wrong is not None:
            self._say("block_fields", f"{wrong} of {block.type} is {short(member(content, wrong))}")
        elif (kind.grows is not None and member(content, kind.grows)) or (
            kind.inputs and member(content, "input")
        ):
            self._say("opened_empty", f"content_block is {short(content)}")
        if block.type == THINKING and not isinstance(member(content, "signature"), str):
            self._say("block_signature", f"signature is {short(member(content, 'signature'))}")
        if block.type == TOOL_USE:
            self._judge_call(member(content, "id"), block.name)

    def _judge_call(self, id_: object, name: str) -> None:
        request = self._request
        if isinstance(id_, str) and id_:
            if id_ in self._ids:
                self._say("call_id", f"a second call has the id {short(id_)}")
            self._ids.add(id_)
        if request.named is not None and name != request.named:
            self._say("call_name", f"{short(name)} is called instead of {short(request.named)}")
        elif request.tools and name not in request.tools:
            self._say("call_name", f"{short(name)} is called, which is not a tool of the request")
        if not request.may_call:
            self._say("call_unasked", f"{short(name)} is called, and the request wants no calls")

    def _judge_block_event(self, type_: str, body: dict[str, Any]) -> None:
        index = body.get("index", ABSENT)
        block = self._blocks[-1] if self._blocks else None
        if block is None or block.stopped or type(index) is not int or index != block.index:
            standing = "none" if block is None or block.stopped else str(block.index)
            self._say("block_open", f"{type_} for block {short(index)}; open is {standing}")
        elif type_ == BLOCK_STOP:
            self._judge_block_stop(block)
        else:
            self._judge_delta(body.get("delta", ABSENT), block)

    def _judge_delta(self, delta: object, block: _Block) -> None:
        type_ = member(delta, "type")
        kind = BLOCKS.get(block.type)
        if kind is not None and not (isinstance(type_, str) and type_ in kind.deltas):
            self._say("delta_kind", f"{short(type_)} in a block of type {block.type}")
            return
        key = DELTA_MEMBERS.get(type_) if isinstance(type_, str) else None
        text = member(delta, key) if key is not None else ""
        if not isinstance(text, str):
            self._say("delta_fields", f"{key} is {short(text)}")
        elif type_ == SIGNATURE_DELTA:
            block.signatures += 1
        else:
            block.pieces.append(text)
        block.signed_last = type_ == SIGNATURE_DELTA

    def _judge_block_stop(self, block: _Block) -> None:
        block.stopped = True
        if block.type == THINKING and not (block.signatures == 1 and block.signed_last):
            self._say("thinking_end", f"block {block.index} has {block.signatures} signatures")

    # the end

    def _judge_message_delta(self, body: dict[str, Any]) -> None:
        if self._delta:
            return  # said by _judge_event
        self._delta = True
        if self._blocks and not self._blocks[-1].stopped:
            self._say("message_delta", f"it comes while block {self._blocks[-1].index} is open")
        delta, usage = body.get("delta", ABSENT), body.get("usage", ABSENT)
        reason = member(delta, "stop_reason")
        if not is_one_of(reason, STOP_REASONS):
            self._say("stop_reason", f"stop_reason is {short(reason)}")
        self._judge_stop_sequence(reason, member(delta, "stop_sequence"))
        self._judge_usage(usage)
        cut = is_one_of(reason, CUT_REASONS)
        self._judge_inputs(may_be_cut=cut)
        self._judge_reason(reason, cut=cut)
        self._judge_texts()

    def _judge_stop_sequence(self, reason: object, sequence: object) -> None:
        if reason == STOP_SEQUENCE:
            if not isinstance(sequence, str) or (self._request.stops and sequence not in self._request.stops):
                self._say("stop_sequence", f"stop_sequence is {short(sequence)}")
        elif sequence is not None:
            self._say(
                "stop_sequence", f"stop_sequence is {short(sequence)}, and the reason is {short(reason)}"
            )

    def _judge_usage(self, usage: object) -> None:
        if not is_count(member(usage, "output_tokens")) or not _are_counts(usage):
            self._say("usage", f"usage is {short(usage)}")
            return
        for key, before in self._counts.items():
            count = member(usage, key)
            if is_count(count) and count < before:
                self._say("usage", f"{key} was {before}, now {count}")

    def _judge_inputs(self, *, may_be_cut: bool) -> None:
        """Judge the input of every call.

        :param may_be_cut: whether the last block may lack its end.
        """
        for block in self._blocks:
            if block.type != TOOL_USE:
                continue
            text = "".join(block.pieces)
            state = json_state(text)
            rule = _INPUT_RULES.get(state)
            cut = may_be_cut and block is self._blocks[-1]
            if rule is not None and not (cut and state is JsonState.CUT):
                self._say(rule, f"the input of {short(block.name)} is {state.value}: {short(text)}")
            elif not cut and text.strip() in ("", "{}") and (self._request.tools or {}).get(block.name):
                self._say("input_required", f"the input of {short(block.name)} is {short(text)}")

    def _judge_reason(self, reason: object, *, cut: bool) -> None:
        calls = any(block.type == TOOL_USE for block in self._blocks)
        if reason == TOOL_USE and not calls:
            self._say("stop_reason_calls", "tool_use, and there is no call")
        elif reason == END_TURN and calls:
            self._say("stop_reason_calls", "end_turn, and there is a call")
        if (
            self._request.choice in ("any", "tool")
            and not calls
            and not cut
            and is_one_of(reason, STOP_REASONS)
        ):
            self._say("forced_call", "there is no call, though it is forced")

    def _judge_texts(self) -> None:
        text, thoughts = "\n".join(self._texts(TEXT)), self._texts(THINKING)
        stop = first_marker(text, self._request.stops)
        if stop is not None:
            self._say("stop_string", f"the text holds {short(stop)}")
        markers = (
            (*CALL_MARKERS, *HARMONY_MARKERS)
            if self._request.tools and self._request.may_call
            else HARMONY_MARKERS
        )
        marker = first_marker(text, markers)
        if marker is not None:
            self._say("call_markup", f"the text holds {marker}")
        thought = left_tag(text) if any(thoughts) else None
        begun = next((one for one in thoughts if left_opening(one) > 0), None)
        if thought is not None:
            self._say("thought_markup", f"the text holds {thought}")
        elif begun is not None:
            self._say("thought_markup", f"the thinking begins with {short(begun.lstrip()[:12])}")

    def _texts(self, type_: str) -> list[str]:
        """Return the texts of all blocks of a type."""
        return ["".join(block.pieces) for block in self._blocks if block.type == type_]

    def _judge_stop(self) -> None:
        self._end = MESSAGE_STOP
        if not self._delta:
            self._say("message_delta", "message_stop comes without it")

    def _judge_error(self, body: dict[str, Any]) -> None:
        self._end = ERROR
        error = body.get("error", ABSENT)
        message = member(error, "message")
        if not is_one_of(member(error, "type"), ERROR_TYPES) or not isinstance(message, str) or not message:
            self._say("error_shape", f"error is {short(error)}")
        if self._last == BLOCK_STOP:
            self._say("stop_before_error", "an error follows content_block_stop")
        if not self._delta:
            self._judge_inputs(may_be_cut=bool(self._blocks) and not self._blocks[-1].stopped)


def _are_counts(usage: object) -> bool:
    """Return whether every count in a usage object that is there is a count, or null."""
    return all(is_count(count) for key in _COUNTS if is_given(count := member(usage, key)))


def _is_text(content: object, key: str, *, empty: bool) -> bool:
    """Return whether a member is a string, and not empty if it must not be."""
    text = member(content, key)
    return isinstance(text, str) and (empty or bool(text))
