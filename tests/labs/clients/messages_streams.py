"""Anthropic messages: perfect streams, one damage for each kind of defect of the catalogue, and the scenarios made of them.

A turn is the list of its events. As in `scenarios`, a broken stream is measured against a perfect one.
"""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from tests.labs.clients.chat_streams import TOOLS
from tests.labs.clients.conversations import ERROR, PREAMBLE, REPORT, THOUGHTS, WEATHER, WORDS
from tests.labs.clients.protocol import Protocol, Turn, multi_line
from tests.labs.clients.scenarios import BOM, Row, Scenario, at_once, in_pieces, row_of
from tests.support.goldens import load_goldens
from tests.support.upstream import Chunk, Cut, End, Head, Reset, Step, Wait, json_answer
from vllm_sse_proxy.families import MESSAGES
from vllm_sse_proxy.sse import encode_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.labs.clients.conversations import Tool
    from tests.support.streams import Json

Block = tuple[dict[str, Any], list[dict[str, Any]]]

DONE = encode_data(b"[DONE]")
REPORTED: dict[str, Any] = {"type": "error", "error": {"type": "api_error", "message": ERROR["message"]}}
ABORTED: dict[str, Any] = {"type": "error", "error": {**REPORTED["error"], "type": "overloaded_error"}}
"""What an abort is reported as: the server stops or sheds load, so asking again helps."""
START, STOP = "content_block_start", "content_block_stop"
PING: dict[str, Any] = {"type": "ping"}


def said(*words: str) -> Block:
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in words]


def thought(*words: str) -> Block:
    deltas = [{"type": "thinking_delta", "thinking": word} for word in words]
    block = {"type": "thinking", "thinking": "", "signature": ""}
    return block, [*deltas, {"type": "signature_delta", "signature": "abc"}]


def call(*pieces: str, id_: str = "toolu_1", name: str = WEATHER.name) -> Block:
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return {"type": "tool_use", "id": id_, "name": name, "input": {}}, deltas


def turn(*blocks: Block, reason: str = "end_turn", number: int = 1) -> Turn:
    """Return a whole turn as Anthropic's API streams it."""
    message: Json = {
        "id": f"msg_{number}", "type": "message", "role": "assistant", "content": [], "model": "tiny",
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 0},
    }  # fmt: skip
    made: Turn = [{"type": "message_start", "message": message}]
    for index, (block, deltas) in enumerate(blocks):
        made.append({"type": START, "index": index, "content_block": block})
        made += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        made.append({"type": STOP, "index": index})
    ending = {"stop_reason": reason, "stop_sequence": None}
    usage = {"input_tokens": 11, "output_tokens": 7}
    return [*made, {"type": "message_delta", "delta": ending, "usage": usage}, {"type": "message_stop"}]


ANSWER = turn(said(*REPORT), number=2)


def conversations(tool: Tool = WEATHER) -> dict[str, list[Turn]]:
    """Return the perfect conversations by name."""
    one = call(*tool.arguments, name=tool.name)
    other = call(*tool.other_arguments, id_="toolu_2", name=tool.name)
    return {
        "text": [turn(said(*WORDS))],
        "thinking": [turn(thought(*THOUGHTS), said(*WORDS))],
        "tools": [turn(thought(*THOUGHTS), one, reason="tool_use"), ANSWER],
        "parallel": [turn(one, other, reason="tool_use"), ANSWER],
        "preamble": [turn(said(*PREAMBLE), one, reason="tool_use"), ANSWER],
        "bare": [turn(call("{}", name="get_time"), reason="tool_use"), ANSWER],
    }


# ---------------------------------------------------------------------------------------------- damages


def _message(made: Turn) -> Json:
    message: Json = made[0]["message"]
    return message


def _closing(made: Turn) -> Json:
    return next(event for event in made if event["type"] == "message_delta")


def _inputs(made: Turn) -> Turn:
    return [event for event in made if event.get("delta", {}).get("type") == "input_json_delta"]


def _without(made: Turn, type_: str) -> Turn:
    return [event for event in made if event["type"] != type_]


def poor_opening(made: Turn) -> Turn:
    """A01: the message has no type and role (0.11.1 to 0.23)."""
    for name in ("type", "role"):
        del _message(made)[name]
    return made


