"""A text in an object or a list becomes a string."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, summary, whole

LIFE, DONE = message(0, "Hi")


def with_delta(value: Any) -> list[Json]:
    return opened(*LIFE[:2], {**LIFE[2], "delta": value}, *LIFE[3:], terminal(DONE))


@pytest.mark.parametrize(
    "value",
    [
        {"content": "Hi"},
        {"text": "Hi"},
        {"summary": "Hi"},
        {"value": {"delta": {"text": "Hi"}}},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        ["H", "i"],
        [{"text": "H"}, None, {"text": "i"}, {}],
    ],
)
def test_the_text_is_found(value: Any) -> None:
    made = repaired(with_delta(value))
    assert made.values("output_text.delta", "delta") == ["Hi"]
    assert made.repairs == {"string_deltas": 1}


def test_a_number_is_its_own_text() -> None:
    made = repaired(opened(*LIFE[:2], {**LIFE[2], "delta": {"content": 42}}, terminal()))
    assert made.values("output_text.delta", "delta") == ["42"]


@pytest.mark.parametrize("value", [None, True, {}, [], {"role": "assistant"}, {"content": None}])
def test_a_delta_that_says_nothing_is_dropped(value: Any) -> None:
    made = repaired(opened(*LIFE[:2], {**LIFE[2], "delta": value}, *LIFE[2:], terminal(DONE)))
    assert made.values("output_text.delta", "delta") == ["Hi"]


def test_objects_without_end_are_not_followed() -> None:
    deep: Any = "Hi"
    for _ in range(18):
        deep = {"content": deep}
    made = repaired(opened(*LIFE[:2], {**LIFE[2], "delta": deep}, *LIFE[2:], terminal(DONE)))
    assert made.values("output_text.delta", "delta") == ["Hi"]


def test_a_done_event_may_say_it_in_another_field() -> None:
    done = {"type": "response.reasoning.done", "reasoning": {"content": "We"}}
    made = repaired(
        opened({"type": "response.reasoning.delta", "delta": {"content": "We"}}, done, terminal())
    )
    assert made.one("reasoning_text.done")["text"] == "We"


def test_a_done_event_that_says_nothing_has_the_text_of_the_deltas() -> None:
    made = repaired(opened(*LIFE[:3], {**LIFE[3], "text": None}, *LIFE[4:], terminal(DONE)))
    assert made.one("output_text.done")["text"] == "Hi"
    made = repaired(opened(*LIFE[:3], {**LIFE[3], "text": True}, *LIFE[4:], terminal(DONE)))
    assert made.one("output_text.done")["text"] == "Hi"


def test_strings_stay() -> None:
    assert untouched(whole(message(0, "Hi"), summary(1, "a", "b"), call(2, '{"delta": {"content": 1}}')))


def test_the_one_delta_that_is_an_object_by_design_stays() -> None:
    item = {"id": "sh_1", "type": "shell_call_output", "status": "in_progress", "call_id": "c", "output": []}
    shell = {
        "type": "response.shell_call_output_content.delta",
        "item_id": "sh_1",
        "output_index": 0,
        "command_index": 0,
        "delta": {"stdout": "Hi"},
    }
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    made = repaired(opened(added, shell, terminal()), conforming=False)
    assert made.one("shell_call_output_content.delta")["delta"] == {"stdout": "Hi"}
    assert "string_deltas" not in made.repairs
