"""A call that is streamed again under its call_id runs once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal
from tests.support.streams import Json, call, custom_call, message

ROME, OSLO = '{"city": "Rome"}', '{"city": "Oslo"}'
LIFE, DONE = call(0, ROME)


def again(life: list[Json], *, id_: Any = "fc_again", **fields: Any) -> list[Json]:
    """Return the events of a call as they come once more: another id, and perhaps other fields of its item."""
    events = []
    for event in life:
        named = {**event, "output_index": 1}
        if "item" in event:
            events.append({**named, "item": {**event["item"], **fields, "id": id_}})
        else:
            events.append({**named, "item_id": id_})
    return events


def calls(events: list[Json]) -> list[tuple[str, str]]:
    made = repaired(events)
    run = [event["item"] for event in made.all("output_item.done") if "call_id" in event["item"]]
    assert made.output == [*run, *(item for item in made.output if "call_id" not in item)]
    assert len({item["call_id"] for item in run}) == len(run)
    return [(item["name"], item.get("arguments", item.get("input"))) for item in run]


@pytest.mark.parametrize("finals", [0, 1, 2])
def test_it_runs_once(finals: int) -> None:
    copies = [DONE, {**DONE, "id": "fc_again"}][:finals]
    made = repaired(opened(*LIFE, *again(LIFE), terminal(*copies)))
    assert made.output == [DONE]
    assert made.repairs["repeated_calls"] == 1
    assert calls(opened(*LIFE, *again(LIFE), terminal(*copies))) == [("get_weather", ROME)]


def test_a_custom_tools_call_too() -> None:
    life, done = custom_call(0, "ls")
    assert calls(opened(*life, *again(life, id_="ctc_again"), terminal(done))) == [("bash", "ls")]


def test_white_space_and_the_order_of_members_do_not_matter() -> None:
    first, _ = call(0, '{"a": 1, "b": 2}')
    second, done = call(0, '{"b":2,"a":1}')
    assert calls(opened(*first, *again(second), terminal(done))) == [("get_weather", '{"a": 1, "b": 2}')]


def test_its_deltas_say_what_its_closing_does_not() -> None:
    life = again(LIFE)
    silent = {**life[-1], "item": {**life[-1]["item"], "arguments": ""}}
    assert calls(opened(*LIFE, *life[:-1], silent, terminal(DONE))) == [("get_weather", ROME)]


def test_its_closing_may_have_no_id() -> None:
    life = again(LIFE)
    closing = {**life[-1], "item": {**life[-1]["item"], "id": None}}
    assert calls(opened(*LIFE, *life[:-1], closing, terminal(DONE))) == [("get_weather", ROME)]


def test_its_events_may_have_other_ids_and_its_announcement_may_come_again() -> None:
    life = again(LIFE)
    renamed = [{**event, "item_id": "fc_renamed"} for event in life[1:-1]]
    assert calls(opened(*LIFE, life[0], life[0], *renamed, life[-1], terminal(DONE))) == [
        ("get_weather", ROME)
    ]
    nameless = {**life[0], "item": {**life[0]["item"], "id": None}}
    assert calls(opened(*LIFE, nameless, *renamed, life[-1], terminal(DONE))) == [("get_weather", ROME)]


@pytest.mark.parametrize(
    "names", [{"id": "fc_renamed", "call_id": "call_renamed"}, {"id": None, "call_id": "x"}]
)
def test_both_its_ids_may_change_in_its_middle(names: Json) -> None:
    life = again(LIFE)
    renamed = [{**event, "item_id": "fc_renamed"} for event in life[1:-1]]
    closing = {**life[-1], "item": {**life[-1]["item"], **names}}
    assert calls(opened(*LIFE, life[0], *renamed, closing, terminal(closing["item"]))) == [
        ("get_weather", ROME)
    ]


def test_another_call_that_names_no_id_is_known_by_the_call_id_that_it_shares() -> None:
    life, done = call(0, OSLO)
    second = [{key: value for key, value in event.items() if key != "item_id"} for event in again(life)]
    second[-1] = {**second[-1], "item": {**second[-1]["item"], "id": None}}
    assert calls(opened(*LIFE, *second, terminal(DONE, done))) == [
        ("get_weather", ROME),
        ("get_weather", OSLO),
    ]


def test_its_id_may_be_that_of_the_first() -> None:
    assert calls(opened(*LIFE, *again(LIFE, id_="fc_0"), terminal(DONE))) == [("get_weather", ROME)]
    other, done = call(0, OSLO)
    both = opened(*LIFE, *again(other, id_="fc_0"), terminal(DONE, {**done, "id": "fc_1"}))
    assert calls(both) == [("get_weather", ROME), ("get_weather", OSLO)]


def test_a_heartbeat_decides_nothing_and_a_late_piece_goes_too() -> None:
    life = again(LIFE)
    events = opened(*LIFE, life[0], {"type": "response.heartbeat"}, *life[1:], life[-2], terminal(DONE))
    assert calls(events) == [("get_weather", ROME)]


@pytest.mark.parametrize("dones", [0, 1])
@pytest.mark.parametrize("deltas", [0, 1, 2])
def test_a_call_in_whose_middle_the_sender_began_again_is_finished(deltas: int, dones: int) -> None:
    life, done = call(0, *['{"city": ', '"Rome"}'][:deltas] or [ROME])
    whole = again(call(0, '{"city": ', '"Rome"}')[0])
    kept = [whole[0], *whole[1 : 1 + deltas], *whole[3 : 3 + dones], whole[-1]]
    cut = [life[0], {**LIFE[1], "delta": '{"city"'}]
    assert calls(opened(*cut, *kept, terminal(done))) == [("get_weather", ROME)]


def test_a_beginning_of_it_is_not_finished_from_the_final_output() -> None:
    begun = [again(LIFE)[0], {**again(LIFE)[1], "delta": '{"city"'}]
    made = repaired(opened(*LIFE, *begun, terminal(DONE)))
    assert [event["item"]["id"] for event in made.all("output_item.added")] == ["fc_0"]
    assert made.events[-1]["type"] == "response.completed"


def test_a_body_that_ends_in_it_is_no_success() -> None:
    made = repaired(opened(*LIFE, again(LIFE)[0]))
    assert made.events[-1]["type"] == "response.failed"


def test_another_request_under_the_call_id_is_another_call() -> None:
    life, done = call(0, OSLO)
    both = [DONE, {**done, "id": "fc_again"}]
    assert calls(opened(*LIFE, *again(life), terminal(*both))) == [
        ("get_weather", ROME),
        ("get_weather", OSLO),
    ]


def test_another_tool_under_the_call_id_is_another_call() -> None:
    both = [DONE, {**DONE, "id": "fc_again", "name": "get_time"}]
    events = opened(*LIFE, *again(LIFE, name="get_time"), terminal(*both))
    assert calls(events) == [("get_weather", ROME), ("get_time", ROME)]


def test_what_is_no_whole_call_leaves_as_another() -> None:
    """Upstream breaks off in it, or sends something else: nobody knows what it was."""
    life, done = message(2, "Hi")
    made = repaired(opened(*LIFE, *again(LIFE)[:3], *life, terminal(DONE, done)), conforming=False)
    assert [event["item"]["id"] for event in made.all("output_item.added")] == ["fc_0", "fc_again", "msg_2"]
