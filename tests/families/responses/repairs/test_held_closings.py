"""The last item closes with what the terminal event proves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import (
    Json,
    call,
    events_of,
    message,
    numbered,
    reasoning,
    search,
    summary,
    text_part,
    whole,
    wire,
)
from vllm_sse_proxy import BodyEnd, StreamNormalizer, build_plan

M_LIFE, M_DONE = message(0, "Half")
C_LIFE, C_DONE = call(0, '{"a"')
WHOLE_CALL = {**C_DONE, "arguments": '{"a": 1}'}
CUT: dict[str, Any] = {"name": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}


@pytest.mark.parametrize(("life", "done"), [(M_LIFE, M_DONE), reasoning(0, "Half"), call(0, '{"a"')])
def test_what_was_cut_is_closed_as_incomplete(life: list[Json], done: Json) -> None:
    made = repaired(opened(*life, terminal(done, **CUT)))
    assert made.one("output_item.done")["item"]["status"] == "incomplete"
    assert made.output[0]["status"] == "incomplete"
    assert made.repairs["held_closings"] == 1


def test_so_it_is_when_only_the_status_says() -> None:
    end = {**terminal(M_DONE, **CUT), "type": "response.completed"}
    made = repaired(opened(*M_LIFE, end))
    assert made.one("output_item.done")["item"]["status"] == "incomplete"


def test_only_the_last_item_was_cut() -> None:
    life, done = message(1, "Half")
    made = repaired(opened(*M_LIFE, *life, terminal(M_DONE, done, **CUT)))
    assert [event["item"]["status"] for event in made.all("output_item.done")] == ["completed", "incomplete"]


def test_a_search_cannot_be_cut() -> None:
    life, done = search(0)
    made = repaired(opened(*life, terminal(done, **CUT)))
    assert made.one("output_item.done")["item"]["status"] == "completed"


def test_the_last_piece_of_arguments_is_emitted_before_the_closings() -> None:
    made = repaired(opened(*C_LIFE, terminal(WHOLE_CALL)))
    assert made.values("function_call_arguments.delta", "delta") == ['{"a"', ": 1}"]
    assert made.one("function_call_arguments.done")["arguments"] == '{"a": 1}'
    assert made.one("output_item.done")["item"] == WHOLE_CALL
    assert made.output == [WHOLE_CALL]


def test_the_last_words_of_a_message_too() -> None:
    proof = {**M_DONE, "content": [text_part("Half an answer")]}
    made = repaired(opened(*M_LIFE, terminal(proof)))
    assert made.values("output_text.delta", "delta") == ["Half", " an answer"]
    assert made.output == [proof]


def test_a_final_item_that_contradicts_proves_nothing() -> None:
    made = repaired(opened(*C_LIFE, terminal({**M_DONE, "id": "fc_0"})))
    assert made.output[0] == C_DONE
    made = repaired(opened(*C_LIFE, terminal({**C_DONE, "arguments": None})))
    assert made.output[0] == C_DONE


def test_an_item_without_proof_closes_as_upstream_closed_it() -> None:
    made = repaired(opened(*M_LIFE, terminal()))
    assert made.one("output_item.done")["item"] == M_DONE


def test_closings_without_the_items_own_done_are_released_as_they_are() -> None:
    made = repaired(opened(*M_LIFE[:4], terminal(M_DONE)))
    assert made.body[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert "held_closings" not in made.repairs


def test_text_that_goes_on_after_its_closing_goes_on() -> None:
    more = {**M_LIFE[2], "delta": " an answer"}
    made = repaired(
        opened(*M_LIFE[:4], more, *M_LIFE[3:], terminal({**M_DONE, "content": [text_part("Half an answer")]}))
    )
    assert made.one("output_text.done")["text"] == "Half an answer"
    assert made.output[0]["content"][0]["text"] == "Half an answer"


def test_a_text_that_was_closed_wrong_goes_on() -> None:
    closed = {**M_LIFE[3], "text": ""}
    more = {**M_LIFE[2], "delta": " an answer"}
    made = repaired(opened(*M_LIFE[:3], closed, more, terminal()))
    assert made.values("output_text.delta", "delta") == ["Half", " an answer"]
    assert made.one("output_text.done")["text"] == "Half an answer"
    assert made.repairs["held_closings"] == 1


def test_a_text_that_was_closed_right_does_not() -> None:
    for closings in (M_LIFE[3:4], M_LIFE[3:5], M_LIFE[3:6]):
        made = repaired(opened(*M_LIFE[:3], *closings, M_LIFE[2], terminal()))
        assert made.output[0]["content"] == [text_part("Half")]
    made = repaired(opened(*C_LIFE[:3], C_LIFE[1], C_LIFE[3], terminal()))
    assert made.output == [C_DONE]


def test_a_call_that_closed_as_a_message_is_proven_by_a_call() -> None:
    closing = {**C_LIFE[3], "item": {**M_DONE, "id": "fc_0"}}
    made = repaired(opened(*C_LIFE[:3], closing, terminal(C_DONE)))
    assert made.output == [C_DONE]


def test_nothing_is_held_of_what_the_client_does_not_know() -> None:
    made = repaired(opened(M_LIFE[0], M_LIFE[3], terminal(M_DONE)))
    assert made.body[:4] == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
    ]
    made = repaired(opened(M_LIFE[5], terminal(M_DONE)))
    assert made.body[0] == "output_item.added"


def test_closings_out_of_order_and_again_are_emitted_once() -> None:
    text, part, item = M_LIFE[3:]
    made = repaired(opened(*M_LIFE[:3], part, text, text, part, item, item, part, text, terminal(M_DONE)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*M_LIFE, terminal()]]


def test_the_next_item_frees_them() -> None:
    life, done = summary(1, "Hm")
    assert untouched(whole((M_LIFE, M_DONE), (life, done)))


def test_they_do_not_wait_for_the_rest_of_the_stream() -> None:
    stream = numbered(whole((M_LIFE, M_DONE), reasoning(1, "Hi")))
    normalizer = StreamNormalizer(build_plan(strict=True))
    emitted = events_of(normalizer.feed(wire(stream[:8], done=False)))
    assert emitted[-1]["type"] == "response.output_text.delta"
    emitted = events_of(normalizer.feed(wire(stream[8:9], done=False)))
    assert [event["sequence_number"] for event in emitted] == [5, 6, 7, 8]


@pytest.mark.parametrize("heartbeat", [b": keep-alive\n\n", wire([{"type": "response.ping"}], done=False)])
def test_a_heartbeat_frees_them(heartbeat: bytes) -> None:
    normalizer = StreamNormalizer(build_plan(strict=True))
    normalizer.feed(wire(numbered(whole((M_LIFE, M_DONE)))[:8], done=False))
    emitted = normalizer.feed(heartbeat)
    assert [event["type"] for event in events_of(emitted)][-1] == "response.output_item.done"


def test_the_end_of_the_body_frees_them() -> None:
    assert repaired(opened(*M_LIFE), end=BodyEnd.CUT).body[-3:] == ["output_item.done", "error", "failed"]
    assert repaired(wire(numbered(opened(*M_LIFE)))).body[-2:] == ["output_item.done", "completed"]


@pytest.mark.parametrize("index", [None, -1, 0])
def test_a_call_has_no_part_whatever_its_events_say(index: int | None) -> None:
    life, done = call(0, "{}")
    stray = {**life[-2], "content_index": index}
    assert (
        len(repaired(opened(*life[:-1], stray, life[-1], terminal(done))).all("function_call_arguments.done"))
        == 1
    )


def test_an_empty_closing_loses_no_text_that_comes_after_it() -> None:
    life, done = call(0, '{"a"', ": 1}")
    early = {name: value for name, value in life[-2].items() if name != "arguments"}
    made = repaired(opened(life[0], early, *life[1:-2], life[-1], terminal(done)))
    assert made.one("function_call_arguments.done")["arguments"] == '{"a": 1}'
    assert made.values("function_call_arguments.delta", "delta") == ['{"a"', ": 1}"]


@pytest.mark.parametrize("said", ["", "Ha", None])
def test_a_done_item_that_says_more_than_its_texts_done_counts(said: str | None) -> None:
    """Nothing was streamed, and the text's done event holds none or half of it."""
    created, in_progress, added, part, _, text_done, *rest = [*opened(*M_LIFE)]
    emitted = {**text_done, "text": said} if said is not None else {**text_done}
    if said is None:
        del emitted["text"]
    other, other_done = message(1, "Next")
    made = repaired([created, in_progress, added, part, emitted, *rest, *other, terminal(M_DONE, other_done)])
    assert made.values("output_text.delta", "delta") == ["Half", "Next"]
    assert made.values("output_text.done", "text") == ["Half", "Next"]
    assert made.output == [M_DONE, other_done]
    assert made.repairs["held_closings"] == 1


