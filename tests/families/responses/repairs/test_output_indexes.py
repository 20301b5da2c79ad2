"""`output_index` is the item's place among those that were announced."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import call, message, reasoning, whole

LIFE, DONE = message(0, "Hi")


@pytest.mark.parametrize("index", [1, 7, -1, None, "0", True, 0.0])
def test_every_event_has_the_index_of_its_item(index: Any) -> None:
    made = repaired(opened(*({**event, "output_index": index} for event in LIFE), terminal(DONE)))
    assert {event["output_index"] for event in made.events if "output_index" in event} == {0}
    assert made.repairs["output_indexes"] == len(LIFE)


def test_only_the_done_events_may_be_one_too_high() -> None:
    made = repaired(opened(*LIFE[:3], *({**event, "output_index": 1} for event in LIFE[3:]), terminal(DONE)))
    assert made.repairs == {"output_indexes": 3}


def test_two_items_on_one_index_get_two() -> None:
    other, other_done = call(0, "{}")
    made = repaired(opened(*LIFE, *other, terminal(DONE, other_done)))
    assert [event["output_index"] for event in made.all("output_item.done")] == [0, 1]


def test_an_item_that_was_never_announced_takes_the_next_index() -> None:
    made = repaired(opened(*LIFE, {**reasoning(9, "Hm")[0][2]}, terminal()))
    assert made.one("reasoning_text.delta")["output_index"] == 1
    made = repaired(opened(*LIFE, call(9, "{}")[0][3], terminal()))
    assert made.all("output_item.done")[1]["output_index"] == 1


def test_a_shell_calls_command_is_found_by_upstreams_index() -> None:
    item = {
        "id": "sh",
        "type": "shell_call",
        "status": "in_progress",
        "call_id": "c",
        "action": {"commands": []},
    }
    added = {"type": "response.output_item.added", "output_index": 5, "item": item}
    command = {"type": "response.shell_call_command.added", "command_index": 0, "command": "ls"}
    emitted = []
    for index in (5, 9, None):
        made = repaired(
            opened(*LIFE, added, {**command, "output_index": index}, terminal()), conforming=False
        )
        emitted.append(made.one("shell_call_command.added")["output_index"])
    assert emitted == [1, 1, 1]


def test_right_indexes_stay() -> None:
    assert untouched(whole(reasoning(0, "Hm"), message(1, "Hi"), call(2, "{}")))
