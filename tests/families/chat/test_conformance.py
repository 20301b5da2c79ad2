"""The judge of chat completions: one perfect stream, and for every rule changes to it that break this rule and no other."""

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
    inserting,
    rules_of,
    setting,
    swapping,
    without,
)
from vllm_sse_proxy.families.chat.conformance import MINOR, RULES, ConformanceChecker, check_stream

TOOL: Body = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "required": ["city"]}},
}
PLAIN: Body = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}
REQUEST: Body = {
    "model": "m",
    "messages": [],
    "stream": True,
    "n": 2,
    "tools": [TOOL, PLAIN],
    "logprobs": True,
    "stop": ["STOP", "HALT"],
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}
ERROR: Body = {
    "error": {"message": "The engine died.", "type": "InternalServerError", "param": None, "code": 500}
}
ABSENT: Any = object()


def logprob(token: str) -> Body:
    return {
        "token": token,
        "logprob": -0.5,
        "bytes": [*token.encode()],
        "top_logprobs": [{"token": "a", "logprob": -1}],
    }


def chunk(index: int, delta: Body, tokens: int, reason: str | None = None, **fields: Any) -> Body:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "m",
        "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": reason, **fields}],
        "usage": usage(tokens),
    }


def usage(tokens: int) -> Body:
    return {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}


def head(number: int, name: str, arguments: str = "") -> Body:
    function = {"name": name, "arguments": arguments}
    return {
        "tool_calls": [{"index": number, "id": f"call_{number}", "type": "function", "function": function}]
    }


def piece(number: int, arguments: str) -> Body:
    return {"tool_calls": [{"index": number, "function": {"arguments": arguments}}]}


def perfect() -> Case:
    """Return a stream that has one of everything and breaks no rule."""
    said = {"content": [logprob("Hi")], "refusal": None}
    first = chunk(0, {"role": "assistant", "content": ""}, 0)
    return Case(
        REQUEST,
        [
            {**first, "prompt_token_ids": None, "prompt_text": None, "system_fingerprint": "f"},  # 0
            b": ping\n\n",  # 1
            chunk(1, {"role": "assistant", "content": ""}, 0),  # 2
            chunk(0, {"reasoning": "Think.", "reasoning_content": "Think."}, 1, token_ids=[1]),  # 3
            chunk(1, {"content": "Hi"}, 1, logprobs=said),  # 4
            chunk(0, head(0, "get_weather"), 2),  # 5
            chunk(0, piece(0, '{"city": '), 3),  # 6
            chunk(0, piece(0, '"Paris"}\n'), 4),  # 7
            chunk(1, {}, 2, "stop", stop_reason="STOP"),  # 8
            chunk(0, head(1, "get_time"), 5),  # 9
            chunk(0, piece(1, "{}"), 6),  # 10
            chunk(0, {}, 6, "tool_calls", stop_reason=None, token_ids=[2]),  # 11
            {**chunk(0, {}, 8), "choices": []},  # 12
            DONE,  # 13
        ],
    )


def bare(delta: Body, reason: str | None = "stop", **request: Any) -> Case:
    """Return a stream of one chunk with a choice, and its request."""
    event = chunk(0, {"role": "assistant", **delta}, 1, reason)
    del event["usage"]
    return Case(request, [event, DONE])


DELTA = ("choices", 0, "delta")
CALL = (*DELTA, "tool_calls", 0)
REASON = ("choices", 0, "finish_reason")
LOGPROBS = ("choices", 0, "logprobs")
NAMED = {"type": "function", "function": {"name": "get_time"}}
USAGE_ONLY = asking(stream_options={"include_usage": True})


def arguments(first: str, second: str) -> Change:
    """Return a change of the two pieces with arguments of the first call."""
    return both(
        setting(6, *CALL, "function", "arguments", first), setting(7, *CALL, "function", "arguments", second)
    )


def numbered(*numbers: int) -> Change:
    """Return a change of the indexes of the five pieces of calls."""
    return both(
        *(setting(at, *CALL, "index", number) for at, number in zip((5, 6, 7, 9, 10), numbers, strict=True))
    )


