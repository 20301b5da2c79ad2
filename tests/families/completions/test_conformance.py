"""The judge of completions: one perfect stream, and for every rule changes to it that break this rule and no other."""

from __future__ import annotations

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
from vllm_sse_proxy.families.completions.conformance import MINOR, RULES, check_stream

REQUEST: Body = {
    "model": "m",
    "prompt": ["One", "Two"],
    "stream": True,
    "logprobs": 1,
    "stop": "STOP",
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}
ERROR: Body = {
    "error": {"message": "The engine died.", "type": "InternalServerError", "param": None, "code": 500}
}


def usage(tokens: int) -> Body:
    return {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}


def logprobs(offset: int, *tokens: str) -> Body:
    return {
        "text_offset": [offset + sum(map(len, tokens[:at])) for at in range(len(tokens))],
        "token_logprobs": [None, *(-0.5 for _ in tokens[1:])],
        "tokens": [*tokens],
        "top_logprobs": [None, *({token: -0.5} for token in tokens[1:])],
    }


def chunk(index: int, text: str, tokens: int, reason: str | None = None, **fields: Any) -> Body:
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1700000000,
        "model": "m",
        "choices": [{"index": index, "text": text, "logprobs": None, "finish_reason": reason, **fields}],
        "usage": usage(tokens),
    }


def perfect() -> Case:
    """Return a stream that has one of everything and breaks no rule."""
    return Case(
        REQUEST,
        [
            chunk(1, "Two", 1, logprobs=logprobs(0, "Two"), prompt_token_ids=None, token_ids=[1]),  # 0
            b": ping\n\n",  # 1
            chunk(0, "Hello", 2, logprobs=logprobs(5, "Hel", "lo"), stop_reason=None),  # 2
            chunk(0, " you", 3, logprobs=logprobs(10, " you")),  # 3
            chunk(1, "", 1, "length"),  # 4
            chunk(0, "", 3, "stop", stop_reason="STOP"),  # 5
            {**chunk(0, "", 4), "choices": []},  # 6
            DONE,  # 7
        ],
    )


def bare(text: str, reason: str = "stop", **request: Any) -> Case:
    """Return a stream of one chunk with a choice, and its request."""
    event = chunk(0, text, 1, reason)
    del event["usage"]
    return Case(request, [event, DONE])


CHOICE = ("choices", 0)
LOGPROBS = (*CHOICE, "logprobs")

BROKEN: list[tuple[str, Change]] = [
    ("frame_shape", inserting(2, b"event: ping\n\n")),
    ("json", inserting(2, b"data: {'a': 1}\n\n")),
    ("done_marker", without(7)),
    ("chunk_fields", setting(2, "object", "chat.completion.chunk")),
    ("chunk_identity", setting(2, "id", "cmpl-2")),
    ("choices_list", setting(2, "choices", [None])),
    ("choice_index", inserting(2, chunk(2, "", 0, "stop"))),
    ("choice_index", inserting(2, chunk(-1, "", 0))),
    ("choice_index", inserting(2, chunk(True, "", 0))),
    ("choice_fields", setting(4, *CHOICE, "text", None)),
    ("choice_fields", setting(4, *CHOICE, "logprobs", [])),
    ("finish_reason", setting(5, *CHOICE, "finish_reason", "abort")),
    ("finish_reason", setting(5, *CHOICE, "finish_reason", "tool_calls")),
    ("finish_reason", setting(5, *CHOICE, "finish_reason", {})),
    ("after_finish", inserting(5, chunk(1, "more", 1, logprobs=logprobs(3, "more")))),
    ("after_finish", inserting(5, chunk(1, "", 1, "stop"))),
    ("end", both(without(6), without(5))),
    ("end", ending(0)),
    ("logprobs", without(2, *LOGPROBS, "tokens")),
    ("logprobs", setting(2, *LOGPROBS, "tokens", ["Hello"])),
    ("logprobs", setting(2, *LOGPROBS, "tokens", 0, 1)),
    ("logprobs", setting(2, *LOGPROBS, "text_offset", 0, -1)),
    ("logprobs", setting(2, *LOGPROBS, "token_logprobs", 0, "x")),
    ("logprobs", setting(2, *LOGPROBS, "top_logprobs", 1, {"lo": None})),
    ("logprobs", setting(2, *LOGPROBS, "top_logprobs", 1, [])),
    ("logprobs_missing", setting(3, *CHOICE, "logprobs", None)),
    ("text_offset", setting(3, *LOGPROBS, "text_offset", [13])),
    ("text_offset", setting(2, *LOGPROBS, "text_offset", [5, 5])),
    ("stop_string", both(setting(2, *CHOICE, "text", "ST"), setting(3, *CHOICE, "text", "OP"))),
    ("usage_counts", setting(6, "usage", {"total_tokens": 1})),
    ("usage_chunk", without(6)),
    ("usage_chunk", swapping(5, 6)),
    ("usage_continuous", without(2, "usage")),
    ("error_shape", ending(3, {"error": ""}, DONE)),
    ("error_code", ending(3, {"error": {**ERROR["error"], "code": 422}}, DONE)),
    ("after_error", ending(3, ERROR, chunk(0, "", 3, "stop"), DONE)),
]

CONFORMING: dict[str, Case] = {
    "text": bare("Hi", prompt="x"),
    "a prompt of tokens": bare("Hi", prompt=[1, 2, 3]),
    "prompts of tokens": Case({"prompt": [[1], [2]]}, [*perfect().events[:6], DONE]),
    "a prompt that is not known": Case({"prompt_embeds": ["x"]}, [*perfect().events[:6], DONE]),
    "the echo of a stop string": bare("STOP", prompt="x", stop=["STOP"], echo=True),
    "a stop string that is shown": bare("STOP", prompt="x", stop=["STOP"], include_stop_str_in_output=True),
    "an error first": Case({"prompt": "x", "n": 4}, [ERROR, DONE]),
    "a request that is not an object": Case(None, bare("Hi").events),
    "a request that makes no sense": Case(
        {"n": -1, "stop": 1, "prompt": {}, "logprobs": True}, bare("Hi").events
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


def test_every_rule_is_broken_by_some_test() -> None:
    assert {rule for rule, _ in BROKEN} == set(RULES)
    assert set(RULES) > MINOR


def test_a_shifted_offset_is_reported_once() -> None:
    case = perfect()
    both(
        setting(3, *LOGPROBS, "text_offset", [13]),
        inserting(4, chunk(0, "!", 3, logprobs=logprobs(17, "!"))),
    )(case)
    assert len(check_stream(case.encode(), request=REQUEST)) == 1


def test_the_number_of_choices_is_that_of_prompts_times_n() -> None:
    case = perfect()
    asking(n=2)(case)
    assert judge(case) == {"usage_chunk", "end"}
