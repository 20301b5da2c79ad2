"""The judge of messages: one perfect stream, and for every rule changes to it that break this rule and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.breaking import (
    DONE,
    Body,
    Case,
    Change,
    asking,
    both,
    by_rule,
    ending,
    frame,
    inserting,
    rules_of,
    setting,
    without,
)
from vllm_sse_proxy.families.messages.conformance import MINOR, RULES, check_stream

REQUEST: Body = {
    "model": "m",
    "max_tokens": 100,
    "messages": [],
    "stream": True,
    "tools": [
        {"name": "get_weather", "input_schema": {"type": "object", "required": ["city"]}},
        {"name": "get_time", "input_schema": {"type": "object"}},
    ],
    "stop_sequences": ["STOP"],
}
ERROR: Body = {"type": "error", "error": {"type": "api_error", "message": "The engine died."}}
PING: Body = {"type": "ping"}


def started(index: int, **block: Any) -> Body:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, type_: str, **fields: Any) -> Body:
    return {"type": "content_block_delta", "index": index, "delta": {"type": type_, **fields}}


def stopped(index: int) -> Body:
    return {"type": "content_block_stop", "index": index}


def piece(index: int, text: str) -> Body:
    return delta(index, "input_json_delta", partial_json=text)


def call(index: int, name: str) -> Body:
    return started(index, type="tool_use", id=f"toolu_{index}", name=name, input={})


def perfect() -> Case:
    """Return a stream that has one of everything and breaks no rule."""
    message: Body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "m",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": None},
    }
    events = [
        {"type": "message_start", "message": message},  # 0
        PING,  # 1
        started(0, type="thinking", thinking="", signature=""),  # 2
        delta(0, "thinking_delta", thinking="Think."),  # 3
        delta(0, "signature_delta", signature="a1"),  # 4
        stopped(0),  # 5
        started(1, type="text", text=""),  # 6
        b": comment\n\n",  # 7
        delta(1, "text_delta", text="Hello"),  # 8
        stopped(1),  # 9
        call(2, "get_weather"),  # 10
        piece(2, '{"city": '),  # 11
        piece(2, '"Paris"}'),  # 12
        stopped(2),  # 13
        call(3, "get_time"),  # 14
        piece(3, ""),  # 15
        stopped(3),  # 16
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"input_tokens": 5, "output_tokens": 9},
        },  # 17
        {"type": "message_stop"},  # 18
    ]
    return Case(REQUEST, events, named=True)


def bare(*events: Body, reason: str | None = "end_turn", sequence: str | None = None, **request: Any) -> Case:
    """Return a whole stream around some events of blocks, and its request."""
    case = perfect()
    last = {**case[17], "delta": {"stop_reason": reason, "stop_sequence": sequence}}
    return Case(request, [case[0], *events, last, case[18]], named=True)


TEXT = (started(0, type="text", text=""), delta(0, "text_delta", text="Hi"), stopped(0))
CALL = (call(0, "get_time"), piece(0, "{}"), stopped(0))
TOOLS = REQUEST["tools"]
NAMED = {"type": "tool", "name": "get_time"}
MESSAGE = (0, "message")
BLOCK = "content_block"

BROKEN: list[tuple[str, Change]] = [
    # framing
    ("frame_shape", lambda case: setting(3, frame(case[3], named=True).replace(b"\n", b"\r\n"))(case)),
    ("frame_shape", inserting(3, b"event: content_block_delta\n\n")),
    ("frame_shape", inserting(19, b"event: ping")),
    ("json", inserting(3, b"event: ping\ndata: ping\n\n")),
    ("json", inserting(3, b"event: ping\ndata: 1\n\n")),
    ("event_type", inserting(3, b"event: pong\ndata: {}\n\n")),
    ("event_type", inserting(3, {"type": "pong"})),
    ("event_line", lambda case: setting(3, b"event: ping\n" + frame(case[3]))(case)),
    # the message
    ("start_first", inserting(0, PING)),
    ("start_first", without(0)),
    ("start_once", lambda case: inserting(1, case[0])(case)),
    ("message_fields", setting(*MESSAGE, "id", "")),
    ("message_fields", setting(*MESSAGE, "model", None)),
    ("message_fields", setting(*MESSAGE, "content", None)),
    ("message_fields", setting(*MESSAGE, "content", [{"type": "text", "text": "Hi"}])),
    ("message_role", without(*MESSAGE, "type")),
    ("message_role", setting(*MESSAGE, "role", "user")),
    ("message_usage", without(*MESSAGE, "usage")),
    ("message_usage", setting(*MESSAGE, "usage", "output_tokens", None)),
    ("message_usage", setting(*MESSAGE, "usage", "cache_read_input_tokens", "0")),
    ("message_stops", without(*MESSAGE, "stop_reason")),
    ("message_stops", setting(*MESSAGE, "stop_sequence", "")),
    # blocks
    ("block_index", both(*(setting(at, "index", 7) for at in (6, 8, 9)))),
    ("block_index", both(*(setting(at, "index", 1) for at in (2, 3, 4, 5)))),
    ("block_index", both(without(14, "index"), setting(15, "index", 3))),
    ("block_open", setting(8, "index", 0)),
    ("block_open", without(8, "index")),
    ("block_open", inserting(10, delta(1, "text_delta", text="more"))),
    ("block_open", inserting(10, stopped(1))),
    ("block_open", inserting(1, stopped(0))),
    ("block_overlap", without(9)),
    ("block_fields", setting(6, BLOCK, {"type": "image"})),
    ("block_fields", setting(6, BLOCK, {"type": "text", "text": None})),
    ("block_fields", setting(10, BLOCK, "id", "")),
    ("block_fields", without(10, BLOCK, "input")),
    ("block_fields", setting(10, BLOCK, "input", "")),
    ("block_signature", without(2, BLOCK, "signature")),
    ("opened_empty", setting(6, BLOCK, "text", "Hel")),
    ("opened_empty", setting(10, BLOCK, "input", {"city": "Paris"})),
    ("delta_kind", inserting(12, delta(2, "text_delta", text="Hi"))),
    ("delta_kind", inserting(8, piece(1, "{"))),
    ("delta_kind", inserting(8, {**stopped(1), "type": "content_block_delta"})),
    ("delta_fields", setting(8, "delta", {"type": "text_delta"})),
    ("delta_fields", setting(15, "delta", "partial_json", None)),
    ("thinking_end", without(4)),
    ("thinking_end", inserting(4, delta(0, "signature_delta", signature="a0"))),
    ("thinking_end", inserting(5, delta(0, "thinking_delta", thinking=" More."))),
    # calls
    ("call_id", setting(14, BLOCK, "id", "toolu_2")),
    ("call_name", setting(14, BLOCK, "name", "launch")),
    ("call_unasked", asking(tools=None)),
    ("call_unasked", asking(tool_choice={"type": "none"})),
    ("input_cut", without(12)),
    ("input_cut", both(without(12), setting(16, "delta", "stop_reason", "max_tokens"))),
    ("input_cut", both(without(12), ending(14, ERROR))),
    ("input_excess", setting(15, "delta", "partial_json", "{}{}")),
    ("input_json", setting(15, "delta", "partial_json", "{]")),
    ("input_json", setting(15, "delta", "partial_json", "[]")),
    ("input_required", both(without(12), without(11))),
    # the end
    ("message_delta", without(17)),
    ("message_delta", lambda case: inserting(17, case[17])(case)),
    ("message_delta", without(16)),
    ("message_delta", inserting(18, started(4, type="text", text=""), stopped(4))),
    ("stop_reason", setting(17, "delta", "stop_reason", None)),
    ("stop_reason", setting(17, "delta", "stop_reason", "abort")),
    ("stop_reason_calls", setting(17, "delta", "stop_reason", "end_turn")),
    ("stop_sequence", without(17, "delta", "stop_sequence")),
    ("stop_sequence", setting(17, "delta", "stop_sequence", "STOP")),
    ("stop_sequence", setting(17, "delta", {"stop_reason": "stop_sequence", "stop_sequence": None})),
    ("stop_sequence", setting(17, "delta", {"stop_reason": "stop_sequence", "stop_sequence": "HALT"})),
    ("usage", without(17, "usage")),
    ("usage", setting(17, "usage", "output_tokens", "9")),
    ("usage", setting(17, "usage", "cache_read_input_tokens", -1)),
    ("usage", setting(17, "usage", "output_tokens", 0)),
    ("end", without(18)),
    ("end", ending(4)),
    ("end", ending(0)),
    ("done_marker", inserting(19, DONE)),
    ("after_end", inserting(19, PING)),
    ("after_end", inserting(19, ERROR)),
    ("after_end", ending(4, ERROR, PING)),
    ("error_shape", ending(4, {"type": "error", "error": {"type": "internal_error", "message": "x"}})),
    ("error_shape", ending(4, {"type": "error", "error": {"type": "api_error", "message": ""}})),
    ("error_shape", ending(4, {"type": "error", "message": "x"})),
    ("stop_before_error", ending(6, ERROR)),
    ("stop_before_error", ending(6, PING, ERROR)),
    # texts
    ("call_markup", setting(8, "delta", "text", "<tool_call>")),
    ("call_markup", setting(8, "delta", "text", "<|return|>")),
    ("thought_markup", setting(8, "delta", "text", "</think>")),
    ("thought_markup", setting(3, "delta", "thinking", "<think>So")),
    ("stop_string", setting(8, "delta", "text", "Hi STOP")),
]

OTHERS: list[tuple[str, Case]] = [
    (
        "call_name",
        bare(*CALL, reason="tool_use", tools=TOOLS, tool_choice={"type": "tool", "name": "get_weather"}),
    ),
    ("forced_call", bare(*TEXT, tools=TOOLS, tool_choice={"type": "any"})),
    ("forced_call", bare(*TEXT, tools=TOOLS, tool_choice=NAMED)),
    ("stop_reason_calls", bare(*TEXT, reason="tool_use")),
    ("call_unasked", bare(*CALL, reason="tool_use")),
    ("input_cut", bare(CALL[0], piece(0, "{"), CALL[2], reason="stop_sequence", sequence="x", tools=TOOLS)),
    # the second error is one too many, whatever it says
    ("after_end", Case({}, [ERROR, ERROR], named=True)),
]

CONFORMING: dict[str, Case] = {
    "text": bare(*TEXT),
    "nothing at all": bare(),
    "cut text": bare(*TEXT, reason="max_tokens", tools=TOOLS, tool_choice={"type": "any"}),
    "a stop sequence": bare(*TEXT, reason="stop_sequence", sequence="STOP", stop_sequences=["STOP"]),
    "a forced call": bare(*CALL, reason="tool_use", tools=TOOLS, tool_choice=NAMED),
    "a cut call": bare(CALL[0], piece(0, '{"a'), CALL[2], reason="max_tokens", tools=TOOLS),
    "a call cut before its input": bare(call(0, "get_weather"), stopped(0), reason="max_tokens", tools=TOOLS),
    "tools of another kind": bare(*CALL, reason="tool_use", tools=[{"type": "web_search_20250305"}]),
    "an error first": Case({}, [ERROR], named=True),
    "an error in an open block": Case({}, [perfect()[0], *TEXT[:2], ERROR], named=True),
    "an error in an open call": Case(
        {"tools": TOOLS}, [perfect()[0], CALL[0], piece(0, "{"), ERROR], named=True
    ),
    "an error after the last event but one": Case({}, [*bare(*TEXT).events[:-1], ERROR], named=True),
    "a block that comes whole": bare(started(0, type="container_upload", file_id="f"), stopped(0)),
    "a citation": bare(TEXT[0], delta(0, "citations_delta", citation={}), TEXT[2]),
    "a request that is not an object": Case([], bare(*TEXT).events, named=True),
    "a request that makes no sense": Case(
        {"tools": 1, "tool_choice": "auto", "stop_sequences": {}}, bare(*TEXT).events, named=True
    ),
}


def judge(case: Case) -> set[str]:
    return rules_of(check_stream(case.encode(), request=case.request))


def test_the_perfect_stream_breaks_no_rule() -> None:
    assert check_stream(perfect().encode(), request=REQUEST) == []
    assert check_stream(perfect().encode()) == []


@pytest.mark.parametrize("name", CONFORMING)
def test_conforms(name: str) -> None:
    case = CONFORMING[name]
    assert check_stream(case.encode(), request=case.request) == []


@by_rule("rule, change", BROKEN)
def test_breaks_this_rule_and_no_other(rule: str, change: Change) -> None:
    case = perfect()
    change(case)
    assert judge(case) == {rule}


@by_rule("rule, case", OTHERS)
def test_a_small_stream_breaks_this_rule_and_no_other(rule: str, case: Case) -> None:
    assert judge(case) == {rule}


def test_every_rule_is_broken_by_some_test() -> None:
    assert {rule for rule, _ in (*BROKEN, *OTHERS)} == set(RULES)
    assert set(RULES) > MINOR


def test_the_marker_of_other_families_is_one_fault() -> None:
    assert [violation.rule for violation in check_stream(perfect().encode() + DONE)] == ["done_marker"]


def test_a_nameless_error_is_found() -> None:
    # anthropic-python skips frames without an `event:` line: the client would never see it
    stream = (
        perfect().encode().partition(b"event: content_block_start")[0]
        + b"data: "
        + json.dumps(ERROR).encode()
        + b"\n\n"
    )
    assert rules_of(check_stream(stream)) == {"frame_shape", "event_line"}


def test_without_a_request_nothing_is_said_of_what_was_asked_for() -> None:
    assert check_stream(bare(*CALL, reason="tool_use").encode()) == []
    assert check_stream(bare(*TEXT, reason="stop_sequence", sequence="x").encode()) == []