BROKEN: list[tuple[str, Change]] = [
    # framing
    (
        "frame_shape",
        lambda case: inserting(2, b"event: x\ndata: " + json.dumps(case[3]).encode() + b"\n\n")(case),
    ),
    ("frame_shape", inserting(1, b": ping\r\n\r\n")),
    (
        "frame_shape",
        lambda case: setting(0, b"\xef\xbb\xbfdata: " + json.dumps(case[0]).encode() + b"\n\n")(case),
    ),
    ("frame_shape", inserting(14, b": and then")),
    ("json", inserting(3, b"data: {\n\n")),
    ("json", inserting(3, b'data: {"a": NaN}\n\n')),
    ("json", inserting(3, b"data: []\n\n")),
    ("json", inserting(3, b"data: \xff\n\n")),
    ("done_marker", without(13)),
    ("done_marker", inserting(14, DONE)),
    ("done_marker", ending(4, ERROR)),
    # chunks
    ("chunk_fields", without(3, "id")),
    ("chunk_fields", setting(3, "id", "")),
    ("chunk_fields", setting(3, "object", "chat.completion")),
    ("chunk_fields", setting(3, "object", [])),
    ("chunk_fields", setting(3, "created", 1.5)),
    ("chunk_fields", setting(3, "model", None)),
    (
        "chunk_fields",
        inserting(3, {key: value for key, value in chunk(0, {}, 1).items() if key != "choices"}),
    ),
    ("chunk_fields", setting(3, "system_fingerprint", 1)),
    ("chunk_fields", setting(3, "service_tier", "best")),
    ("chunk_identity", setting(3, "id", "chatcmpl-2")),
    ("chunk_identity", setting(3, "created", 1700000001)),
    ("chunk_identity", setting(12, "model", "other")),
    ("choices_list", inserting(3, {**chunk(0, {}, 1), "choices": [], "usage": None})),
    ("choices_list", lambda case: case[3]["choices"].append(None)),
    ("choices_list", lambda case: case[3]["choices"].append(case[3]["choices"][0])),
    ("choice_index", asking(n=1)),
    ("choice_index", inserting(4, chunk(2, {"role": "assistant"}, 1, "stop"))),
    ("choice_index", swapping(0, 2)),
    ("choice_index", inserting(4, chunk(-1, {"content": "x"}, 1))),
    ("choice_index", inserting(4, chunk(None, {"content": "x"}, 1))),  # type: ignore[arg-type]
    ("choice_fields", setting(3, *DELTA, None)),
    ("choice_fields", without(11, *DELTA)),
    ("choice_fields", setting(3, *LOGPROBS, [])),
    # deltas
    ("delta_fields", setting(4, *DELTA, "content", [])),
    ("delta_fields", setting(3, *DELTA, "refusal", {})),
    ("delta_fields", setting(3, *DELTA, "function_call", "f")),
    ("delta_fields", setting(3, *DELTA, "tool_calls", {})),
    ("delta_fields", inserting(6, chunk(0, {"tool_calls": [None]}, 2))),
    ("delta_fields", inserting(6, chunk(0, {"tool_calls": [{"index": 0, "function": []}]}, 2))),
    ("delta_fields", inserting(6, chunk(0, {"tool_calls": [{"index": 0, "id": 1}]}, 2))),
    (
        "delta_fields",
        inserting(6, chunk(0, {"tool_calls": [{"index": 0, "function": {"arguments": {}}}]}, 2)),
    ),
    ("role", without(0, *DELTA, "role")),
    ("role", setting(0, *DELTA, "role", "user")),
    ("role", setting(3, *DELTA, "role", "assistant")),
    ("role", setting(3, *DELTA, "role", "")),
    ("delta_empty", both(inserting(3, chunk(0, {}, 1)), without(3, "usage"), USAGE_ONLY)),
    ("delta_empty", both(inserting(3, chunk(0, {"content": None}, 1)), without(3, "usage"), USAGE_ONLY)),
    ("delta_kinds", setting(4, *DELTA, "reasoning", "Hm")),
    ("delta_kinds", setting(5, *DELTA, "reasoning", "Hm")),
    ("reasoning_names", setting(3, *DELTA, "reasoning_content", "Else.")),
    # calls
    ("tool_calls_list", setting(3, *DELTA, "tool_calls", [])),
    (
        "calls_in_delta",
        lambda case: case[5]["choices"][0]["delta"]["tool_calls"].extend(piece(0, " ")["tool_calls"]),
    ),
    ("call_index", numbered(0, 0, 0, 2, 2)),
    ("call_index", numbered(1, 1, 1, 2, 2)),
    ("call_index", numbered(0, 0, 0, 0, 0)),
    ("call_index", without(6, *CALL, "index")),
    ("call_index", both(without(9, *CALL, "index"), setting(10, *CALL, "index", None))),
    ("call_order", inserting(10, chunk(0, piece(0, " "), 5))),
    ("call_head", without(5, *CALL, "id")),
    ("call_head", setting(5, *CALL, "id", "")),
    ("call_head", without(5, *CALL, "type")),
    ("call_head", setting(5, *CALL, "type", "tool")),
    ("call_head", without(5, *CALL, "function", "name")),
    ("call_head", without(5)),
    ("call_head_arguments", without(5, *CALL, "function", "arguments")),
    ("call_head_arguments", setting(5, *CALL, "function", "arguments", None)),
    ("call_piece", setting(6, *CALL, "id", "call_0")),
    ("call_piece", setting(6, *CALL, "id", "call_9")),
    ("call_piece", setting(6, *CALL, "type", "function")),
    ("call_piece", setting(6, *CALL, "type", None)),
    ("call_piece", setting(6, *CALL, "function", "name", "get_weather")),
    ("call_piece_nulls", setting(6, *CALL, "id", None)),
    ("call_piece_nulls", setting(6, *CALL, "function", "name", "")),
    ("call_piece_empty", inserting(6, chunk(0, piece(0, ""), 2))),
    ("call_piece_empty", inserting(6, chunk(0, {"tool_calls": [{"index": 0}]}, 2))),
    ("call_id", setting(9, *CALL, "id", "call_0")),
    ("call_name", setting(9, *CALL, "function", "name", "launch")),
    ("call_unasked", both(asking(tools=None), setting(11, *REASON, "stop"))),
    ("call_unasked", asking(tool_choice="none")),
    ("arguments_missing", both(without(6), without(6))),
    ("arguments_missing", arguments(" ", "\n")),
    ("arguments_cut", without(7)),
    ("arguments_cut", setting(10, *CALL, "function", "arguments", '{"a": 1')),
    ("arguments_excess", arguments('{"city": "Paris"}', "}")),
    ("arguments_excess", arguments("{}", '{"city": "Paris"}')),
    ("arguments_excess", both(arguments('{"city": "Paris"}', "}"), ending(9, ERROR, DONE))),
    ("arguments_json", arguments("{city: ", "Paris}")),
    ("arguments_json", arguments('["Paris"', "]")),
    ("arguments_required", arguments("{", "}")),
    # the end of a choice
    ("finish_reason", setting(8, *REASON, "abort")),
    ("finish_reason", setting(8, *REASON, 1)),
    (
        "after_finish",
        inserting(9, chunk(1, {"content": "more"}, 2, logprobs={"content": [], "refusal": None})),
    ),
    ("after_finish", inserting(9, chunk(1, {}, 2, "stop"))),
    ("end", ending(8)),
    ("end", ending(8, DONE)),
    ("end", ending(0)),
    ("end", both(without(12), asking(n=3, stream_options=None))),
    ("finish_calls", setting(8, *REASON, "tool_calls")),
    ("finish_calls", setting(11, *REASON, "stop")),
    ("forced_call", asking(tool_choice="required")),
    # texts
    ("call_markup", setting(4, *DELTA, "content", '<tool_call>\n{"name"')),
    ("call_markup", setting(4, *DELTA, "content", "<|start|>assistant")),
    ("thought_markup", setting(3, *DELTA, {"reasoning": "\n<think>\nSo"})),
    (
        "thought_markup",
        both(inserting(5, chunk(1, {"reasoning": "Hm"}, 1)), setting(4, *DELTA, "content", "So</think>")),
    ),
    ("stop_string", setting(4, *DELTA, "content", "Hi HALT")),
    # usage
    ("usage_counts", setting(12, "usage", {"prompt_tokens": 3})),
    ("usage_counts", setting(12, "usage", {**usage(8), "total_tokens": 3})),
    ("usage_counts", setting(12, "usage", {**usage(8), "prompt_tokens_details": []})),
    (
        "usage_counts",
        setting(12, "usage", {**usage(8), "completion_tokens_details": {"reasoning_tokens": -1}}),
    ),
    ("usage_chunk", without(12)),
    ("usage_chunk", inserting(12, {**chunk(0, {}, 8), "choices": []})),
    ("usage_chunk", swapping(11, 12)),
    ("usage_continuous", without(4, "usage")),
    ("usage_continuous", setting(8, "usage", usage(0))),
    # log probabilities
    ("logprobs", setting(4, *LOGPROBS, "content", {})),
    ("logprobs", without(4, *LOGPROBS, "content", 0, "token")),
    ("logprobs", setting(4, *LOGPROBS, "content", 0, "logprob", None)),
    ("logprobs", setting(4, *LOGPROBS, "content", 0, "bytes", "Hi")),
    ("logprobs", without(4, *LOGPROBS, "content", 0, "top_logprobs")),
    ("logprobs", setting(4, *LOGPROBS, "content", 0, "top_logprobs", 0, 1)),
    ("logprobs_refusal", without(4, *LOGPROBS, "refusal")),
    ("logprobs_missing", setting(4, *LOGPROBS, None)),
    # errors
    ("error_shape", ending(4, {"error": "The engine died."}, DONE)),
    (
        "error_shape",
        ending(
            4,
            {"object": "error", "message": "x", "type": "BadRequestError", "param": None, "code": 500},
            DONE,
        ),
    ),
    ("error_shape", ending(4, {**ERROR, "choices": []}, DONE)),
    ("error_shape", ending(4, {"error": {**ERROR["error"], "message": ""}}, DONE)),
    ("error_shape", ending(4, {"error": {**ERROR["error"], "type": None}}, DONE)),
    ("error_shape", ending(4, {"error": {"message": "x", "type": "y", "code": 500}}, DONE)),
    ("error_shape", ending(4, {"error": {**ERROR["error"], "code": "500"}}, DONE)),
    ("error_shape", ending(4, {"error": {**ERROR["error"], "code": 200}}, DONE)),
    ("error_code", ending(4, {"error": {**ERROR["error"], "code": 400}}, DONE)),
    ("after_error", inserting(13, ERROR, chunk(0, {}, 8, "stop"))),
    ("after_error", ending(4, ERROR, ERROR, DONE)),
]