@pytest.mark.parametrize("arguments", ["", None])
def test_so_it_is_with_a_call(arguments: str | None) -> None:
    created, in_progress, added, _, done, item_done = opened(*call(0, "{}")[0])
    done = {**done, "arguments": arguments} if arguments is not None else done
    if arguments is None:
        done = {name: value for name, value in done.items() if name != "arguments"}
    call_done = call(0, "{}")[1]
    made = repaired([created, in_progress, added, done, item_done, terminal(call_done)])
    assert made.values("function_call_arguments.delta", "delta") == ["{}"]
    assert made.one("function_call_arguments.done")["arguments"] == "{}"
    assert made.output == [call_done]


def test_so_it_is_with_a_summary() -> None:
    life, done = summary(0, "Think")
    without = [
        {**event, "text": ""} if event["type"].endswith("summary_text.done") else event
        for event in life
        if not event["type"].endswith("summary_text.delta")
    ]
    made = repaired(opened(*without, terminal(done)))
    assert made.values("reasoning_summary_text.delta", "delta") == ["Think"]
    assert made.output == [done]


@pytest.mark.parametrize("content", [None, [], "Half"])
def test_a_done_item_without_parts_says_no_more(content: object) -> None:
    *life, item_done = M_LIFE
    made = repaired(opened(*life, {**item_done, "item": {**M_DONE, "content": content}}, terminal(M_DONE)))
    assert made.values("output_text.delta", "delta") == ["Half"]
    assert made.output == [M_DONE]


