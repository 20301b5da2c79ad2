"""Every stream that the clients are run against: a defect or a framing, applied to conversations, and what to expect.

What to expect is always another stream: the same conversation as an API streams it that does everything right. A client
behaves well if it does with the broken stream what it does with that one.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.labs.clients import damage
from tests.labs.clients.conversations import (
    ERROR,
    Tool,
    broken_off,
    conversations,
    cut_at_name,
    failed,
    failed_unreported,
    incomplete,
    summarised,
)
from tests.support.goldens import load_goldens
from tests.support.streams import wire
from tests.support.upstream import Chunk, Cut, End, Head, Reset, Step, Wait, json_answer
from vllm_sse_proxy.sse import encode_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.labs.clients.conversations import Turn
    from tests.support.streams import Json

BOM = b"\xef\xbb\xbf"
CUT_AFTER = 3
"""Deltas that a stream holds before it breaks off: some of the answer, or some of the thought."""
CUT_ARGUMENTS_AFTER = 6
"""The same where a tool is called: the thought, and the arguments but for their end."""
UNTYPED_ERROR: Json = {
    "error": {"message": ERROR["message"], "type": "InternalServerError", "param": None, "code": 500}
}


@dataclass(frozen=True)
class Scenario:
    """One broken conversation.

    :ivar name: `ROW/CONVERSATION`; the rows are those of the table in the documents.
    :ivar reference: the name of the perfect stream that it is measured against.
    :ivar turns: what upstream answers to the first POST, and to that with the tool's output.
    :ivar stalls: the stream falls silent, so that a client may wait forever.
    :ivar reasoning: the proxy's setting, and what the user wants to see: `raw` or `summary`.
    :ivar tools: the functions that the client offers; without, the one of its own.
    :ivar says_why: upstream says why it fails.
    """

    row: str
    conversation: str
    reference: str
    turns: Sequence[tuple[Step, ...]]
    stalls: bool = False
    reasoning: str = "raw"
    tools: Sequence[Json] = ()
    says_why: bool = False

    @property
    def name(self) -> str:
        return f"{self.row}/{self.conversation}"


@dataclass(frozen=True)
class Row:
    """A row of the table: what is wrong, and how it is made."""

    name: str
    defects: str
    what: str
    damage: Callable[[Turn], Turn]
    on: tuple[str, ...] = field(default=())


def row_of(name: str, damage: Callable[[Turn], Turn], *on: str) -> Row:
    """Return the row of a damage whose docstring names the defects, then a colon, then what is wrong."""
    ids, _, what = (damage.__doc__ or "").partition(": ")
    return Row(name, ids.replace(",", ""), what.rstrip("."), damage, on)


def _row(name: str, defects_: str, damage: Callable[[Turn], Turn], *on: str) -> Row:
    what = (damage.__doc__ or "").strip().splitlines()[0]
    return Row(name, defects_, what.partition(": ")[2].rstrip("."), damage, on)


_MAIN = ("text", "reasoning", "tools")
_CALLS = ("tools", "parallel")
DAMAGES: tuple[Row, ...] = (
    _row("calls-as-text", "R03", damage.calls_as_text, *_CALLS),
    _row("calls-as-text-unproven", "R03 R04", damage.calls_as_text_unproven, *_CALLS),
    _row("final-empty", "R04", damage.empty_final_output, *_MAIN, "parallel"),
    _row("final-last-token", "R04", damage.last_token_is_final, "text", "reasoning"),
    _row("content-index-grows", "R05", damage.growing_content_index, *_MAIN),
    _row("content-index-not-reset", "R06", damage.content_index_not_reset, "reasoning", "preamble"),
    _row("done-index-ahead", "R07", damage.done_index_ahead, *_MAIN, "preamble"),
    _row("message-as-reasoning", "R08", damage.message_announced_as_reasoning, "reasoning", "preamble"),
    _row("announced-twice", "R08 R22", damage.repeated_announcements, *_MAIN),
    _row("last-not-closed", "R09 R11", damage.last_item_not_closed, *_MAIN),
    _row("item-done-missing", "R09", damage.only_item_done_missing, *_MAIN, "parallel"),
    _row("message-unsent", "R09 R10", damage.message_unsent, "text", "reasoning", "preamble"),
    _row("message-only-finished", "R09", damage.message_only_finished, "text", "reasoning"),
    _row("part-not-closed", "R09", damage.reasoning_part_not_closed, "reasoning", "tools"),
    _row("not-opened", "R09", damage.items_not_opened, *_MAIN),
    _row("deltas-only", "R09", damage.nothing_opened_or_closed, *_MAIN),
    _row("response-not-opened", "R09 F01", damage.response_not_opened, *_MAIN),
    _row("done-after-terminal", "R09", damage.done_after_terminal, *_MAIN),
    _row("message-other-id", "R08", damage.message_under_another_id, "text", "reasoning"),
    _row("end-only-final", "R09 R10", damage.end_only_final, "text", "reasoning"),
    _row("answer-under-reasoning", "R10", damage.answer_under_reasoning, "reasoning"),
    _row("end-only-in-done", "R10", damage.end_of_text_only_done, *_MAIN),
    _row("wrong-channel", "R10", damage.answer_in_reasoning_channel, "reasoning"),
    _row("final-ids-new", "R11", damage.new_final_ids, *_MAIN, "parallel"),
    _row("done-ids-new", "R11", damage.new_done_ids, *_MAIN, "parallel"),
    _row("call-ids-disagree", "R12 R14", damage.call_done_with_other_ids, *_CALLS),
    _row("call-as-previous", "R12", damage.call_announced_as_previous, *_CALLS),
    _row("arguments-only-done", "R12", damage.arguments_only_done, *_CALLS),
    _row("call-without-id", "R12", damage.call_without_id, *_CALLS),
    _row("call-without-status", "R12 R27", damage.call_status_missing, *_CALLS),
    _row("ids-empty", "R13", damage.empty_item_ids, *_MAIN),
    _row("index-ahead-no-ids", "R07 R13", damage.done_index_ahead_no_ids, *_MAIN),
    _row("nested-numbers", "R14 R31", damage.nested_numbers, *_CALLS),
    _row("reasoning-in-message", "R17", damage.reasoning_tail_in_message, "reasoning"),
    _row("reasoning-in-two", "R17", damage.reasoning_tail_as_message, "reasoning"),
    _row("wrong-type-first", "R18", damage.empty_first_delta, "reasoning"),
    _row("empty-reasoning", "R18", damage.empty_reasoning_item, "text"),
    _row("arguments-cut", "R19", damage.arguments_cut, *_CALLS),
    _row("calls-unsent", "R20", damage.calls_unsent, *_CALLS),
    _row("preamble-unsent", "R21", damage.preamble_unsent, "preamble"),
    _row("search-shares-index", "R22", damage.search_shares_index, "search"),
    _row("search-twice", "R22", damage.search_sent_twice, "search"),
    _row("python-as-reasoning", "R23", damage.python_is_reasoning_at_last, "python"),
    _row("private-parts", "R24", damage.private_part_names, "reasoning", "tools"),
    _row("reasoning-as-text-part", "R25", damage.reasoning_opened_as_text, "reasoning", "tools"),
    _row("schema-alias", "R26", damage.schema_alias, "text"),
    _row("poor-response", "R27", damage.poor_response, *_MAIN),
    _row("no-logprobs", "R28", damage.no_logprobs, "text"),
    _row("logprobs-not-done", "R28", damage.logprobs_not_done, "text"),
    _row("numbers-negative", "R31", damage.negative_numbers, *_MAIN),
    _row("numbers-missing", "R31", damage.no_numbers, *_MAIN),
    _row("numbers-repeat", "R31", damage.repeated_numbers, *_MAIN),
    _row("usage-poor", "R32", damage.usage_without_details, *_MAIN),
    _row("usage-null", "R32", damage.no_usage, "text"),
    _row("custom-input-again", "R33", damage.custom_input_again, "custom"),
    _row("namespace-in-name", "R50", damage.namespace_in_name, "namespaced"),
    _row("custom-as-function", "R51", damage.custom_as_function, "custom"),
    _row("call-repeated", "R52", damage.call_repeated, *_CALLS),
    _row("object-deltas", "F01", damage.object_deltas, *_MAIN),
    _row("part-list-deltas", "F01", damage.part_list_deltas, "text"),
    _row("fork-reasoning", "F01", damage.fork_reasoning, "reasoning", "tools"),
    _row("fork-bare-events", "F01", damage.fork_bare_events, "text", "reasoning"),
    _row("fork-call-objects", "F01", damage.fork_call_objects, *_CALLS),
    _row("fork-call-text", "F01", damage.fork_call_text, *_CALLS),
    _row("fork-call-slices", "F01", damage.fork_call_slices, "tools"),
    _row("fork-call-twice", "F01", damage.fork_call_twice, *_CALLS),
    _row("fork-arguments", "F01", damage.object_arguments, *_CALLS),
    _row("fork-doubled", "F01", damage.fork_doubled, "reasoning", "tools"),
    _row("annotation-no-index", "F01", damage.annotation_without_index, "cited"),
    _row("fork-pings", "F01", damage.fork_pings, *_MAIN),
    _row("fork-notices", "F01", damage.fork_notices, "text"),
    _row("no-ids", "F01", damage.no_ids, *_MAIN),
    _row("response-ids-new", "P02", damage.new_response_ids, *_MAIN),
    _row("two-terminals", "R34", damage.two_terminals, *_MAIN),
    _row("text-closed-empty", "R35", damage.text_closed_empty, "preamble", "blank"),
    _row("required-as-text", "R37", damage.required_calls_as_text, *_CALLS),
    _row("named-as-text", "R37", damage.named_call_as_text, "tools"),
    _row("blank-not-final", "R38", damage.blank_message_not_final, "blank"),
    _row("call-final-text", "R39", damage.call_is_text_at_last, *_CALLS),
    _row("text-final-reasoning", "R40", damage.message_is_reasoning_at_last, "text"),
    _row("call-final-reasoning", "R45", damage.calls_are_reasoning_at_last, "parallel", "afterword"),
    _row("final-white-space", "R46", damage.final_white_space, "text", "reasoning"),
    _row("mcp-renamed", "R47", damage.mcp_tool_renamed_at_last, "mcp"),
    _row("closed-as-message", "R49", damage.closed_as_empty_messages, *_CALLS),
    _row("reasoning-no-status", "R42", damage.final_reasoning_without_status, "reasoning", "tools"),
)


def numbered(turn: Turn) -> Turn:
    """Return the events with numbers; those that have one keep it, and null takes it away."""
    made = [{"sequence_number": number, **event} for number, event in enumerate(turn)]
    return [{k: v for k, v in event.items() if k != "sequence_number" or v is not None} for event in made]


def frames(turn: Turn) -> list[bytes]:
    """Return the frames of a turn, each with its blank line."""
    return [wire([event], done=False) for event in numbered(turn)]


def steps_of(turn: Turn) -> tuple[Step, ...]:
    """Script a turn: each frame in a send of its own, then a clean end without `[DONE]`, as OpenAI ends it."""
    return (Head(), *map(Chunk, frames(turn)), End())


def in_pieces(data: bytes, size: int) -> tuple[Step, ...]:
    """Return the steps that send a body in pieces of so many bytes."""
    return (Head(), *(Chunk(data[i : i + size]) for i in range(0, len(data), size)), End())


def _lines(turn: Turn, end: bytes) -> bytes:
    return b"".join(frames(turn)).replace(b"\n", end)


def _multi_line(turn: Turn) -> bytes:
    return b"".join(frame.replace(b',"', b',\ndata: "') for frame in frames(turn))


def _nameless(turn: Turn) -> bytes:
    return b"".join(frame.partition(b"\n")[2] for frame in frames(turn))


def _between(turn: Turn, data: bytes) -> bytes:
    return b"".join(data + frame for frame in frames(turn)) + data


def at_once(data: bytes) -> tuple[Step, ...]:
    """Return the steps that send a body in one piece."""
    return (Head(), Chunk(data), End())


FRAMINGS: tuple[tuple[str, str, str, Callable[[Turn], tuple[Step, ...]]], ...] = (
    ("perfect", "", "nothing: the stream is as it should be", steps_of),
    ("done-sentinel", "R30", "nothing: `[DONE]` follows", lambda t: (*steps_of(t)[:-1], Chunk(encode_data(b"[DONE]")), End())),
    ("byte-wise", "", "every byte comes in a packet of its own", lambda t: in_pieces(b"".join(frames(t)), 1)),
    ("one-packet", "", "the whole stream comes in one packet", lambda t: at_once(b"".join(frames(t)))),
    ("crlf", "", "lines end with CRLF", lambda t: at_once(_lines(t, b"\r\n"))),
    ("cr", "", "lines end with CR", lambda t: at_once(_lines(t, b"\r"))),
    ("multi-line", "", "JSON is spread over several `data:` lines", lambda t: at_once(_multi_line(t))),
    ("bom", "", "the stream begins with a byte order mark", lambda t: at_once(BOM + b"".join(frames(t)))),
    ("no-event-lines", "", "there are no `event:` lines", lambda t: at_once(_nameless(t))),
    ("comments", "R30", "comments stand between the events", lambda t: at_once(_between(t, b": ping\n\n"))),
    ("empty-events", "P01", "`event: ping` without data between events", lambda t: at_once(_between(t, b"event: ping\n\n"))),
    ("empty-objects", "P01", "`data: {}` between the events", lambda t: at_once(_between(t, b"data: {}\n\n"))),
    ("no-json", "P01", "a line of a log between the events", lambda t: at_once(_between(t, b"data: INFO 200 OK\n\n"))),
    ("no-last-blank-line", "", "the blank line after the last event is missing", lambda t: at_once(b"".join(frames(t))[:-1])),
    ("cut-after-terminal", "", "the terminal event came, the last HTTP chunk did not", lambda t: (*steps_of(t)[:-1], Cut())),
)  # fmt: skip
"""Name, defects, what is unusual, and the script. Not one of these is broken beyond what a client should bear."""


def _error_500(_: Turn) -> tuple[Step, ...]:
    return json_answer(UNTYPED_ERROR, status=500, reason="Internal Server Error")


def _ends(end: Step | None) -> Callable[[Turn], tuple[Step, ...]]:
    """Break off after some deltas, and then this."""

    def script(turn: Turn) -> tuple[Step, ...]:
        last = (Wait(asyncio.Event()),) if end is None else (end,)
        return (Head(), *map(Chunk, frames(broken_off(turn, _deltas(turn)))), *last)

    return script


def _cut_in_event(turn: Turn) -> tuple[Step, ...]:
    kept = frames(broken_off(turn, _deltas(turn) + 1))
    return (Head(), *map(Chunk, kept[:-1]), Chunk(kept[-1][:40]), Cut())


def _reports(*events: Json) -> Callable[[Turn], tuple[Step, ...]]:
    """Break off after some deltas with these events, and a clean end."""

    def script(turn: Turn) -> tuple[Step, ...]:
        kept = broken_off(turn, _deltas(turn))
        tail = frames([*kept, *events])[len(kept) :]
        return (Head(), *map(Chunk, frames(kept)), *map(Chunk, tail), End())

    return script


def _untyped_error(turn: Turn) -> tuple[Step, ...]:
    return (*_reports()(turn)[:-1], Chunk(encode_data(json.dumps(UNTYPED_ERROR).encode())), End())


_FAILED: Json = {
    "type": "response.failed",
    "response": {"id": "resp_1", "status": "failed", "error": {k: ERROR[k] for k in ("code", "message")}},
}
_FORK_ERROR: Json = {
    "type": "response.error",
    "response": {"id": "resp_1", "status": "failed"},
    "error": {"message": ERROR["message"], "type": "stream_validation_error", "code": 500},
}
_FLAT_ERROR: Json = {"type": "error", "code": "server_error", "message": ERROR["message"], "param": None}
FAILURES: tuple[tuple[str, str, str, Callable[[Turn], tuple[Step, ...]], tuple[str, ...]], ...] = (
    (
        "cut",
        "R01",
        "the connection is closed in the middle, without the last HTTP chunk",
        _ends(Cut()),
        _MAIN,
    ),
    ("cut-in-event", "R01", "the connection is closed in the middle of an event", _cut_in_event, ("text",)),
    ("ends", "R01", "the body ends cleanly in the middle", _ends(End()), _MAIN),
    ("reset", "R01", "the connection is reset in the middle", _ends(Reset()), ("text",)),
    ("silence", "R02 R34 R44", "upstream falls silent in the middle, forever", _ends(None), ("text",)),
    ("error-untyped", "C01 R29", "an error object without a type, and a clean end", _untyped_error, _MAIN),
    ("error-fork", "F01", "`response.error`, and a clean end", _reports(_FORK_ERROR), ("text",)),
    ("error-flat", "R29", "a flat `error` event, and a clean end", _reports(_FLAT_ERROR), ("text",)),
    ("failed-only", "R29", "`response.failed` alone, with a poor response", _reports(_FAILED), ("text",)),
)
"""Name, defects, what happens, the script, and on which conversations. Measured against a turn that fails as it should."""


def references(tool: Tool) -> dict[str, list[tuple[Step, ...]]]:
    """Return the perfect streams by name: the conversations, and their turns failed or incomplete as they should be."""
    whole = conversations(tool)
    made = {name: [steps_of(turn) for turn in turns] for name, turns in whole.items()}
    for name in _MAIN:
        made[f"{name} failed"] = [
            steps_of(failed(whole[name][0], _deltas(whole[name][0]))),
            *map(steps_of, whole[name][1:]),
        ]
        made[f"{name} incomplete"] = [
            steps_of(incomplete(_at_limit(whole[name][0]))),
            *map(steps_of, whole[name][1:]),
        ]
    for name in ("preamble", "tools"):
        made[f"{name} incomplete at its name"] = [
            steps_of(incomplete(cut_at_name(whole[name][0]))),
            *map(steps_of, whole[name][1:]),
        ]
    for name, turns in summarised(tool).items():
        made[f"{name} summarised"] = [steps_of(turn) for turn in turns]
    made["text failed-only"] = [steps_of(failed_unreported(whole["text"][0], CUT_AFTER))]
    made["error 502"] = [
        json_answer({"error": {**ERROR, "code": "upstream_error"}}, status=502, reason="Bad Gateway")
    ]
    made["error 500"] = [_error_500([])]
    for golden in load_goldens():
        if golden.reasoning == "raw":
            made[f"golden {golden.name}"] = [
                (Head(), Chunk(golden.expected), End()),
                steps_of(whole["text"][0]),
            ]
    return made


def _at_limit(turn: Turn) -> Turn:
    """Return the events of a turn up to where a limit cuts it."""
    return broken_off(turn, _deltas(turn))


def _deltas(turn: Turn) -> int:
    """Return where a turn is broken off."""
    has_call = any(item["type"] == "function_call" for item in turn[-1]["response"]["output"])
    return CUT_ARGUMENTS_AFTER if has_call else CUT_AFTER


def scenarios(tool: Tool) -> list[Scenario]:
    """Return every scenario, in the order of the table."""
    whole = conversations(tool)
    made = [
        Scenario(name, conversation, conversation, [script(turn) for turn in whole[conversation]])
        for name, _, _, script in FRAMINGS
        for conversation in (("text", "tools") if name in _FRAMINGS_OF_CALLS else ("text",))
    ]
    made += [_silent_after_terminal(whole)]
    for row in DAMAGES:
        for conversation in row.on:
            turns = [row.damage(turn) for turn in whole[conversation]]
            if turns == whole[conversation]:
                raise ValueError(f"{row.name} does nothing to {conversation}")
            made.append(Scenario(row.name, conversation, conversation, [steps_of(turn) for turn in turns]))
    for limit in LIMITS:
        for name in limit.on:
            first, *rest = whole[name]
            turns = [limit.damage(incomplete(limit.kept(first))), *rest]
            made.append(
                Scenario(limit.name, name, f"{name} {limit.reference}", [steps_of(turn) for turn in turns])
            )
    made += [
        Scenario(
            "summary-asked",
            name,
            f"{name} summarised",
            [steps_of(turn) for turn in whole[name]],
            reasoning="summary",
        )
        for name in summarised(tool)
    ]
    made += [
        Scenario(
            name, conversation, f"{conversation} {'failed-only' if name == 'failed-only' else 'failed'}",
            [script(whole[conversation][0]), *map(steps_of, whole[conversation][1:])], stalls=name == "silence",
            says_why=name in _SAYING_WHY,
        )
        for name, _, _, script, on in FAILURES
        for conversation in on
    ]  # fmt: skip
    made += [
        Scenario("empty-body", "text", "error 502", [(Head(), End())]),
        Scenario("empty-body-cut", "text", "error 502", [(Head(), Cut())]),
        Scenario("error-first", "text", "error 500", [at_once(encode_data(json.dumps(UNTYPED_ERROR).encode()))],
                 says_why=True),
        Scenario("http-error", "text", "error 500", [_error_500([])], says_why=True),
    ]  # fmt: skip
    made += [
        Scenario("recorded", golden.name, f"golden {golden.name}", [
            (Head(), Chunk(golden.upstream), Cut() if golden.end == "cut" else End()), steps_of(whole["text"][0]),
        ])
        for golden in load_goldens()
        if golden.reasoning == "raw"
    ]  # fmt: skip
    return made


@dataclass(frozen=True)
class Limit:
    """A row of responses that the token limit cut.

    :ivar kept: what comes of a turn before the limit; ``reference``: what the perfect stream is called.
    """

    name: str
    defects: str
    damage: Callable[[Turn], Turn]
    on: tuple[str, ...] = _MAIN
    kept: Callable[[Turn], Turn] = _at_limit
    reference: str = "incomplete"

    @property
    def what(self) -> str:
        return (self.damage.__doc__ or "").strip().partition(": ")[2].rstrip(".")


LIMITS: tuple[Limit, ...] = (
    Limit("limit-as-completed", "R15 R16", damage.completed_though_incomplete),
    Limit("limit-item-completed", "R16", damage.item_completed_though_incomplete),
    Limit("limit-unreported", "R43", damage.limit_unreported, ("text",)),
    Limit("limit-unclosed", "R48", damage.limit_unclosed),
    Limit(
        "cut-call-as-message", "R36", damage.cut_call_as_message, ("preamble",), cut_at_name,
        "incomplete at its name",
    ),
    Limit(
        "cut-call-unsent", "R41", damage.cut_call_unsent, ("tools",), cut_at_name, "incomplete at its name",
    ),
)  # fmt: skip
_SAYING_WHY = frozenset({"error-untyped", "error-fork", "error-flat", "failed-only"})
_FRAMINGS_OF_CALLS = frozenset({"perfect", "byte-wise", "crlf", "multi-line"})


def _silent_after_terminal(whole: dict[str, list[Turn]]) -> Scenario:
    steps = (*steps_of(whole["text"][0])[:-1], Wait(asyncio.Event()))
    return Scenario("open-after-terminal", "text", "text", [steps], stalls=True)


OTHER_ROWS: tuple[tuple[str, str, str], ...] = (
    ("open-after-terminal", "", "the terminal event came, and the body does not end"),
    ("summary-asked", "R29", "raw reasoning, where the user wants a summary (`reasoning = summary`)"),
    ("empty-body", "R01", "HTTP 200 and an empty body"),
    ("empty-body-cut", "R01", "HTTP 200, and the connection is closed before the first byte"),
    ("error-first", "C01", "HTTP 200 and nothing but an error object"),
    ("http-error", "", "HTTP 500 with an error object"),
    ("recorded", "all", "the golden of each repair: recorded or rebuilt streams of real releases"),
)
"""Rows that are made in a way of their own: name, defects, what is wrong."""


def rows() -> list[tuple[str, str, str]]:
    """Return the rows of the table: name, defects, what is wrong."""
    return [
        *((name, ids, what) for name, ids, what, _ in FRAMINGS),
        OTHER_ROWS[0],
        *((row.name, row.defects, row.what) for row in DAMAGES),
        *((limit.name, limit.defects, limit.what) for limit in LIMITS),
        OTHER_ROWS[1],
        *((name, ids, what) for name, ids, what, _, _ in FAILURES),
        *OTHER_ROWS[2:],
    ]