def no_usage(made: Turn) -> Turn:
    """A06: the message has no usage and no stop members (to 0.12)."""
    for name in ("usage", "stop_reason", "stop_sequence"):
        del _message(made)[name]
    return made


def no_opening(made: Turn) -> Turn:
    """A20: `message_start` is missing."""
    return made[1:]


def no_counts(made: Turn) -> Turn:
    """A06: the usage at the end has no output tokens."""
    _closing(made)["usage"] = {}
    return made


def no_last_usage(made: Turn) -> Turn:
    """A06: there is no usage at the end."""
    del _closing(made)["usage"]
    return made


def no_message_stop(made: Turn) -> Turn:
    """A22: `message_delta` came, `message_stop` did not."""
    return made[:-1]


def no_stop_sequence(made: Turn) -> Turn:
    """A14: `stop_sequence` is missing (0.11.1 to 0.28)."""
    del _closing(made)["delta"]["stop_sequence"]
    return made


def end_turn_with_call(made: Turn) -> Turn:
    """A12: there is a call, and the stop reason is `end_turn` (0.11.1 to 0.31)."""
    _closing(made)["delta"]["stop_reason"] = "end_turn"
    return made


def tool_use_without_call(made: Turn) -> Turn:
    """A13: the stop reason is `tool_use`, and there is no call."""
    _closing(made)["delta"]["stop_reason"] = "tool_use"
    return made


def thought_marker(made: Turn) -> Turn:
    """C36: a thought begins with its marker."""
    first = next(event for event in made if event.get("delta", {}).get("type") == "thinking_delta")
    first["delta"]["thinking"] = f"<think>{first['delta']['thinking']}"
    return made


def stopped_twice(made: Turn) -> Turn:
    """A22: the end of the message comes twice."""
    return [*made, *deepcopy(made[-2:])]


def no_signature(made: Turn) -> Turn:
    """A15: a thinking block starts without a signature (from 0.17 on)."""
    for event in made:
        if event.get("content_block", {}).get("type") == "thinking":
            del event["content_block"]["signature"]
    return made


def unsigned(made: Turn) -> Turn:
    """A15: a thinking block has no signature at all."""
    return [e for e in no_signature(made) if e.get("delta", {}).get("type") != "signature_delta"]


def never_stopped(made: Turn) -> Turn:
    """A10: no block is stopped."""
    return _without(made, STOP)


def two_open(made: Turn) -> Turn:
    """A10: every block stays open until the last one ends."""
    stops = [event for event in made if event["type"] == STOP]
    return [*_without(made, STOP)[:-2], *stops, *made[-2:]]


def one_index(made: Turn) -> Turn:
    """A10: all blocks have index 0."""
    for event in made:
        if "index" in event:
            event["index"] = 0
    return made


def index_from_one(made: Turn) -> Turn:
    """A10: the first block has index 1."""
    for event in made:
        if "index" in event:
            event["index"] += 1
    return made


def text_in_call(made: Turn) -> Turn:
    """A10: the words before a call come under the index of the call."""
    at = next(at for at, event in enumerate(made) if event.get("content_block", {}).get("type") == "tool_use")
    texts = [event for event in made if event.get("delta", {}).get("type") == "text_delta"]
    kept = [event for event in made[:at] if event not in texts[1:]]
    moved = [{**event, "index": made[at]["index"]} for event in texts[1:]]
    return [*kept, made[at], *moved, *made[at + 1 :]]


def null_input(made: Turn) -> Turn:
    """A23: a call begins with a piece that is null (0.11.1 to 0.16)."""
    at = made.index(_inputs(made)[0])
    delta = {"type": "input_json_delta", "partial_json": None}
    return [*made[:at], {**made[at], "delta": delta}, *made[at:]]


def input_twice(made: Turn) -> Turn:
    """C17: the whole input comes again at the end of the call."""
    last = _inputs(made)[-1]
    whole = "".join(event["delta"]["partial_json"] for event in _inputs(made))
    again = {**last, "delta": {"type": "input_json_delta", "partial_json": whole}}
    at = made.index(last) + 1
    return [*made[:at], again, *made[at:]]


def call_twice(made: Turn) -> Turn:
    """C17: the same call comes as two blocks."""
    first = next(
        at for at, event in enumerate(made) if event.get("content_block", {}).get("type") == "tool_use"
    )
    again = deepcopy(made[first:-2])
    for event in again:
        event["index"] += 1
    return [*made[:-2], *again, *made[-2:]]


