"""The fork's own form of a streamed call is emitted as the protocol's events, once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal
from tests.support.streams import Json, call, message
from vllm_sse_proxy import BodyEnd

ARGUMENTS = '{"city": "Paris"}'
CALL: Json = {
    "type": "tool_call",
    "id": "call_1",
    "call_id": "call_1",
    "name": "get_weather",
    "arguments": ARGUMENTS,
}
TEXT = json.dumps([CALL])


def delta(value: Any) -> Json:
    return {"type": "response.tool_call.delta", "response": {"id": "resp_1"}, "delta": value}


def test_a_call_beside_a_text() -> None:
    life, done = message(0, "Hm")
    made = repaired(opened(*life, delta([CALL]), terminal(done)))
    assert [item["type"] for item in made.output] == ["message", "function_call"]


@pytest.mark.parametrize(
    "values",
    [
        [{"content": [CALL]}],
        [TEXT],
        [{"content": [TEXT]}],
        [{"content": [piece]} for piece in (TEXT[:20], TEXT[20:61], TEXT[61:])],
        [[CALL | {"arguments": ARGUMENTS[:5]}], [CALL | {"arguments": ARGUMENTS[5:]}]],
        [[CALL | {"arguments": ARGUMENTS[:5]}], [CALL]],
        [None, 7, [8], [[CALL]], [CALL]],
        [[CALL | {"call_id": None}]],
    ],
)
def test_every_shape_gives_the_call(values: list[Any]) -> None:
    made = repaired(opened(*map(delta, values), terminal()))
    assert made.body == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    (item,) = made.output
    assert (item["call_id"], item["name"], item["arguments"]) == ("call_1", "get_weather", ARGUMENTS)


def test_two_lists_in_one_text_are_two_calls() -> None:
    other = json.dumps([CALL | {"call_id": "call_2", "id": "call_2"}])
    made = repaired(opened(delta(TEXT + other), terminal()))
    assert [item["call_id"] for item in made.output] == ["call_1", "call_2"]
    assert len({item["id"] for item in made.output}) == 2


def test_the_call_is_emitted_at_the_end_of_a_body_without_terminal_event() -> None:
    made = repaired(opened(delta([CALL])), end=BodyEnd.CUT)
    assert made.body[-2:] == ["error", "failed"]
    assert made.one("output_item.done")["item"]["arguments"] == ARGUMENTS


def test_a_call_that_came_in_the_protocols_form_too_is_emitted_once() -> None:
    life, done = call(0, ARGUMENTS)
    made = repaired(opened(life[0], delta([CALL]), *life[1:], terminal(done)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]
    renamed = delta([CALL | {"call_id": "call_9", "name": "other"}])
    made = repaired(opened(*life, renamed, terminal(done)))
    assert [item["name"] for item in made.output] == ["get_weather", "other"]


@pytest.mark.parametrize(
    "value",
    ["no JSON at all", '"text"', "[7]", [{"id": 7, "name": "f"}], [{"id": "call_1"}], '["\\ud800"'],
)
def test_what_names_no_call_is_dropped(value: Any) -> None:
    made = repaired(opened(delta(value), terminal()))
    assert made.body == ["completed"]


def test_a_call_without_arguments_has_none() -> None:
    made = repaired(opened(delta([{"id": "call_1", "name": "now"}]), terminal()))
    assert made.output[0]["arguments"] == ""


def test_a_call_that_was_sent_under_another_form_of_its_name_is_known() -> None:
    """Its namespace is apart there, or it is a custom call: `namespace_names` and `custom_tool_calls` made it so."""
    tools = [
        {
            "type": "namespace",
            "name": "mcp__desk",
            "description": "Desktop",
            "tools": [{"type": "function", "name": "click"}, {"type": "custom", "name": "draw"}],
        }
    ]
    for name in ("mcp__desk__click", "mcp__desk__draw"):
        life, done = call(0, "{}", name=name)
        events = opened(*life, delta([CALL | {"name": name, "call_id": "x"}]), terminal(done))
        for event in events[:2]:
            event["response"] = {**event["response"], "tools": tools}
        assert len(repaired(events).output) == 1


def test_slices_of_arguments_are_joined_in_no_time() -> None:
    pieces = [
        CALL | {"arguments": '{"city": "'},
        *[CALL | {"arguments": "Paris"}] * 20_000,
        CALL | {"arguments": '"}'},
    ]
    made = repaired(opened(*(delta([piece]) for piece in pieces), terminal()))
    assert made.output[0]["arguments"] == '{"city": "' + "Paris" * 20_000 + '"}'
    many = json.dumps([CALL]) * 5_000
    assert len(repaired(opened(delta(many), terminal())).output) == 1
