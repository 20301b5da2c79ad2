"""Chat completions: perfect streams, one damage for each kind of defect of the catalogue, and the scenarios made of them.

A turn is the list of its chunks; `[DONE]` follows it. As in `scenarios`, a broken stream is measured against a perfect one.
"""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.labs.clients.conversations import ERROR, PREAMBLE, REPORT, THOUGHTS, WEATHER, WORDS
from tests.labs.clients.protocol import Protocol, Turn, multi_line
from tests.labs.clients.scenarios import BOM, Row, Scenario, at_once, in_pieces, row_of
from tests.support.goldens import load_goldens
from tests.support.upstream import Chunk, Cut, End, Head, Reset, Step, Wait, json_answer
from vllm_sse_proxy.families import CHAT
from vllm_sse_proxy.sse import encode_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.labs.clients.conversations import Tool
    from tests.support.goldens import Golden
    from tests.support.streams import Json

NOW: dict[str, Any] = {
    "name": "get_time",
    "description": "Tells the time.",
    "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
}
"""A tool that needs no arguments."""
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: tuple[dict[str, Any], ...] = (
    {"name": WEATHER.name, "description": "Tells the weather.", "parameters": PARAMETERS},
    NOW,
)
"""What the clients offer the model."""
CUT_AFTER = 3
"""Chunks behind the role after which a stream breaks off."""
REPORTED: dict[str, Any] = {
    "error": {"message": ERROR["message"], "type": "InternalServerError", "param": None, "code": 500}
}
ABORTED: dict[str, Any] = {"error": {**REPORTED["error"], "type": "ServiceUnavailableError", "code": 503}}
"""What an abort is reported as: the server stops or sheds load, so asking again helps. pydantic-ai has a class for it."""
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
DONE = encode_data(b"[DONE]")