def no_last_brace(made: Turn) -> Turn:
    """C46: the last brace of the input is lost."""
    delta = _inputs(made)[-1]["delta"]
    delta["partial_json"] = delta["partial_json"][:-1]
    return made


def text_between(made: Turn) -> Turn:
    """A11: an empty text stands between the pieces of a call (0.17 to 0.22)."""
    at = made.index(_inputs(made)[1])
    index = made[at]["index"]
    text = {"type": START, "index": index + 1, "content_block": {"type": "text", "text": ""}}
    return [*made[:at], {"type": STOP, "index": index}, text, {"type": STOP, "index": index + 1}, *made[at:]]


def cut_input(made: Turn) -> Turn:
    """A16: the input of a call is cut, and the stop reason is `tool_use` (0.11.1 to 0.30)."""
    last = _inputs(made)[1:]
    return [event for event in made if event not in last]


def cut_input_end_turn(made: Turn) -> Turn:
    """A16: the input of a call is cut, and the stop reason is `end_turn`."""
    return end_turn_with_call(cut_input(made))


def cut_by_limit(made: Turn) -> Turn:
    """A16: the input of a call is cut, and the stop reason is `max_tokens`: that is right."""
    made = cut_input(made)
    _closing(made)["delta"]["stop_reason"] = "max_tokens"
    return made


_MAIN = ("text", "thinking", "tools")
DAMAGES: tuple[Row, ...] = (
    row_of("poor-opening", poor_opening, *_MAIN),
    row_of("no-usage", no_usage, *_MAIN),
    row_of("no-opening", no_opening, *_MAIN),
    row_of("no-counts", no_counts, *_MAIN),
    row_of("no-last-usage", no_last_usage, *_MAIN),
    row_of("no-message-stop", no_message_stop, *_MAIN),
    row_of("no-stop-sequence", no_stop_sequence, *_MAIN),
    row_of("end-turn-with-call", end_turn_with_call, "tools", "parallel"),
    row_of("tool-use-without-call", tool_use_without_call, "text"),
    row_of("stopped-twice", stopped_twice, *_MAIN),
    row_of("thought-marker", thought_marker, "thinking", "tools"),
    row_of("no-signature", no_signature, "thinking", "tools"),
    row_of("unsigned", unsigned, "thinking", "tools"),
    row_of("never-stopped", never_stopped, *_MAIN, "parallel"),
    row_of("two-open", two_open, "thinking", "tools", "parallel"),
    row_of("one-index", one_index, "thinking", "tools", "parallel"),
    row_of("index-from-one", index_from_one, *_MAIN, "parallel"),
    row_of("text-in-call", text_in_call, "preamble"),
    row_of("input-null", null_input, "tools", "parallel"),
    row_of("input-twice", input_twice, "tools"),
    row_of("call-twice", call_twice, "tools"),
    row_of("no-last-brace", no_last_brace, "tools"),
    row_of("text-between", text_between, "tools"),
)
CUTS: tuple[Row, ...] = (
    row_of("cut-input", cut_input, "tools"),
    row_of("cut-input-end-turn", cut_input_end_turn, "tools"),
)
"""Rows of cut calls that do not say so, measured against an error before the end of the call."""


# ---------------------------------------------------------------------------------------------- scripts


def frames(made: Turn) -> list[bytes]:
    return [f"event: {one['type']}\n".encode() + encode_data(json.dumps(one).encode()) for one in made]


def steps_of(made: Turn) -> tuple[Step, ...]:
    """Script a turn: each frame in a send of its own, and a clean end."""
    return (Head(), *map(Chunk, frames(made)), End())


def _between(made: Turn, data: bytes) -> tuple[Step, ...]:
    return at_once(frames(made)[0] + b"".join(data + frame for frame in frames(made)[1:]))


def _nameless(made: Turn) -> bytes:
    return b"".join(frame.partition(b"\n")[2] for frame in frames(made))