def test_so_it_is_with_the_terminal_events_item() -> None:
    created, in_progress, added, part, _, text_done, *_ = opened(*M_LIFE)
    made = repaired([created, in_progress, added, part, {**text_done, "text": "Ha"}, terminal(M_DONE)])
    assert made.values("output_text.delta", "delta") == ["Half"]
    assert made.output == [M_DONE]


def test_a_done_item_that_lost_its_status_was_cut_too() -> None:
    *life, item_done = M_LIFE
    done = {name: value for name, value in M_DONE.items() if name != "status"}
    made = repaired(opened(*life, {**item_done, "item": done}, terminal(M_DONE, **CUT)))
    assert made.one("output_item.done")["item"]["status"] == "incomplete"
    life, done = summary(0, "Think")  # never has one
    assert "status" not in repaired(opened(*life, terminal(done, **CUT))).output[0]


def test_a_hosted_call_that_was_cut_is_closed_as_incomplete() -> None:
    """Harmony from 0.25 (R48): the stream closes the call of a server's tool as `completed`, the final item as a half one."""
    item = {
        "id": "mcp_0",
        "type": "mcp_call",
        "name": "fs.list",
        "server_label": "fs",
        "status": "in_progress",
    }
    place = {"item_id": "mcp_0", "output_index": 0}
    cut = {**item, "arguments": '{"path":', "status": "completed"}
    life = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": ""}},
        {"type": "response.mcp_call.in_progress", **place},
        {"type": "response.mcp_call_arguments.delta", **place, "delta": '{"path":'},
        {"type": "response.mcp_call_arguments.done", **place, "arguments": '{"path":', "name": "list"},
        {"type": "response.mcp_call.completed", **place},
        {"type": "response.output_item.done", "output_index": 0, "item": cut},
    ]
    final = {**cut, "id": "mcp_x", "name": "list", "status": "incomplete"}
    made = repaired(opened(*life, terminal(final, name="incomplete")))
    assert [(emitted["id"], emitted["name"], emitted["status"]) for emitted in made.output] == [
        ("mcp_0", "fs.list", "incomplete")
    ]
    assert made.one("output_item.done")["item"]["status"] == "incomplete"


def test_a_call_that_a_stop_string_cut_is_closed_as_incomplete() -> None:
    life, done = call(0, '{"a')
    made = repaired(opened(*life, terminal({**done, "status": "incomplete"})))
    assert made.one("output_item.done")["item"]["status"] == "incomplete"
    assert made.events[-1]["type"] == "response.incomplete"