def chunk(delta: object, finish: str | None = None, number: int = 1) -> Json:
    """Return a chunk with one choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    fields = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
    return {**fields, "choices": [choice]}


def call(*pieces: str, index: int = 0, name: str = WEATHER.name) -> list[Json]:
    """Return the deltas of a call: the head, then its arguments."""
    function = {"name": name, "arguments": ""}
    head = {"index": index, "id": f"call_{index + 1}", "type": "function", "function": function}
    rest = [{"index": index, "function": {"arguments": piece}} for piece in pieces]
    return [{"tool_calls": [one]} for one in (head, *rest)]


def said(*words: str) -> list[Json]:
    return [{"content": word} for word in words]


def thought(*words: str) -> list[Json]:
    return [{"reasoning": word, "reasoning_content": word} for word in words]


def turn(*deltas: Json, finish: str = "stop", number: int = 1) -> Turn:
    """Return a whole turn: role, deltas, finish reason, usage."""
    made = [chunk(delta, number=number) for delta in ({"role": "assistant", "content": ""}, *deltas)]
    return [*made, chunk({}, finish, number), {**made[0], "choices": [], "usage": USAGE}]


ANSWER = turn(*said(*REPORT), number=2)


def conversations() -> dict[str, list[Turn]]:
    """Return the perfect conversations by name."""
    arguments, other = WEATHER.arguments, WEATHER.other_arguments
    called = [*thought(*THOUGHTS), *call(*arguments)]
    parallel = [*call(*arguments), *call(*other, index=1)]
    preamble = [*said(*PREAMBLE), *call(*arguments)]
    return {
        "text": [turn(*said(*WORDS))],
        "reasoning": [turn(*thought(*THOUGHTS), *said(*WORDS))],
        "tools": [turn(*called, finish="tool_calls"), ANSWER],
        "parallel": [turn(*parallel, finish="tool_calls"), ANSWER],
        "preamble": [turn(*preamble, finish="tool_calls"), ANSWER],
        "bare": [turn(*call("{}", name="get_time"), finish="tool_calls"), ANSWER],
    }


# ---------------------------------------------------------------------------------------------- damages


def _deltas(made: Turn) -> Iterable[Json]:
    for one in made:
        for choice in one["choices"]:
            if isinstance(choice["delta"], dict):
                yield choice["delta"]


def _pieces(made: Turn) -> list[Json]:
    return [piece for delta in _deltas(made) for piece in delta.get("tool_calls", ())]


def _heads(made: Turn) -> list[Json]:
    return [piece for piece in _pieces(made) if "id" in piece]


def _choice(made: Turn) -> Json:
    """Return the choice that has the finish reason."""
    found: Json = next(c for one in made for c in one["choices"] if c["finish_reason"])
    return found


def _finish_at(made: Turn) -> int:
    return next(at for at, one in enumerate(made) if one["choices"] and one["choices"][0]["finish_reason"])


def _before_finish(made: Turn, *deltas: Json) -> Turn:
    at = _finish_at(made)
    return [*made[:at], *(chunk(delta) for delta in deltas), *made[at:]]


def head_without_id(made: Turn) -> Turn:
    """C04: the head of a call has no id."""
    for head in _heads(made):
        del head["id"]
    return made


def head_without_type(made: Turn) -> Turn:
    """C05: the head of a call has no type."""
    for head in _heads(made):
        del head["type"]
    return made


def head_without_name(made: Turn) -> Turn:
    """C05: the name of a call comes in its second piece."""
    pieces = _pieces(made)
    for head, piece in pairwise(pieces):
        if "id" in head:
            piece["function"]["name"] = head["function"].pop("name")
    return made


def head_without_arguments(made: Turn) -> Turn:
    """C19: the head of a call has no arguments."""
    for head in _heads(made):
        del head["function"]["arguments"]
    return made


def _repeated(made: Turn, *, name: bool = False, id_: bool = False) -> Turn:
    head: Json = {}
    for piece in _pieces(made):
        head = piece if "id" in piece else head
        if piece is not head and name:
            piece["function"]["name"] = head["function"]["name"]
        if piece is not head and id_:
            piece["id"], piece["type"] = head["id"], head["type"]
    return made


def name_in_every_piece(made: Turn) -> Turn:
    """C18: every piece of a call has its name."""
    return _repeated(made, name=True)


def id_in_every_piece(made: Turn) -> Turn:
    """C18: every piece of a call has its id and type."""
    return _repeated(made, id_=True)


def head_in_every_piece(made: Turn) -> Turn:
    """C18: every piece of a call has id, type and name."""
    return _repeated(made, name=True, id_=True)


def null_heads(made: Turn) -> Turn:
    """C18, C43: later pieces have id, type and name as null."""
    for piece in _pieces(made):
        if "id" not in piece:
            piece.update(id=None, type=None)
            piece["function"]["name"] = None
    return made


def index_from_one(made: Turn) -> Turn:
    """C28: the first call has index 1."""
    for piece in _pieces(made):
        piece["index"] += 1
    return made


def one_index(made: Turn) -> Turn:
    """C28: both calls have index 0."""
    for piece in _pieces(made):
        piece["index"] = 0
    return made


def no_index(made: Turn) -> Turn:
    """C28: the pieces of calls have no index."""
    for piece in _pieces(made):
        del piece["index"]
    return made


def interleaved_calls(made: Turn) -> Turn:
    """C15: the pieces of two calls alternate."""
    own = [one for one in made if _pieces([one])]
    order = sorted(range(len(own)), key=lambda at: at if _pieces([own[at]])[0]["index"] == 0 else at - 3.5)
    first = made.index(own[0])
    return [*made[:first], *(own[at] for at in order), *made[first + len(own) :]]


def calls_in_one_chunk(made: Turn) -> Turn:
    """C27: two whole calls stand in one chunk."""
    at = next(at for at, one in enumerate(made) if _pieces([one]))
    whole: dict[int, Json] = {}
    for piece in _pieces(made):
        if piece["index"] in whole:
            whole[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
        else:
            whole[piece["index"]] = piece
    return [*made[:at], chunk({"tool_calls": list(whole.values())}), *made[_finish_at(made) :]]


def head_and_arguments(made: Turn) -> Turn:
    """C44: head and arguments of a call are two elements of one chunk."""
    kept: Turn = []
    for one in made:
        own, before = _pieces([one]), _pieces(kept[-1:])
        if own and "id" not in own[0] and before and "id" in before[-1]:
            kept[-1]["choices"][0]["delta"]["tool_calls"] += own
        else:
            kept.append(one)
    return kept


def arguments_as_object(made: Turn) -> Turn:
    """C23: the arguments are an object, not a text."""
    for head in _heads(made):
        own = [piece for piece in _pieces(made) if piece["index"] == head["index"]]
        head["function"]["arguments"] = json.loads("".join(piece["function"]["arguments"] for piece in own))
    return [one for one in made if not any("id" not in piece for piece in _pieces([one]))]


def arguments_twice(made: Turn) -> Turn:
    """C17: the whole arguments come again at the end of a call."""
    whole = "".join(piece["function"]["arguments"] for piece in _pieces(made))
    return _before_finish(made, {"tool_calls": [{"index": 0, "function": {"arguments": whole}}]})


def arguments_spelled_again(made: Turn) -> Turn:
    """C45: unclosed arguments, and behind them the whole in another spelling."""
    _pieces(made)[-1]["function"]["arguments"] = 'is"'
    again = '{"city":  "Paris"}'
    return _before_finish(made, {"tool_calls": [{"index": 0, "function": {"arguments": again}}]})


def no_first_brace(made: Turn) -> Turn:
    """C23: the first brace of the arguments is missing."""
    _pieces(made)[1]["function"]["arguments"] = WEATHER.arguments[0][1:]
    return made


def no_last_brace(made: Turn) -> Turn:
    """C46: the last brace of the arguments is lost, as if the call were cut there."""
    function = _pieces(made)[-1]["function"]
    function["arguments"] = function["arguments"][:-1]
    return made


def tail_on_next_index(made: Turn) -> Turn:
    """C42: the last piece of a call has the index of the next one (gpt-oss)."""
    first = [piece for piece in _pieces(made) if piece["index"] == 0]
    first[-1]["index"] = 1
    return made


def name_in_two_pieces(made: Turn) -> Turn:
    """C22: the name of a call goes on in its second piece."""
    pieces = _pieces(made)
    for head, piece in pairwise(pieces):
        if "id" in head:
            name = head["function"]["name"]
            head["function"]["name"], piece["function"]["name"] = name[:4], name[4:]
    return made


def no_arguments(made: Turn) -> Turn:
    """C23: a call whose tool needs no arguments has an empty text instead of an empty object."""
    _pieces(made)[1]["function"]["arguments"] = ""
    return made


def role_in_every_chunk(made: Turn) -> Turn:
    """C52: every chunk has the role."""
    for delta in _deltas(made):
        delta["role"] = "assistant"
    return made


def no_role(made: Turn) -> Turn:
    """C52: no chunk has the role."""
    del made[0]["choices"][0]["delta"]["role"]
    return made


def empty_role(made: Turn) -> Turn:
    """C52: the role is an empty text."""
    made[0]["choices"][0]["delta"]["role"] = ""
    return made


def usage_without_choices(made: Turn) -> Turn:
    """C32: the usage chunk has no choices."""
    del made[-1]["choices"]
    return made


def delta_null(made: Turn) -> Turn:
    """C33: the delta of the last chunk is null."""
    _choice(made)["delta"] = None
    return made


def no_delta(made: Turn) -> Turn:
    """C33: the last chunk has no delta."""
    del _choice(made)["delta"]
    return made


def no_choice_index(made: Turn) -> Turn:
    """C33: choices have no index."""
    for one in made:
        for choice in one["choices"]:
            del choice["index"]
    return made


def finish_twice(made: Turn) -> Turn:
    """C12: the last chunk comes twice."""
    at = _finish_at(made)
    return [*made[: at + 1], *deepcopy(made[at:])]


def stop_with_calls(made: Turn) -> Turn:
    """C35: there are calls, and the finish reason is `stop`."""
    _choice(made)["finish_reason"] = "stop"
    return made


def calls_without_call(made: Turn) -> Turn:
    """C16: the finish reason is `tool_calls`, and there is no call."""
    _choice(made)["finish_reason"] = "tool_calls"
    return made


def late_text(made: Turn) -> Turn:
    """C12: an empty text comes after the finish reason."""
    at = _finish_at(made) + 1
    return [*made[:at], chunk({"content": ""}), *made[at:]]


def usage_twice(made: Turn) -> Turn:
    """C32: the usage chunk comes twice."""
    return [*made, deepcopy(made[-1])]


def repetition(made: Turn) -> Turn:
    """C30: the finish reason is `repetition`."""
    _choice(made)["finish_reason"] = "repetition"
    return made


def mixed_deltas(made: Turn) -> Turn:
    """C26: the last of one kind and the first of the next stand in one delta."""
    kept: Turn = []
    for one in made:
        delta = one["choices"][0]["delta"] if one["choices"] else {}
        last = kept[-1]["choices"][0]["delta"] if kept else {}
        if delta and last and "role" not in last and not set(delta) & set(last):
            last.update(delta)
        else:
            kept.append(one)
    return kept


def old_name(made: Turn) -> Turn:
    """C06: reasoning comes as `reasoning_content` alone (to 0.15)."""
    for delta in _deltas(made):
        delta.pop("reasoning", None)
    return made


def new_name(made: Turn) -> Turn:
    """C06: reasoning comes as `reasoning` alone (from 0.16 on)."""
    for delta in _deltas(made):
        delta.pop("reasoning_content", None)
    return made


def marker_in_reasoning(made: Turn) -> Turn:
    """C36: the reasoning begins with its marker."""
    first = next(delta for delta in _deltas(made) if delta.get("reasoning"))
    first.update({name: f"<think>{first[name]}" for name in ("reasoning", "reasoning_content")})
    return made


def reasoning_tail_in_text(made: Turn) -> Turn:
    """C25: the parser loses its way: all but the first word of the reasoning comes as text between tags."""
    words = [word for delta in _deltas(made) for word in [delta.get("reasoning")] if word]
    rest = [one for one in made[2:] if not any("reasoning" in delta for delta in _deltas([one]))]
    tagged = said("<think>", *words[1:], "</think>")
    return [*made[:2], *(chunk(delta) for delta in tagged), *rest]


def reasoning_in_text(made: Turn) -> Turn:
    """C25: all reasoning comes as text between tags, as without a parser."""
    words = [word for delta in _deltas(made) for word in [delta.get("reasoning")] if word]
    rest = [one for one in made[1:] if not any("reasoning" in delta for delta in _deltas([one]))]
    return [made[0], *(chunk(delta) for delta in said("<think>", *words, "</think>")), *rest]


def call_as_text(made: Turn) -> Turn:
    """C20: the call comes as the text that the model wrote (hermes)."""
    arguments = "".join(piece["function"]["arguments"] for piece in _pieces(made))
    words = ("<tool_call>", '{"name": "get_weather"', f', "arguments": {arguments}', "}", "</tool_call>")
    kept = [one for one in made if not _pieces([one])]
    _choice(kept)["finish_reason"] = "stop"
    return _before_finish(kept, *said(*words))


def tokens_in_name(made: Turn) -> Turn:
    """C21: control tokens follow the name of the tool (gpt-oss)."""
    for head in _heads(made):
        head["function"]["name"] += "<|channel|>commentary"
    return made


def empty_lists(made: Turn) -> Turn:
    """C10: deltas have an empty list of calls."""
    for delta in _deltas(made):
        delta.setdefault("tool_calls", [])
    return made


def empty_pieces(made: Turn) -> Turn:
    """C29: chunks that say nothing stand between the others."""
    return [part for one in made[:-2] for part in (one, chunk({}))] + made[-2:]


def poor_chunks(made: Turn) -> Turn:
    """C32: id, object, created and model are only in the first chunk."""
    return [made[0], *({k: v for k, v in one.items() if k in ("choices", "usage")} for one in made[1:])]


def cut_call(made: Turn) -> Turn:
    """C03: the arguments of a call are cut, and the finish reason is `tool_calls`."""
    last = _pieces(made)[-1]
    return [one for one in made if last not in _pieces([one])]


def cut_call_stop(made: Turn) -> Turn:
    """C03: the arguments of a call are cut, and the finish reason is `stop`."""
    return stop_with_calls(cut_call(made))


def cut_to_nothing(made: Turn) -> Turn:
    """C38: the call was cut before its arguments, and comes with `{}` though its tool requires some."""
    for piece in _pieces(made)[1:]:
        made = [one for one in made if piece not in _pieces([one])]
    return _before_finish(made, {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})


def _at_limit(made: Turn) -> Turn:
    _choice(made)["finish_reason"] = "length"
    return made


_MAIN = ("text", "reasoning", "tools")
_CALLS = ("tools", "parallel")
DAMAGES: tuple[Row, ...] = (
    row_of("head-no-id", head_without_id, *_CALLS),
    row_of("head-no-type", head_without_type, *_CALLS),
    row_of("head-no-name", head_without_name, *_CALLS),
    row_of("head-no-arguments", head_without_arguments, *_CALLS),
    row_of("name-again", name_in_every_piece, *_CALLS),
    row_of("id-again", id_in_every_piece, *_CALLS),
    row_of("head-again", head_in_every_piece, *_CALLS),
    row_of("head-null", null_heads, *_CALLS),
    row_of("index-from-one", index_from_one, *_CALLS),
    row_of("one-index", one_index, "parallel"),
    row_of("no-index", no_index, *_CALLS),
    row_of("interleaved", interleaved_calls, "parallel"),
    row_of("calls-in-one-chunk", calls_in_one_chunk, "parallel"),
    row_of("head-and-arguments", head_and_arguments, *_CALLS),
    row_of("arguments-object", arguments_as_object, *_CALLS),
    row_of("arguments-twice", arguments_twice, "tools"),
    row_of("arguments-respelled", arguments_spelled_again, "tools"),
    row_of("no-first-brace", no_first_brace, "tools"),
    row_of("tail-on-next-index", tail_on_next_index, "parallel"),
    row_of("name-in-two", name_in_two_pieces, *_CALLS),
    row_of("no-arguments", no_arguments, "bare"),
    row_of("name-with-tokens", tokens_in_name, *_CALLS),
    row_of("call-as-text", call_as_text, "tools"),
    row_of("stop-with-calls", stop_with_calls, *_CALLS),
    row_of("calls-without-call", calls_without_call, "text"),
    row_of("role-again", role_in_every_chunk, *_MAIN),
    row_of("no-role", no_role, *_MAIN),
    row_of("role-empty", empty_role, "text", "tools"),
    row_of("mixed-deltas", mixed_deltas, "reasoning", "tools", "preamble"),
    row_of("reasoning-old-name", old_name, "reasoning", "tools"),
    row_of("reasoning-new-name", new_name, "reasoning", "tools"),
    row_of("reasoning-marker", marker_in_reasoning, "reasoning", "tools"),
    row_of("reasoning-tail-in-text", reasoning_tail_in_text, "reasoning"),
    row_of("reasoning-in-text", reasoning_in_text, "reasoning"),
    row_of("empty-lists", empty_lists, "text", "reasoning"),
    row_of("empty-pieces", empty_pieces, *_MAIN),
    row_of("usage-no-choices", usage_without_choices, *_MAIN),
    row_of("poor-chunks", poor_chunks, *_MAIN),
    row_of("no-choice-index", no_choice_index, *_MAIN),
    row_of("delta-null", delta_null, *_MAIN),
    row_of("no-delta", no_delta, *_MAIN),
    row_of("finish-twice", finish_twice, *_MAIN),
    row_of("late-text", late_text, "text"),
    row_of("usage-twice", usage_twice, "text"),
    row_of("repetition", repetition, "text"),
)
LIMITS: tuple[Row, ...] = (
    row_of("cut-call", cut_call, "tools", "parallel"),
    row_of("cut-call-stop", cut_call_stop, "tools"),
    row_of("cut-to-nothing", cut_to_nothing, "tools"),
    row_of("no-last-brace", no_last_brace, "tools"),
)
"""Rows of calls that a limit cut, measured against the same with the finish reason `length`."""


# ---------------------------------------------------------------------------------------------- scripts


def frames(made: Turn) -> list[bytes]:
    return [encode_data(json.dumps(one).encode()) for one in made]


def steps_of(made: Turn) -> tuple[Step, ...]:
    """Script a turn: each frame in a send of its own, `[DONE]`, and a clean end."""
    return (Head(), *map(Chunk, frames(made)), Chunk(DONE), End())


def whole(made: Turn) -> bytes:
    return b"".join(frames(made)) + DONE


def _between(made: Turn, data: bytes) -> tuple[Step, ...]:
    return at_once(b"".join(data + frame for frame in (*frames(made), DONE)))


FRAMINGS: tuple[tuple[str, str, str, Callable[[Turn], tuple[Step, ...]]], ...] = (
    ("perfect", "", "nothing: the stream is as it should be", steps_of),
    ("one-packet", "", "the whole stream comes in one packet", lambda t: at_once(whole(t))),
    ("crlf", "", "lines end with CRLF", lambda t: at_once(whole(t).replace(b"\n", b"\r\n"))),
    ("cr", "", "lines end with CR", lambda t: at_once(whole(t).replace(b"\n", b"\r"))),
    ("byte-wise", "", "every byte comes in a packet of its own", lambda t: in_pieces(whole(t), 1)),
    ("multi-line", "", "JSON is spread over several `data:` lines", lambda t: at_once(multi_line(whole(t)))),
    ("bom", "", "the stream begins with a byte order mark", lambda t: at_once(BOM + whole(t))),
    ("comments", "", "comments stand between the chunks", lambda t: _between(t, b": ping\n\n")),
    ("no-last-blank-line", "", "the blank line after `[DONE]` is missing", lambda t: at_once(whole(t)[:-1])),
    ("cut-after-finish", "C34", "the finish reason came, and the connection is closed", lambda t: (*steps_of(t)[:-2], Cut())),
    ("no-done", "C34", "the finish reason came, `[DONE]` did not", lambda t: (*steps_of(t)[:-2], End())),
    ("no-json", "P02", "a line of a log between the chunks", lambda t: _between(t, b"data: INFO 200 OK\n\n")),
    ("empty-objects", "C29", "`data: {}` between the chunks", lambda t: _between(t, b"data: {}\n\n")),
)  # fmt: skip


def _begun(made: Turn) -> Turn:
    """Return what came before a stream broke off: of a call, its head and half of its arguments."""
    pieces = _pieces(made)
    if not pieces:
        return made[: CUT_AFTER + 1]
    return made[: next(at for at, one in enumerate(made) if pieces[2] in _pieces([one])) + 1]


def _ends(*last: Step) -> Callable[[Turn], tuple[Step, ...]]:
    return lambda made: (Head(), *map(Chunk, frames(_begun(made))), *(last or (Wait(asyncio.Event()),)))


def _cut_in_chunk(made: Turn) -> tuple[Step, ...]:
    begun, all_frames = frames(_begun(made)), frames(made)
    return (Head(), *map(Chunk, begun), Chunk(all_frames[len(begun)][:-20]), Cut())


def _says(*payloads: Json, done: bytes = DONE) -> Callable[[Turn], tuple[Step, ...]]:
    return lambda made: (
        Head(), *map(Chunk, frames([*_begun(made), *payloads])), *([Chunk(done)] if done else ()), End(),
    )  # fmt: skip


def _named_error(made: Turn) -> tuple[Step, ...]:
    tail = b"event: error\n" + frames([REPORTED])[0]
    return (Head(), *map(Chunk, frames(_begun(made))), Chunk(tail), End())


_FLAT = {**REPORTED["error"], "object": "error"}
FAILURES: tuple[tuple[str, str, str, Callable[[Turn], tuple[Step, ...]], tuple[str, ...]], ...] = (
    ("ends", "C34", "the body ends cleanly in the middle", _ends(End()), _MAIN),
    ("done-unfinished", "C02", "`[DONE]` comes in the middle, without a finish reason", _says(), _MAIN),
    ("cut", "C34", "the connection is closed in the middle, without the last HTTP chunk", _ends(Cut()), _MAIN),
    ("cut-in-chunk", "C34", "the connection is closed in the middle of a chunk", _cut_in_chunk, ("text",)),
    ("reset", "C34", "the connection is reset in the middle", _ends(Reset()), ("text",)),
    ("silence", "C34", "upstream falls silent in the middle, forever", _ends(), ("text",)),
    ("abort", "C30", "the finish reason is `abort`", _says(chunk({}, "abort")), _MAIN),
    ("error-in-chunk", "C01", "an error beside `choices`", _says({**chunk({}, "error"), **REPORTED}), _MAIN),
    ("error-flat", "C01", "an error without its `error` member", _says(_FLAT), ("text", "tools")),
    ("error-text", "C01", "an error that is a text", _says({"error": ERROR["message"]}), ("text", "tools")),
    ("error-no-done", "C01", "a proper error, and no `[DONE]`", _says(REPORTED, done=b""), ("text",)),
    ("error-named", "C01", "a proper error below `event: error`", _named_error, ("text",)),
)  # fmt: skip
SAYING_WHY = frozenset(
    {
        "error-in-chunk",
        "error-flat",
        "error-text",
        "error-no-done",
        "error-named",
        "error-first",
        "http-error",
    }
)
NO_CALL = turn(finish="tool_calls")
OTHERS: tuple[tuple[str, str, str], ...] = (
    ("lost-call", "C16", "nothing but the finish reason `tool_calls`"),
    ("only-done", "C02", "nothing but `[DONE]`"),
    ("empty-body", "C34", "HTTP 200 and an empty body"),
    ("error-first", "C01 C51", "HTTP 200 and nothing but an error object"),
    ("http-error", "", "HTTP 500 with an error object"),
    ("recorded", "all", "the golden of each repair: recorded or rebuilt streams of real releases"),
)
_ASKED_FOR_MORE = frozenset({"n", "tool_choice", "logprobs", "chat_template_kwargs", "stop"})
"""What a request may ask for that the clients do not."""


def _error(status: int, reason: str) -> tuple[Step, ...]:
    return json_answer({"error": {**REPORTED["error"], "code": status}}, status=status, reason=reason)


def _goldens() -> list[Golden]:
    """Return the goldens of chat that need nothing of the request but its tools."""
    return [golden for golden in load_goldens(CHAT) if not _ASKED_FOR_MORE & set(golden.request or {})]


def tools_of(request: object) -> tuple[Json, ...]:
    """Return the functions that a request of a recording offers, each with what the clients want of a function."""
    offered = request.get("tools", []) if isinstance(request, dict) else []
    return tuple({"description": "", "parameters": {}, **tool["function"]} for tool in offered) or TOOLS


def references(_: Tool = WEATHER) -> dict[str, list[tuple[Step, ...]]]:
    """Return the perfect streams by name: whole, failed and cut as they should be."""
    made: dict[str, list[tuple[Step, ...]]] = {}
    for name, turns in conversations().items():
        made[name] = [*map(steps_of, turns)]
        if name in _MAIN:
            made[f"{name} failed"] = [_says(REPORTED)(turns[0]), *map(steps_of, turns[1:])]
            made[f"{name} aborted"] = [_says(ABORTED)(turns[0]), *map(steps_of, turns[1:])]
    for row in LIMITS:
        for name in row.on:
            first, *rest = deepcopy(conversations()[name])
            made[f"{name} {row.name}"] = [steps_of(_at_limit(row.damage(first))), *map(steps_of, rest)]
    made["lost call"] = [at_once(whole([chunk({"role": "assistant", "content": ""}), REPORTED]))]
    made["error 502"], made["error 500"] = (
        [_error(502, "Bad Gateway")],
        [_error(500, "Internal Server Error")],
    )
    made |= {f"golden {golden.name}": [at_once(golden.expected), steps_of(ANSWER)] for golden in _goldens()}
    return made


def scenarios(_: Tool = WEATHER) -> list[Scenario]:
    """Return every scenario, in the order of the table."""
    make = Protocol(conversations(), steps_of, TOOLS, SAYING_WHY)
    alone: Sequence[tuple[str, str, tuple[Step, ...]]] = (
        ("lost-call", "lost call", steps_of(NO_CALL)),
        ("only-done", "error 502", at_once(DONE)),
        ("empty-body", "error 502", (Head(), End())),
        ("error-first", "error 500", at_once(b"".join(frames([REPORTED])) + DONE)),
        ("http-error", "error 500", _error(500, "Internal Server Error")),
    )
    return [
        *make.framed((name, script) for name, _, _, script in FRAMINGS),
        *(make.damaged(row, name, name) for row in DAMAGES for name in row.on),
        *(make.damaged(row, name, f"{name} {row.name}") for row in LIMITS for name in row.on),
        *(
            make.failed(name, on, f"{on} {'aborted' if name == 'abort' else 'failed'}", script)
            for name, _, _, script, names in FAILURES
            for on in names
        ),
        *(make.alone(*one) for one in alone),
        *(make.recorded(golden, ANSWER, tools_of(golden.request)) for golden in _goldens()),
    ]


def rows() -> list[tuple[str, str, str]]:
    """Return the rows of the table: name, defects, what is wrong."""
    return [
        *((name, ids, what) for name, ids, what, _ in FRAMINGS),
        *((row.name, row.defects, row.what) for row in (*DAMAGES, *LIMITS)),
        *((name, ids, what) for name, ids, what, _, _ in FAILURES),
        *OTHERS,
    ]