FRAMINGS: tuple[tuple[str, str, str, Callable[[Turn], tuple[Step, ...]]], ...] = (
    ("perfect", "", "nothing: the stream is as it should be", steps_of),
    ("one-packet", "", "the whole stream comes in one packet", lambda t: at_once(b"".join(frames(t)))),
    ("crlf", "", "lines end with CRLF", lambda t: at_once(b"".join(frames(t)).replace(b"\n", b"\r\n"))),
    ("cr", "", "lines end with CR", lambda t: at_once(b"".join(frames(t)).replace(b"\n", b"\r"))),
    ("byte-wise", "", "every byte comes in a packet of its own", lambda t: in_pieces(b"".join(frames(t)), 1)),
    ("multi-line", "", "JSON is spread over several `data:` lines", lambda t: at_once(multi_line(b"".join(frames(t))))),
    ("bom", "", "the stream begins with a byte order mark", lambda t: at_once(BOM + b"".join(frames(t)))),
    ("comments", "", "comments stand between the events", lambda t: _between(t, b": ping\n\n")),
    ("pings", "", "`ping` stands between the events", lambda t: _between(t, frames([PING])[0])),
    ("no-last-blank-line", "", "the blank line after the last event is missing", lambda t: at_once(b"".join(frames(t))[:-1])),
    ("cut-after-stop", "A22", "`message_stop` came, the last HTTP chunk did not", lambda t: (*steps_of(t)[:-1], Cut())),
    ("done", "A02", "`[DONE]` follows (to 0.18)", lambda t: (*steps_of(t)[:-1], Chunk(DONE), End())),
    ("no-event-lines", "P01", "there are no `event:` lines", lambda t: at_once(_nameless(t))),
    ("no-json", "P02", "a line of a log between the events", lambda t: _between(t, b"event: log\ndata: INFO 200 OK\n\n")),
)  # fmt: skip


def _begun(made: Turn) -> Turn:
    """Return what came before a stream broke off: of a call, its start and a part of its input."""
    own = _inputs(made)
    return made[: made.index(own[1])] if own else made[:5]


def _ends(*last: Step) -> Callable[[Turn], tuple[Step, ...]]:
    return lambda made: (Head(), *map(Chunk, frames(_begun(made))), *(last or (Wait(asyncio.Event()),)))


def _cut_in_event(made: Turn) -> tuple[Step, ...]:
    begun, all_frames = frames(_begun(made)), frames(made)
    return (Head(), *map(Chunk, begun), Chunk(all_frames[len(begun)][:-20]), Cut())


def _says(*events: Json) -> Callable[[Turn], tuple[Step, ...]]:
    return lambda made: steps_of([*_begun(made), *events])


def _stopped_first(made: Turn) -> tuple[Step, ...]:
    return steps_of([*_begun(made), {"type": STOP, "index": _begun(made)[-1]["index"]}, REPORTED])


def _without_name(made: Turn) -> tuple[Step, ...]:
    tail = encode_data(json.dumps(REPORTED).encode())
    return (Head(), *map(Chunk, frames(_begun(made))), Chunk(tail), Chunk(DONE), End())


def _aborted(made: Turn) -> tuple[Step, ...]:
    begun = _begun(made)
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": None},
        "usage": {"input_tokens": 11, "output_tokens": 7},
    }
    stop = {"type": STOP, "index": begun[-1]["index"]}
    return steps_of([*begun, stop, end, {"type": "message_stop"}])


def _only_stop(made: Turn) -> tuple[Step, ...]:
    return steps_of([*_begun(made), {"type": "message_stop"}])


_FOREIGN = {"type": "error", "error": {"type": "InternalServerError", "message": ERROR["message"]}}
_CHAT_FORM = {
    "error": {"message": ERROR["message"], "type": "InternalServerError", "param": None, "code": 500}
}


def _of_chat(made: Turn) -> tuple[Step, ...]:
    tail = encode_data(json.dumps(_CHAT_FORM).encode())
    return (Head(), *map(Chunk, frames(_begun(made))), Chunk(tail), Chunk(DONE), End())


