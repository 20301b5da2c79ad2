"""The judges of transcriptions: a perfect stream of each form, and for every rule changes that break it and no other."""

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
    without,
)
from vllm_sse_proxy.families.transcriptions.conformance import MINOR, OPENAI, RULES, UPSTREAM, check_stream

REQUEST: Body = {"stream": "true", "stream_include_usage": "true", "stream_continuous_usage_stats": True}
ERROR: Body = {
    "error": {"message": "The engine died.", "type": "InternalServerError", "param": None, "code": 500}
}


def events() -> Case:
    """Return a perfect stream of OpenAI's events."""
    segment = {
        "type": "transcript.text.segment",
        "id": "s",
        "start": 0,
        "end": 1.5,
        "speaker": "A",
        "text": "Hello",
    }
    usage = {"type": "tokens", "input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    return Case(
        None,
        [
            {
                "type": "transcript.text.delta",
                "delta": "Hel",
                "logprobs": [{"token": "Hel", "logprob": -1, "bytes": [72]}, {}],
            },  # 0
            b": ping\n\n",  # 1
            {"type": "transcript.text.delta", "delta": "lo"},  # 2
            segment,  # 3
            {"type": "transcript.text.done", "text": "Hello", "usage": usage},  # 4
            DONE,  # 5
        ],
        extra={"dialect": OPENAI},
    )


def usage_of(tokens: int) -> Body:
    return {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}


def chunk(content: Any, tokens: int, **finish: Any) -> Body:
    return {
        "id": "transcribe-1",
        "object": "transcription.chunk",
        "created": 1700000000,
        "model": "m",
        "choices": [{"delta": {"content": content}, **finish}],
        "usage": usage_of(tokens),
    }


def chunks() -> Case:
    """Return a perfect stream of vLLM's chunks: two pieces of audio."""
    return Case(
        REQUEST,
        [
            chunk("Hel", 1),  # 0
            chunk("lo", 2, finish_reason="stop", stop_reason=None),  # 1
            b": ping\n\n",  # 2
            chunk(None, 2),  # 3
            chunk(" you", 3, finish_reason="length", stop_reason=None),  # 4
            {**chunk("", 3), "choices": []},  # 5
            DONE,  # 6
        ],
        extra={"dialect": UPSTREAM},
    )


OF_EVENTS: list[tuple[str, Change]] = [
    ("frame_shape", inserting(2, b"event: x\n\n")),
    ("json", inserting(2, b"data: x\n\n")),
    ("done_marker", inserting(6, DONE)),
    ("event_type", inserting(2, {"type": "transcript.text.more"})),
    ("event_type", inserting(2, {"delta": "x"})),
    ("event_type", inserting(2, chunk("x", 1))),
    ("event_fields", both(setting(2, "delta", None), setting(4, "text", "Hel"))),
    ("event_fields", setting(4, "text", None)),
    ("event_fields", without(3, "start")),
    ("text_sum", setting(4, "text", "Hell")),
    ("token_usage", setting(4, "usage", {})),
    ("token_usage", setting(4, "usage", "total_tokens", 6)),
    ("token_usage", setting(4, "usage", {"type": "duration"})),
    ("logprobs", setting(0, "logprobs", {})),
    ("logprobs", setting(0, "logprobs", [1])),
    ("logprobs", setting(0, "logprobs", 0, "bytes", "H")),
    ("logprobs", setting(0, "logprobs", 0, "bytes", ["H"])),
    ("logprobs", setting(0, "logprobs", 0, "logprob", "1")),
    ("after_done", lambda case: inserting(5, case[4])(case)),
    ("done_event", without(4)),
    ("done_event", ending(0)),
    ("error_shape", ending(3, {"error": {"message": "x"}}, DONE)),
    ("after_error", ending(3, ERROR, ERROR)),
]

OF_CHUNKS: list[tuple[str, Change]] = [
    ("frame_shape", inserting(2, b"event: x\n\n")),
    ("json", inserting(2, b"data: x\n\n")),
    ("done_marker", without(6)),
    ("chunk_fields", setting(1, "object", "chat.completion.chunk")),
    ("chunk_identity", setting(1, "id", "transcribe-2")),
    ("choices_list", inserting(1, {**chunk("", 1), "choices": [], "usage": None})),
    ("choice_fields", setting(1, "choices", 0, "delta", None)),
    ("choice_fields", setting(1, "choices", 0, "delta", "content", 1)),
    ("finish_reason", setting(1, "choices", 0, "finish_reason", "abort")),
    ("end", both(without(5), setting(4, "choices", 0, "finish_reason", None))),
    ("end", ending(0)),
    ("usage_counts", setting(5, "usage", {})),
    ("usage_chunk", without(5)),
    ("usage_continuous", without(3, "usage")),
    ("error_shape", ending(3, {"error": []}, DONE)),
    ("error_code", ending(3, {"error": {**ERROR["error"], "code": 404}}, DONE)),
    ("after_error", ending(3, ERROR, ERROR, DONE)),
]

CONFORMING: dict[str, Case] = {
    "no marker": Case(None, events().events[:5], extra={"dialect": OPENAI}),
    "nothing said": Case(None, [{"type": "transcript.text.done", "text": ""}], extra={"dialect": OPENAI}),
    "usage in seconds": Case(
        None,
        [{"type": "transcript.text.done", "text": "", "usage": {"type": "duration", "seconds": 3}}],
        extra={"dialect": OPENAI},
    ),
    "an error": Case(None, [ERROR, DONE], extra={"dialect": OPENAI}),
    "a translation": Case(
        None,
        [{**chunk("Hi", 1, finish_reason="stop"), "object": "translation.chunk"}, DONE],
        extra={"dialect": UPSTREAM},
    ),
    "usage that was not asked for": Case({}, chunks().events, extra={"dialect": UPSTREAM}),
    "an error in chunks": Case(None, [ERROR, DONE], extra={"dialect": UPSTREAM}),
}

BROKEN = [(events, *each) for each in OF_EVENTS] + [(chunks, *each) for each in OF_CHUNKS]


def judge(case: Case) -> set[str]:
    return rules_of(check_stream(case.encode(), request=case.request, **case.extra))


@pytest.mark.parametrize("perfect", [events, chunks])
def test_the_perfect_streams_break_no_rule(perfect: Any) -> None:
    assert judge(perfect()) == set()


@pytest.mark.parametrize("name", CONFORMING)
def test_conforms(name: str) -> None:
    assert judge(CONFORMING[name]) == set()


@by_rule("perfect, rule, change", BROKEN)
def test_breaks_this_rule_and_no_other(perfect: Any, rule: str, change: Change) -> None:
    case = perfect()
    change(case)
    assert judge(case) == {rule}


def test_every_rule_is_broken_by_some_test() -> None:
    assert {rule for _, rule, _ in BROKEN} == set(RULES)
    assert set(RULES) > MINOR


def test_events_are_what_a_judge_expects_by_default() -> None:
    assert check_stream(events().encode()) == []


def test_a_stream_in_vllms_chunks_is_one_fault_and_no_end_for_clients_of_openai() -> None:
    violations = check_stream(chunks().encode())
    assert [violation.rule for violation in violations] == ["event_type", "done_event"]


def test_usage_is_not_expected_where_nobody_asked() -> None:
    case = chunks()
    both(asking(stream_include_usage="false"), without(5))(case)
    assert judge(case) == set()
