"""A `sequence_number` inside an item takes its event's number, or goes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, response, whole
from vllm_sse_proxy import NestedNumbers

LIFE, DONE = call(0, "{}")


def numbered_life(number: Any) -> list[Json]:
    item = {**DONE, "sequence_number": number}
    return opened(*LIFE[:3], {**LIFE[3], "item": item}, terminal(item))


@pytest.mark.parametrize("number", [-1, 3, None, "5", True, 5.0])
def test_it_takes_the_number_of_its_event(number: Any) -> None:
    made = repaired(numbered_life(number))
    assert made.one("output_item.done")["item"]["sequence_number"] == 5
    assert made.output[0]["sequence_number"] == 6
    assert type(made.output[0]["sequence_number"]) is int


@pytest.mark.parametrize("number", [-1, 5, None])
def test_it_goes_where_the_setting_says_so(number: Any) -> None:
    made = repaired(numbered_life(number), nested_numbers=NestedNumbers.REMOVE)
    assert made.one("output_item.done")["item"] == DONE
    assert made.output == [DONE]


def test_it_is_found_at_any_depth() -> None:
    note = {
        "type": "url_citation",
        "url": "u",
        "title": "t",
        "start_index": 0,
        "end_index": 0,
        "sequence_number": -1,
    }
    end = terminal(
        usage={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "x": [[{"sequence_number": -1}]]}
    )
    made = repaired(opened({"type": "vendor:x", "a": [{"b": note}]}, end), conforming=False)
    assert made.one("vendor:x")["a"][0]["b"]["sequence_number"] == 2
    assert made.one("completed")["response"]["usage"]["x"] == [[{"sequence_number": 3}]]


def test_what_a_user_wrote_is_left_alone() -> None:
    tool = {
        "type": "function",
        "name": "f",
        "strict": True,
        "parameters": {"properties": {"sequence_number": {"type": "integer"}}},
    }
    created = {
        "type": "response.created",
        "response": response(tools=[tool], metadata={"sequence_number": "7"}),
    }
    made = repaired([created, terminal()])
    emitted = made.one("created")["response"]
    assert (emitted["tools"], emitted["metadata"]) == ([tool], {"sequence_number": "7"})
    assert "nested_numbers" not in made.repairs


def test_the_event_itself_is_not_changed_in_place() -> None:
    stream = numbered_life(-1)
    assert repaired(stream).stream == repaired(stream).stream
    assert stream[-1]["response"]["output"][0]["sequence_number"] == -1


def test_a_number_in_a_text_is_a_text() -> None:
    assert untouched(whole(message(0, '"sequence_number": -1'), call(1, '{"sequence_number": 7}')))
