"""A call that upstream closes without readable arguments waits for the terminal event."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, custom_call, message, numbered, whole, wire
from vllm_sse_proxy import BodyEnd

HALF_LIFE, HALF = call(0, '{"city": "Ro')
NEXT_LIFE, NEXT = call(1, '{"city": "Oslo"}')
M_LIFE, M_DONE = message(2, "Hi")
ROME = '{"city": "Rome"}'


def done_items(events: list[Json]) -> list[Json]:
    return [event["item"] for event in repaired(events).all("output_item.done")]


@pytest.mark.parametrize("said", ["", '{"city": "Ro'])
@pytest.mark.parametrize("between", [[], M_LIFE])
def test_any_of_several_calls_gets_its_arguments_and_the_order_stays(said: str, between: list[Json]) -> None:
    life, half = call(0, *([said] if said else []))
    others = [M_DONE] if between else []
    made = done_items(
        opened(*life, *NEXT_LIFE, *between, terminal({**half, "arguments": ROME}, NEXT, *others))
    )
    assert [item["arguments"] for item in made if item["type"] == "function_call"] == [
        ROME,
        NEXT["arguments"],
    ]


@pytest.mark.parametrize("said", ["null", "7", '"Rome"', "[]"])
def test_json_that_is_no_object_is_nothing_to_run_a_tool_with(said: str) -> None:
    life, half = call(0, said)
    made = repaired(opened(*life[:2], *M_LIFE, terminal(M_DONE)))
    assert [item["status"] for item in made.output] == ["incomplete", "completed"]
    made = repaired(opened(*life, *M_LIFE, terminal({**half, "arguments": ROME}, M_DONE)), conforming=False)
    assert made.output[0]["arguments"] == ROME
    assert [item["arguments"] for item in made.output[:1]] == made.values(
        "function_call_arguments.done", "arguments"
    )


def test_a_call_that_waits_is_known_by_what_its_closing_says() -> None:
    """K5: a piece came twice, and the final object has one of the two calls; it is not the other one's."""
    garbled = [NEXT_LIFE[0], {**NEXT_LIFE[1], "delta": '{"city"'}, *NEXT_LIFE[1:]]
    made = repaired(
        opened(*HALF_LIFE, *garbled, terminal({**NEXT, "id": "new", "call_id": "new"})), conforming=False
    )
    assert [item["arguments"] for item in made.output] == [HALF["arguments"], NEXT["arguments"]]


def test_a_closing_that_comes_again_while_it_waits_is_emitted_once() -> None:
    life, half = HALF_LIFE, HALF
    made = repaired(opened(*life[:-1], *life[1:], terminal(half)))
    assert len(made.all("function_call_arguments.done")) <= 1
    assert len(made.all("output_item.done")) == 1


def test_input_of_a_custom_tool_too() -> None:
    life, done = custom_call(0)
    made = repaired(opened(*life, terminal({**done, "input": "ls"})))
    assert made.one("output_item.done")["item"]["input"] == "ls"
    assert made.values("custom_tool_call_input.delta", "delta") == ["ls"]


def test_arguments_that_differ_stand_if_they_alone_can_be_read() -> None:
    made = repaired(opened(*HALF_LIFE, terminal({**HALF, "arguments": '{"town": "Rome"}'})), conforming=False)
    assert made.one("output_item.done")["item"]["arguments"] == '{"town": "Rome"}'


def test_without_better_ones_the_call_closes_as_upstream_closed_it() -> None:
    made = repaired(opened(*HALF_LIFE, *NEXT_LIFE, terminal(HALF, NEXT)))
    assert [event["item"] for event in made.all("output_item.done")] == [HALF, NEXT]
    assert made.repairs == {}


def test_a_call_of_a_cut_response_is_incomplete_wherever_it_stands() -> None:
    made = repaired(opened(*HALF_LIFE, *NEXT_LIFE, terminal(HALF, NEXT, name="incomplete")))
    assert [event["item"]["status"] for event in made.all("output_item.done")] == ["incomplete", "incomplete"]


def test_input_that_never_came_leaves_the_call_of_a_cut_response_open() -> None:
    life, done = custom_call(0)
    made = repaired(opened(*life, *M_LIFE, terminal(done, M_DONE, name="incomplete")))
    assert [event["item"]["type"] for event in made.all("output_item.done")] == ["message"]


@pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT])
def test_when_the_response_fails_it_stays_open(end: BodyEnd) -> None:
    for stream in (opened(*HALF_LIFE, *NEXT_LIFE), wire(numbered(opened(*HALF_LIFE, *NEXT_LIFE)))):
        made = repaired(stream, end=end)
        assert [event["item"]["id"] for event in made.all("output_item.done")] == [NEXT["id"]]
        assert made.body[-1] == "failed"


def test_a_done_item_that_can_be_read_settles_it() -> None:
    item = {**HALF, "arguments": '{"town": "Rome"}'}
    made = repaired(
        opened(*HALF_LIFE[:-1], {**HALF_LIFE[-1], "item": item}, terminal(item)), conforming=False
    )
    assert made.one("function_call_arguments.done")["arguments"] == item["arguments"]
    assert made.one("output_item.done")["item"]["arguments"] == item["arguments"]
    made = repaired(opened(*HALF_LIFE[:-1], {**HALF_LIFE[-1], "item": item}, terminal()), conforming=False)
    assert made.one("output_item.done")["item"]["arguments"] == item["arguments"]


def test_one_that_upstream_calls_incomplete_need_not_wait() -> None:
    item = {**HALF, "status": "incomplete"}
    stream = opened(*HALF_LIFE[:-1], {**HALF_LIFE[-1], "item": item}, *M_LIFE[:3])
    made = repaired(stream, end=BodyEnd.CUT)
    assert made.body.index("output_item.done") < made.body.index("output_text.delta")


@pytest.mark.long
def test_too_many_do_not_wait() -> None:
    lives = [event for index in range(3000) for event in call(index)[0]]
    made = repaired(opened(*lives, terminal()))
    assert made.body.count("output_item.done") == 3000


def test_readable_calls_stay() -> None:
    assert untouched(whole(call(0, "{}"), custom_call(1, "ls"), message(2, "Hi")))


def test_a_call_that_waits_to_be_closed_as_incomplete_ends_the_response_so() -> None:
    cut = {**NEXT, "status": "incomplete"}
    life = [*NEXT_LIFE[:-1], {**NEXT_LIFE[-1], "item": cut}]
    made = repaired(opened(*HALF_LIFE, *life, terminal({**HALF, "arguments": ROME}, NEXT)))
    assert [event["item"]["status"] for event in made.all("output_item.done")] == ["completed", "incomplete"]
    assert made.events[-1]["type"] == "response.incomplete"
