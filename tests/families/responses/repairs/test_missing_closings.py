"""Texts, parts and items are closed before what closes around them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import (
    Json,
    call,
    message,
    numbered,
    reasoning,
    search,
    summary,
    text_part,
    whole,
    wire,
)
from vllm_sse_proxy import BodyEnd

LIVES = [message(0, "Hi"), reasoning(0, "Hm"), summary(0, "Hm"), call(0, "{}")]
M_LIFE, M_DONE = message(0, "Hi")
NOTE = {"type": "url_citation", "url": "http://a/", "title": "A", "start_index": 0, "end_index": 1}


@pytest.mark.parametrize(("life", "done"), LIVES)
@pytest.mark.parametrize("kept", [1, 2, 3, 4, 5])
def test_the_terminal_event_closes_what_is_open(life: list[Json], done: Json, kept: int) -> None:
    made = repaired(opened(*life[:kept], terminal(done)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]
    assert made.output == [done]


@pytest.mark.parametrize(("life", "done"), LIVES)
def test_the_done_item_closes_its_parts(life: list[Json], done: Json) -> None:
    for kept in range(1, len(life)):
        made = repaired(opened(*life[:kept], life[-1], terminal(done)))
        assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]


def test_without_the_correction_what_is_open_stays_open() -> None:
    made = repaired(opened(*M_LIFE[:3]), disabled=["missing_closings"], conforming=False)
    assert made.body == ["output_item.added", "content_part.added", "output_text.delta", "error", "failed"]


def test_the_done_part_closes_its_text() -> None:
    made = repaired(opened(*M_LIFE[:3], *M_LIFE[4:], terminal(M_DONE)))
    assert made.one("output_text.done")["text"] == "Hi"
    life, done = summary(0, "Hm")
    made = repaired(opened(*life[:3], *life[4:], terminal(done)))
    assert made.one("reasoning_summary_text.done")["text"] == "Hm"


def test_text_that_only_the_whole_proves_is_emitted_as_one_more_delta() -> None:
    proof = {**M_DONE, "content": [text_part("Hi there")]}
    made = repaired(opened(*M_LIFE[:3], terminal(proof)))
    assert made.values("output_text.delta", "delta") == ["Hi", " there"]
    made = repaired(opened(*M_LIFE[:3], {**M_LIFE[5], "item": proof}, terminal(proof)))
    assert made.values("output_text.delta", "delta") == ["Hi", " there"]
    made = repaired(opened(*M_LIFE[:3], {**M_LIFE[4], "part": text_part("Hi there")}, terminal(proof)))
    assert made.values("output_text.delta", "delta") == ["Hi", " there"]
    life, done = call(0, '{"a"')
    made = repaired(opened(*life[:2], terminal({**done, "arguments": '{"a": 1}'})))
    assert made.values("function_call_arguments.delta", "delta") == ['{"a"', ": 1}"]


def test_arguments_that_nobody_could_run_give_way_to_the_whole() -> None:
    life, done = call(0, '"a": 1}')
    proof = {**done, "arguments": '{"a": 1}'}
    for end in ([{**life[3], "item": proof}, terminal(proof)], [terminal(proof)]):
        made = repaired(opened(*life[:2], *end), conforming=False)
        assert made.one("function_call_arguments.done")["arguments"] == '{"a": 1}'
        assert made.output == [proof]


def test_annotations_that_only_the_whole_has_are_emitted() -> None:
    proof = {**M_DONE, "content": [{**text_part("Hi"), "annotations": [NOTE]}]}
    made = repaired(opened(*M_LIFE[:3], terminal(proof)))
    assert made.values("output_text.annotation.added", "annotation") == [NOTE]
    assert made.output == [proof]


@pytest.mark.parametrize("end", [BodyEnd.CUT, BodyEnd.RESET, BodyEnd.SHUTDOWN])
def test_a_broken_body_closes_them_as_incomplete(end: BodyEnd) -> None:
    made = repaired(opened(*M_LIFE[:3]), end=end)
    assert made.body[-3:] == ["output_item.done", "error", "failed"]
    assert made.one("output_item.done")["item"]["status"] == "incomplete"


def test_so_does_an_error() -> None:
    made = repaired(opened(*M_LIFE[:3], {"error": {"message": "m"}}))
    assert made.one("output_item.done")["item"]["status"] == "incomplete"
    assert made.one("output_item.done")["item"]["content"] == [text_part("Hi")]


def test_upstreams_own_sentinel_says_nothing_of_what_upstream_left_open() -> None:
    made = repaired(wire(numbered(opened(*M_LIFE[:3]))))
    assert made.one("output_item.done")["item"]["status"] == "incomplete"
    assert made.body[-1] == "failed"


def test_a_cut_response_cuts_its_last_open_item_only() -> None:
    life, done = message(1, "Ha")
    end: dict[str, Any] = {"name": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    made = repaired(opened(*M_LIFE[:3], *life[:3], terminal(M_DONE, done, **end)))
    assert [event["item"]["status"] for event in made.all("output_item.done")] == ["completed", "incomplete"]


@pytest.mark.parametrize("life", [reasoning(0, "Hm")[0], summary(0, "Hm")[0]])
@pytest.mark.parametrize("kept", [4, 5])
def test_reasoning_whose_text_is_done_is_closed_before_the_next_item(life: list[Json], kept: int) -> None:
    after, done = call(1, "{}")
    made = repaired(opened(*life[:kept], *after, terminal({"type": "reasoning"}, done)))
    names = [event["type"].removeprefix("response.") for event in [*life, *after, terminal()]]
    assert made.body == names
    assert [item["type"] for item in made.output] == ["reasoning", "function_call"]


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_reasoning_that_may_go_on_stays_open(kept: int) -> None:
    life, _ = reasoning(0, "Hm")
    after, done = call(1, "{}")
    made = repaired(opened(*life[:kept], *after, terminal({"type": "reasoning"}, done)))
    assert [event["item"]["type"] for event in made.all("output_item.done")] == ["function_call", "reasoning"]


def test_a_part_that_the_client_does_not_know_is_not_closed() -> None:
    closing = [M_LIFE[0], M_LIFE[4], M_LIFE[5], terminal(M_DONE)]
    made = repaired(opened(*closing), disabled=["part_openings"], strict=False, conforming=False)
    assert not made.normalizer.tally.repair_failures


def test_what_is_closed_stays() -> None:
    assert untouched(whole(message(0, "Hi"), reasoning(1, "Hm"), summary(2, "Hm"), call(3, "{}"), search(4)))


def test_a_call_that_was_cut_after_its_name_is_incomplete() -> None:
    """0.24.0 says nothing more of it (R41)."""
    life, done = call(0)
    end = terminal(incomplete_details={"reason": "max_output_tokens"})
    end["response"]["status"] = "incomplete"
    made = repaired(opened(life[0], end))
    assert made.body == [
        "output_item.added",
        "function_call_arguments.done",
        "output_item.done",
        "incomplete",
    ]
    assert made.output == [{**done, "status": "incomplete"}]


CUSTOM: Json = {
    "id": "ctc_0",
    "type": "custom_tool_call",
    "call_id": "call_0",
    "name": "sh",
    "input": "",
    "status": "in_progress",
}
CUSTOM_LIFE: list[Json] = [
    {"type": "response.output_item.added", "output_index": 0, "item": CUSTOM},
    {
        "type": "response.custom_tool_call_input.delta",
        "item_id": "ctc_0",
        "output_index": 0,
        "delta": "rm -rf /tmp",
    },
]
VENDORS: Json = {
    "id": "x_0",
    "type": "shell_call",
    "call_id": "call_0",
    "status": "in_progress",
    "action": {"commands": ["ls"]},
}
VENDORS_LIFE: list[Json] = [{"type": "response.output_item.added", "output_index": 0, "item": VENDORS}]
REPORT: Json = {"error": {"type": "server_error", "code": "x", "message": "no", "param": None}}
FAILURE: dict[str, Any] = {"name": "failed", "error": {"code": "server_error", "message": "no"}}


@pytest.mark.parametrize("life", [call(0, '{"a"')[0][:2], CUSTOM_LIFE, VENDORS_LIFE])
def test_half_a_call_is_never_done_when_the_response_fails(life: list[Json]) -> None:
    message_life, _ = message(1, "Half")
    begun = opened(*life, *message_life[:3])
    for made in (
        repaired(begun, end=BodyEnd.CUT),
        repaired(begun, end=BodyEnd.EOF),
        repaired([*begun, REPORT], end=BodyEnd.EOF),
        repaired([*begun, terminal(**FAILURE)]),
    ):
        (done,) = made.all("output_item.done")
        assert (done["item"]["type"], done["item"]["status"]) == ("message", "incomplete")
        assert not made.all("function_call_arguments.done") + made.all("custom_tool_call_input.done")
        assert made.names[-1] == "failed"
        assert [item["status"] for item in made.output] == ["incomplete", "incomplete"]
    assert repaired(begun, end=BodyEnd.CUT).output[0] == {
        **life[0]["item"],
        **{name: life[1]["delta"] for name in ("arguments", "input") if name in life[0]["item"]},
        "status": "incomplete",
    }


def test_a_call_is_done_when_the_response_is() -> None:
    made = repaired(opened(*call(0, "{}")[0][:2], terminal()))
    assert made.one("output_item.done")["item"]["status"] == "completed"


def test_a_call_without_an_account_in_a_cut_response_was_cut() -> None:
    made = repaired(opened(*call(0, "{}")[0][:2], *M_LIFE, terminal(M_DONE, name="incomplete")))
    assert [item["status"] for item in made.output if "call_id" in item] == ["incomplete"]


def test_a_call_that_was_cut_by_a_limit_is_done() -> None:
    life, done = call(0, '{"a"')
    made = repaired(
        opened(
            *life[:2], terminal(done, name="incomplete", incomplete_details={"reason": "max_output_tokens"})
        )
    )
    assert made.one("output_item.done")["item"]["status"] == "incomplete"


def test_arguments_that_the_terminal_event_contradicts_are_closed_as_it_says() -> None:
    life, done = call(0, '{"b"')
    proof = {**done, "arguments": '{"a": 1}'}
    made = repaired(opened(*life[:2], terminal(proof)), conforming=False)
    assert made.one("function_call_arguments.done")["arguments"] == '{"a": 1}'
    assert made.output == [proof]


def test_a_sentinel_after_an_error_closes_no_half_call() -> None:
    """The response fails: a call that is emitted as done would be run (docs/adr/0011-cut-calls.md)."""
    life, _ = call(0, '{"city": "Par')
    error = {"type": "error", "message": "boom", "code": "server_error"}
    made = repaired(wire(numbered(opened(*life[:2], error)), done=True))
    assert made.body == ["output_item.added", "function_call_arguments.delta", "error", "failed"]


SPENT: Json = {"usage": {"input_tokens": 1, "output_tokens": 5, "total_tokens": 6}, "max_output_tokens": 5}


@pytest.mark.parametrize(
    ("life", "done"),
    [message(0, "Hi"), reasoning(0, "Hm"), call(0, '{"a')],
    ids=["message", "reasoning", "call"],
)
@pytest.mark.parametrize("status", ["completed", "incomplete", "in_progress"])
def test_what_is_open_when_the_tokens_are_spent_was_cut(life: list[Json], done: Json, status: str) -> None:
    """Harmony up to 0.24 (R48): no closings, and a response that says `completed`.

    A message may have ended with its last token: it was cut only if upstream says so of it (R43).
    """
    made = repaired(opened(*life[:-2], terminal({**done, "status": status}, **SPENT)))
    half = "completed" if done["type"] == "message" and status == "completed" else "incomplete"
    assert made.one("output_item.done")["item"]["status"] == half
    assert made.events[-1]["type"] == f"response.{half}"


def test_a_whole_call_may_have_ended_with_the_last_token() -> None:
    life, done = call(0, '{"a": 1}')
    made = repaired(opened(*life[:-2], terminal(done, **SPENT)))
    assert made.one("output_item.done")["item"] == done
    assert made.events[-1]["type"] == "response.completed"
    unmatched = repaired(opened(*life[:-3], terminal(**SPENT)))
    assert unmatched.one("output_item.done")["item"]["status"] == "incomplete"


def test_a_call_that_a_stop_string_cut_is_half() -> None:
    life, done = call(0, '{"a')
    made = repaired(opened(*life[:-2], terminal({**done, "status": "in_progress"})))
    assert made.output == [{**done, "status": "incomplete"}]


def test_a_message_that_a_stop_string_ends_is_whole() -> None:
    life, done = message(0, "Hi")
    made = repaired(opened(*life[:3], terminal({**done, "status": "incomplete"})))
    assert made.output == [done]
    assert made.events[-1]["type"] == "response.completed"
