"""Corners of the later stations that no single correction's tests reach."""

from __future__ import annotations

from tests.support.repairing import opened, repaired, terminal
from tests.support.streams import call, events_of, message, numbered, reasoning, wire
from vllm_sse_proxy import StreamNormalizer, build_plan
from vllm_sse_proxy.families import RESPONSES

LIFE, DONE = call(0, '{"city": ', '"Rome"}')
M_LIFE, M_DONE = message(0, "Half")


def test_a_call_that_is_announced_again_under_another_id_is_one_call() -> None:
    again = {**LIFE[0], "item": {**LIFE[0]["item"], "id": "fc_other"}}
    rest = [{**event, "item_id": "fc_other"} for event in LIFE[1:-1]]
    made = repaired(opened(LIFE[0], again, *rest, terminal({**DONE, "id": "fc_other"})))
    assert made.output == [DONE]
    assert len(made.all("output_item.added")) == 1


def test_an_id_that_the_next_item_has_too_is_given_once() -> None:
    life, done = message(1, "Another", id_="msg_0")
    made = repaired(opened(*M_LIFE, *life, terminal(M_DONE, done)))
    assert [item["content"][0]["text"] for item in made.output] == ["Half", "Another"]
    assert len({item["id"] for item in made.output}) == 2


def test_arguments_whose_head_was_lost_do_not_wait_longer_than_a_heartbeat() -> None:
    life, _ = call(0, '"city"', ': "Rome"}')
    normalizer = StreamNormalizer(build_plan(strict=True))
    normalizer.feed(wire(numbered(opened(*life[:3])), done=False))
    emitted = normalizer.feed(b": keep-alive\n\n")
    assert "response.function_call_arguments.delta" in [event["type"] for event in events_of(emitted)]


def test_an_item_that_only_an_index_names_is_not_announced_if_nothing_is() -> None:
    command = {
        "type": "response.shell_call_command.delta",
        "output_index": 0,
        "command_index": 0,
        "delta": "ls",
    }
    made = repaired(opened(command, terminal()), disabled=["item_openings"], conforming=False)
    assert made.body == ["shell_call_command.delta", "completed"]


def test_no_more_calls_wait_than_events_may() -> None:
    half, _ = call(0, '{"ci')
    events = opened(*half, *[event for number in range(1, 4_200) for event in call(number, "{}")[0]])
    normalizer = StreamNormalizer(build_plan(strict=True))
    emitted = normalizer.feed(wire(numbered(events), done=False))
    assert emitted.count(b'"response.output_item.done"') > 2_000


def test_a_part_of_a_type_that_nobody_knows_is_left_out_if_it_was_never_announced() -> None:
    part = {"type": "hologram", "data": "x"}
    done = {"type": "response.content_part.done", "item_id": "msg_0", "output_index": 0, "content_index": 0}
    made = repaired(opened(M_LIFE[0], {**done, "part": part}, terminal(M_DONE)))
    assert "hologram" not in str(made.events)


def test_an_index_makes_a_difference_where_there_are_two_parts() -> None:
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    second = {**M_LIFE[1], "content_index": 1, "part": part}
    words = [{**M_LIFE[2], "content_index": 1, "delta": word} for word in ("a", "b", "c")]
    made = repaired(opened(*M_LIFE[:-1], second, *words, terminal()))
    assert made.values("output_text.delta", "content_index") == [0, 1, 1, 1]


def test_a_part_of_an_item_of_a_private_type_stays_unless_it_was_never_announced() -> None:
    item = {"id": "x_0", "type": "vendor:thing", "status": "in_progress"}
    done = {"type": "response.content_part.done", "item_id": "x_0", "output_index": 0, "content_index": 0}
    made = repaired(
        opened(
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {**done, "part": {"type": "hologram", "data": "x"}},
            terminal({**item, "status": "completed"}),
        ),
        conforming=False,
    )
    assert "hologram" not in str(made.events)


def test_a_part_closes_with_the_type_that_its_item_holds() -> None:
    life, done = reasoning(0, "Hm")
    part = {"type": "output_text", "text": "Hm", "annotations": []}
    closing = {**life[4], "part": part}
    made = repaired(opened(*life[:4], closing, life[5], terminal(done)))
    assert made.one("content_part.done")["part"]["type"] == "reasoning_text"


def test_a_part_that_closes_under_an_unknown_id_belongs_to_the_open_item() -> None:
    stray = {
        "type": "response.content_part.done",
        "item_id": "rs_2",
        "output_index": 2,
        "content_index": 0,
        "part": {"type": "reasoning_text", "text": ""},
    }
    life, done = message(0, "")
    made = repaired(opened(*life[:3], stray, *life[3:], terminal(done)))
    assert made.one("content_part.done")["part"]["type"] == "output_text"
    assert made.output == [done]


def test_half_a_message_that_was_never_streamed_cuts_the_response() -> None:
    half = {**M_DONE, "status": "incomplete"}
    made = repaired(opened(*LIFE, terminal(DONE, half)))
    assert made.events[-1]["type"] == "response.incomplete"
    assert made.output[1]["status"] == "incomplete"


def test_half_a_message_before_what_was_streamed_does_not_cut_the_response() -> None:
    half = {**M_DONE, "status": "incomplete"}
    made = repaired(opened(*LIFE, terminal(half, DONE)))
    assert made.events[-1]["type"] == "response.completed"
    assert [item["type"] for item in made.output] == ["function_call", "message"]
    assert made.output[1]["status"] == "completed"


def test_words_after_a_part_that_closed_without_its_text_go_on() -> None:
    words = {**M_LIFE[2], "delta": " an answer"}
    made = repaired(opened(*M_LIFE[:3], M_LIFE[4], words, terminal()))
    assert made.values("output_text.delta", "delta") == ["Half", " an answer"]


def test_nothing_is_older_than_the_first_number() -> None:
    assert RESPONSES.keepalive(0) is None


def test_a_private_delta_after_one_that_waits_is_not_its_echo() -> None:
    """The first may begin a call, so it was not sent yet, and there is nothing that the second could repeat."""
    life, done = reasoning(0, "Hm")
    words = {"item_id": "msg_1", "output_index": 1, "content_index": 0, "delta": "<tool"}
    events = opened(
        *life,
        {"type": "response.output_text.delta", **words},
        {"type": "response.text.delta", **words},
        terminal(done),
    )
    made = repaired(events)
    assert "".join(made.values("output_text.delta", "delta")) == "<tool<tool"


def test_two_texts_that_may_both_begin_a_call() -> None:
    other, _ = message(1, "<tool", id_="msg_1")
    words = [{**M_LIFE[2], "delta": "<tool"}, other[2]]
    made = repaired(opened(M_LIFE[0], M_LIFE[1], other[0], other[1], *words, terminal()), conforming=False)
    assert made.values("output_text.delta", "delta") == ["<tool", "<tool"]