FAILURES: tuple[tuple[str, str, str, Callable[[Turn], tuple[Step, ...]], tuple[str, ...]], ...] = (
    ("ends", "A22", "the body ends cleanly in the middle", _ends(End()), _MAIN),
    ("done-unfinished", "A22", "`[DONE]` comes in the middle", _ends(Chunk(DONE), End()), _MAIN),
    ("stop-unfinished", "A20", "`message_stop` comes in the middle", _only_stop, _MAIN),
    ("cut", "A22", "the connection is closed in the middle, without the last HTTP chunk", _ends(Cut()), _MAIN),
    ("cut-in-event", "A22", "the connection is closed in the middle of an event", _cut_in_event, ("text",)),
    ("reset", "A22", "the connection is reset in the middle", _ends(Reset()), ("text",)),
    ("silence", "A22", "upstream falls silent in the middle, forever", _ends(), ("text",)),
    ("abort", "A17", "an aborted message: the stop reason is null", _aborted, _MAIN),
    ("error-behind-stop", "A19", "the block is stopped, then comes the error (0.33)", _stopped_first, _MAIN),
    ("error-nameless", "P01", "an error without an `event:` line", _without_name, _MAIN),
    ("error-type", "A18", "an error whose type is none of Anthropic's", _says(_FOREIGN), ("text", "tools")),
    ("error-of-chat", "A18", "an error in the form of chat completions", _of_chat, ("text", "tools")),
)  # fmt: skip
SAYING_WHY = frozenset(
    {"error-behind-stop", "error-nameless", "error-type", "error-of-chat", "error-first", "http-error"}
)
OTHERS: tuple[tuple[str, str, str], ...] = (
    ("cut-by-limit", "", "a call whose input the token limit cut, and the stop reason says so"),
    ("only-stop", "A20", "nothing but `message_stop`"),
    ("empty-body", "A22", "HTTP 200 and an empty body"),
    ("error-first", "A18", "HTTP 200 and nothing but an error"),
    ("http-error", "", "HTTP 500 with an error object"),
    ("recorded", "all", "the golden of each repair: recorded or rebuilt streams of real releases"),
)


def _error(status: int, reason: str) -> tuple[Step, ...]:
    return json_answer(REPORTED, status=status, reason=reason)


def references(tool: Tool = WEATHER) -> dict[str, list[tuple[Step, ...]]]:
    """Return the perfect streams by name: whole, and failed as they should be."""
    made: dict[str, list[tuple[Step, ...]]] = {}
    for name, turns in conversations(tool).items():
        made[name] = [*map(steps_of, turns)]
        if name in _MAIN:
            made[f"{name} failed"] = [_says(REPORTED)(turns[0]), *map(steps_of, turns[1:])]
            made[f"{name} aborted"] = [_says(ABORTED)(turns[0]), *map(steps_of, turns[1:])]
    made["cut by limit"] = [steps_of(cut_by_limit(conversations(tool)["tools"][0])), steps_of(ANSWER)]
    made["error 502"], made["error 500"] = (
        [_error(502, "Bad Gateway")],
        [_error(500, "Internal Server Error")],
    )
    made |= {
        f"golden {golden.name}": [at_once(golden.expected), steps_of(ANSWER)]
        for golden in load_goldens(MESSAGES)
    }
    return made


def scenarios(tool: Tool = WEATHER) -> list[Scenario]:
    """Return every scenario, in the order of the table."""
    make = Protocol(conversations(tool), steps_of, TOOLS, SAYING_WHY)
    alone: Sequence[tuple[str, str, tuple[Step, ...]]] = (
        ("only-stop", "error 500", steps_of([{"type": "message_stop"}])),
        ("empty-body", "error 502", (Head(), End())),
        ("error-first", "error 500", steps_of([REPORTED])),
        ("http-error", "error 500", _error(500, "Internal Server Error")),
    )
    return [
        *make.framed((name, script) for name, _, _, script in FRAMINGS),
        *(make.damaged(row, name, name) for row in DAMAGES for name in row.on),
        *(make.damaged(row, name, f"{name} failed") for row in CUTS for name in row.on),
        *(
            make.failed(name, on, f"{on} {'aborted' if name == 'abort' else 'failed'}", script)
            for name, _, _, script, names in FAILURES
            for on in names
        ),
        Scenario("cut-by-limit", "tools", "cut by limit", references(tool)["cut by limit"], tools=TOOLS),
        *(make.alone(*one) for one in alone),
        *(make.recorded(golden, ANSWER) for golden in load_goldens(MESSAGES)),
    ]


def rows() -> list[tuple[str, str, str]]:
    """Return the rows of the table: name, defects, what is wrong."""
    return [
        *((name, ids, what) for name, ids, what, _ in FRAMINGS),
        *((row.name, row.defects, row.what) for row in (*DAMAGES, *CUTS)),
        *((name, ids, what) for name, ids, what, _, _ in FAILURES),
        *OTHERS,
    ]