CALLED = head(0, "get_time", "{}")
OTHERS: list[tuple[str, Case]] = [
    # a named choice
    ("call_name", bare(head(0, "get_weather", '{"city": "Rome"}'), tools=[TOOL, PLAIN], tool_choice=NAMED)),
    ("finish_calls", bare(CALLED, "tool_calls", tools=[TOOL, PLAIN], tool_choice=NAMED)),
    ("forced_call", bare({"content": "Hi"}, tools=[TOOL, PLAIN], tool_choice=NAMED)),
    # an auto and a required one
    ("finish_calls", bare({"content": "Hi"}, "tool_calls", tools=[PLAIN])),
    ("finish_calls", bare({"content": "Hi"}, "tool_calls")),
    ("finish_calls", bare(CALLED, tools=[PLAIN], tool_choice="required")),
    # a request without tools
    ("call_unasked", bare(CALLED)),
]


def perfect_cut(reason: str) -> Case:
    """Return the perfect stream without the end of its first call, and with another finish reason."""
    case = perfect()
    both(setting(11, *REASON, reason), without(7))(case)
    return case


CONFORMING: dict[str, Case] = {
    "text": bare({"content": "Hi"}),
    "nothing at all": bare({"content": ""}),
    "length with text": bare({"content": "Hi"}, "length", tools=[PLAIN], tool_choice="required"),
    "a cut call": bare(head(0, "get_time", '{"a": '), "length", tools=[PLAIN]),
    "the first of two calls cut, as the finish reason says": perfect_cut("length"),
    "the first of two calls cut, before an error": Case(
        {"tools": [PLAIN]},
        [
            chunk(0, {"role": "assistant", **head(0, "get_time", "{")}, 1),
            chunk(0, head(1, "get_time", "{"), 1),
            ERROR,
            DONE,
        ],
    ),
    "a call cut before its arguments": bare(head(0, "get_time", ""), "length", tools=[PLAIN]),
    "a named choice": bare(CALLED, tools=[TOOL, PLAIN], tool_choice=NAMED),
    "a named choice that is cut": bare(CALLED, "length", tools=[TOOL, PLAIN], tool_choice=NAMED),
    "a required choice": bare(CALLED, "tool_calls", tools=[PLAIN], tool_choice="required"),
    "a tool of another kind": bare(CALLED, "tool_calls", tools=[{"type": "custom"}]),
    "a refusal": bare({"refusal": "No."}),
    "the old function call": bare({"function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
    "markup that nobody parses": bare({"content": "<tool_call> and <think>"}),
    "harmony that was asked for": bare({"content": "<|start|>"}, skip_special_tokens=False),
    "a stop string that is shown": bare({"content": "HALT"}, stop="HALT", include_stop_str_in_output=True),
    "a surrogate half": bare({"content": "\ud83d"}),
    "an error first": Case({"n": 2}, [ERROR, DONE]),
    "a refusal of the request": Case(
        {}, [{"error": {**ERROR["error"], "code": 400, "param": "top_logprobs"}}, DONE]
    ),
    "usage that was not asked for": Case(
        {}, [*bare({"content": "Hi"}).events[:1], {**chunk(0, {}, 1), "choices": []}, DONE]
    ),
    "a request that is not an object": Case("{", bare({"content": "Hi"}).events),
    "a request that makes no sense": Case(
        {"n": "2", "tools": {}, "tool_choice": 1, "stop": 2, "stream_options": [], "logprobs": 1},
        bare({"content": "Hi"}).events,
    ),
    "a choice of tools in a form of its own": bare(
        {"content": "Hi"}, tools=[PLAIN], tool_choice={"type": "allowed_tools", "allowed_tools": {}}
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


def test_without_a_request_nothing_is_said_of_what_was_asked_for() -> None:
    for change in (
        asking(tools=None),
        asking(tool_choice="required"),
        asking(n=3),
        setting(11, *REASON, "stop"),
    ):
        case = perfect()
        change(case)
        case.events = [event for event in case.events if event != case[12]]
        assert check_stream(case.encode()) == []


def test_positions_count_events_and_not_comments() -> None:
    case = perfect()
    setting(3, "id", "")(case)
    (violation,) = check_stream(case.encode(), request=REQUEST)
    assert violation.position == 2
    assert str(violation) == "event 2: chunk_fields: id is ''"


def test_frames_with_other_line_ends_are_judged_too() -> None:
    stream = perfect().encode().replace(b"\n", b"\r\n")
    assert [violation.rule for violation in check_stream(stream, request=REQUEST)] == ["frame_shape"]
    assert rules_of(check_stream(stream.replace(b'"id": "chatcmpl-1"', b'"id": 1'))) == {
        "frame_shape",
        "chunk_fields",
    }


def test_one_fault_is_reported_once() -> None:
    case = perfect()
    setting(0, "id", "chatcmpl-0")(case)
    assert len(check_stream(case.encode(), request=REQUEST)) == 1


def test_events_may_be_fed_one_by_one() -> None:
    checker = ConformanceChecker(request=REQUEST)
    case = perfect()
    for event in case.events:
        if isinstance(event, dict):
            assert checker.feed(None, json.dumps(event).encode()) == []
    assert checker.feed(None, b"[DONE]") == []
    assert checker.finish() == []
