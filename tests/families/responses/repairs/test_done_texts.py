"""Done events say what the deltas said."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, reasoning, summary, text_part, whole

M_LIFE, M_DONE = message(0, "Hi", " you")
LOGPROB: Json = {"token": "Hi", "logprob": -0.5, "top_logprobs": []}


@pytest.mark.parametrize("said", ["", "Hi", "Other"])
def test_the_deltas_stand(said: str) -> None:
    part, item = text_part(said), {**M_DONE, "content": [text_part(said)]}
    wrong = [{**M_LIFE[4], "text": said}, {**M_LIFE[5], "part": part}, {**M_LIFE[6], "item": item}]
    made = repaired(opened(*M_LIFE[:4], *wrong, terminal()))
    assert made.one("output_text.done")["text"] == "Hi you"
    assert made.one("content_part.done")["part"] == text_part("Hi you")
    assert made.one("output_item.done")["item"] == M_DONE
    assert made.repairs["done_texts"] == 2


@pytest.mark.parametrize(
    ("life", "delta", "done", "field"),
    [
        (message(0, "Hi")[0], "output_text.delta", "output_text.done", "text"),
        (reasoning(0, "Hi")[0], "reasoning_text.delta", "reasoning_text.done", "text"),
        (summary(0, "Hi")[0], "reasoning_summary_text.delta", "reasoning_summary_text.done", "text"),
        (call(0, "Hi")[0], "function_call_arguments.delta", "function_call_arguments.done", "arguments"),
    ],
)
def test_what_the_done_event_adds_is_one_more_delta(
    life: list[Json], delta: str, done: str, field: str
) -> None:
    longer = [{**event, field: "Hi there"} if event["type"].endswith(done) else event for event in life]
    kept = [event for event in longer if not event["type"].endswith(("part.done", "item.done"))]
    made = repaired(opened(*kept, terminal()))
    assert made.values(delta, "delta") == ["Hi", " there"]
    assert made.one(done)[field] == "Hi there"


def test_arguments_that_nobody_could_run_give_way_to_the_done_event() -> None:
    life, done = call(0, '"a": 1}')
    whole_call = {**done, "arguments": '{"a": 1}'}
    made = repaired(
        opened(
            life[0],
            life[1],
            {**life[2], "arguments": '{"a": 1}'},
            {**life[3], "item": whole_call},
            terminal(whole_call),
        ),
        conforming=False,
    )
    assert made.one("function_call_arguments.done")["arguments"] == '{"a": 1}'
    assert made.output == [whole_call]


def test_arguments_that_are_right_are_not_given_up_for_broken_ones() -> None:
    life, done = call(0, "{}")
    made = repaired(opened(life[0], life[1], {**life[2], "arguments": "oops"}, life[3], terminal(done)))
    assert made.one("function_call_arguments.done")["arguments"] == "{}"


def test_logprobs_of_the_deltas_are_in_the_done_events() -> None:
    first = {**M_LIFE[2], "logprobs": [LOGPROB]}
    made = repaired(opened(*M_LIFE[:2], first, *M_LIFE[3:], terminal(M_DONE)))
    assert made.one("output_text.done")["logprobs"] == [LOGPROB]
    (emitted,) = made.one("content_part.done")["part"]["logprobs"]
    assert emitted == {"bytes": [72, 105], **LOGPROB}
    assert made.output[0]["content"][0]["logprobs"] == [emitted]


def test_logprobs_that_are_there_stay() -> None:
    life = [
        *M_LIFE[:2],
        {**M_LIFE[2], "logprobs": [LOGPROB]},
        M_LIFE[3],
        {**M_LIFE[4], "logprobs": [LOGPROB]},
    ]
    made = repaired(opened(*life, terminal()))
    assert "done_texts" not in made.repairs


def test_closings_of_what_the_client_does_not_know_are_left_alone() -> None:
    for disabled in (["item_openings"], ["part_openings"]):
        opening = M_LIFE[:1] if disabled == ["part_openings"] else []
        made = repaired(
            opened(*opening, *M_LIFE[4:6], terminal()), disabled=disabled, strict=False, conforming=False
        )
        assert "done_texts" not in made.repairs


def test_a_part_of_an_unknown_type_is_left_alone() -> None:
    added = {**M_LIFE[1], "part": {"type": "vendor"}}
    item: Json = {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"id": "msg_0", "type": "vendor_item"},
    }
    made = repaired(
        opened(item, added, {**M_LIFE[5], "part": {"type": "vendor"}}, terminal()), conforming=False
    )
    assert "done_texts" not in made.repairs


def test_right_texts_stay() -> None:
    assert untouched(whole(message(0, "Hi", " you"), reasoning(1, "Hm"), summary(2, "Hm"), call(3, "{}")))


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        ('{"a":{"b"', '{"b"'),
        ('"a":{"b"', '{"b"'),
        ('x{"a":{"b"', 'x{"a":{"b"'),
        ('{"c":{"b"', '{"c":{"b"'),
        ('{"z"', '{"z"'),
    ],
)
def test_a_done_event_that_repeats_the_calls_before_it_says_nothing_new(said: str, stands: str) -> None:
    """R49: 0.18.1 gives a call the arguments of those before it as well."""
    first, second = call(0, '{"a":')[0], call(2, '{"b"')[0]
    closing = {**second[2], "arguments": said}
    made = repaired(
        opened(*first, *message(1, "Hi")[0], *second[:2], closing, second[3], terminal()), conforming=False
    )
    assert made.values("function_call_arguments.done", "arguments")[-1] == stands


@pytest.mark.parametrize("closing", [2, 3])
def test_arguments_that_can_be_read_do_not_become_unreadable(closing: int) -> None:
    """R49: a brace too many, in one of the closings."""
    life, done = call(0, "{}")
    wrong = [life[2] | {"arguments": "{}}"}, life[3] | {"item": {**done, "arguments": "{}}"}}]
    life[closing] = wrong[closing - 2]
    made = repaired(opened(*life, terminal(done)))
    assert made.values("function_call_arguments.delta", "delta") == ["{}"]
    assert made.output == [done]
