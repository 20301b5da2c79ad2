"""An item that upstream never announced is announced before its first event."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, reasoning, search, summary, whole

C_LIFE, C_DONE = call(0, "{}")
M_LIFE, M_DONE = message(0, "Hi")


@pytest.mark.parametrize(
    ("life", "done"), [message(0, "Hi"), reasoning(0, "Hm"), summary(0, "Hm"), search(0)]
)
def test_the_first_event_announces(life: list[Json], done: Json) -> None:
    made = repaired(opened(*life[1:], terminal(done)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]
    assert made.one("output_item.added")["item"]["id"] == done["id"]
    assert made.repairs["item_openings"] == 1


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("response.code_interpreter_call.in_progress", "code_interpreter_call"),
        ("response.file_search_call.searching", "file_search_call"),
        ("response.image_generation_call.generating", "image_generation_call"),
    ],
)
def test_hosted_tools_too(name: str, type_: str) -> None:
    made = repaired(opened({"type": name, "item_id": "x_1", "output_index": 0}, terminal()))
    assert made.one("output_item.added")["item"]["type"] == type_


def test_a_part_says_the_kind_of_its_item() -> None:
    for life, kind in ((M_LIFE, "message"), (reasoning(0, "Hm")[0], "reasoning")):
        made = repaired(opened(*life[1:2], terminal()))
        assert made.one("output_item.added")["item"]["type"] == kind
        made = repaired(opened(*life[4:5], terminal()))
        assert made.one("output_item.done")["item"]["type"] == kind


@pytest.mark.parametrize("event", [{**M_LIFE[1], "part": {"type": "vendor"}}, C_LIFE[1], C_LIFE[2]])
def test_what_cannot_be_announced_is_dropped(event: Json) -> None:
    made = repaired(opened(event, terminal()))
    assert made.body == ["completed"]


def test_a_call_whose_pieces_came_before_its_name_is_emitted_whole_when_it_is_done() -> None:
    made = repaired(opened(*C_LIFE[1:], terminal(C_DONE)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*C_LIFE, terminal()]]
    assert made.output == [C_DONE]


def test_an_item_that_only_closes_gets_its_whole_life() -> None:
    for life, done in (message(0, "Hi"), reasoning(0, "Hm"), summary(0, "Hm"), search(0)):
        made = repaired(opened(life[-1], terminal(done)))
        assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]
        assert made.output == [done]


def test_a_done_call_without_a_name_is_no_item() -> None:
    made = repaired(opened({**C_LIFE[3], "item": {**C_DONE, "name": ""}}, terminal()))
    assert made.body == ["completed"]


def test_a_shell_command_without_its_item_is_dropped() -> None:
    command = {
        "type": "response.shell_call_command.added",
        "output_index": 0,
        "command_index": 0,
        "command": "ls",
    }
    made = repaired(opened(command, terminal()))
    assert made.body == ["completed"]


def test_announced_items_stay() -> None:
    assert untouched(whole(message(0, "Hi"), reasoning(1, "Hm"), call(2, "{}"), search(3)))


@pytest.mark.parametrize("kept", [("delta",), ("delta", "done"), ("done",)])
@pytest.mark.parametrize("said", ["", '{"a"'])
def test_a_call_without_a_name_keeps_its_arguments_for_a_done_item_that_has_none(
    kept: tuple[str, ...], said: str
) -> None:
    """Issue 12, K6."""
    life, done = call(0, '{"a":', "1}")
    pieces = [event for event in life[1:-1] if event["type"].endswith(kept)]
    nameless = {**life[0], "item": {**life[0]["item"], "name": ""}}
    closing = {**life[-1], "item": {**done, "arguments": said}}
    made = repaired(opened(nameless, *pieces, closing, *message(1, "Hi")[0], terminal()))
    assert [item["arguments"] for item in made.output if "call_id" in item] == ['{"a":1}']


def test_what_came_of_a_call_does_not_replace_what_can_be_read() -> None:
    life, done = call(0, '{"a":1}')
    nameless = {**life[0], "item": {**life[0]["item"], "name": ""}}
    for said, came in (("{}", '{"a":1}'), ("", "half"), ("", "")):
        closing = {**life[-1], "item": {**done, "arguments": said}}
        made = repaired(opened(nameless, {**life[1], "delta": came}, closing, terminal()))
        assert [item["arguments"] for item in made.output] == [said]


TOOLS = [{"name": "get_info", "description": "d", "annotations": None, "input_schema": {"type": "object"}}]
LIST: Json = {"id": "mcpl_1", "type": "mcp_list_tools", "server_label": "lab", "tools": TOOLS}


@pytest.mark.parametrize("first", ["in_progress", "completed"])
def test_a_list_of_tools_is_announced_when_its_server_is_known(first: str) -> None:
    place = {"item_id": "mcpl_1", "output_index": 0}
    progress = [{"type": f"response.mcp_list_tools.{name}", **place} for name in ("in_progress", "completed")]
    done = {"type": "response.output_item.done", "output_index": 0, "item": LIST}
    events = progress[first == "completed" :]
    for rest in ([done, terminal(LIST)], [terminal(LIST)]):
        made = repaired(opened(*events, *rest))
        assert made.one("output_item.added")["item"] == {**LIST, "tools": []}
        assert made.body == [
            "output_item.added",
            "mcp_list_tools.in_progress",
            "mcp_list_tools.completed",
            "output_item.done",
            "completed",
        ]
        assert made.output == [LIST]
    assert repaired(opened(*events, terminal())).body == ["completed"]


def test_a_large_result_is_not_sent_twice() -> None:
    image = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "iVBORw0KGgo="}
    made = repaired(opened(terminal(image)))
    assert made.one("output_item.added")["item"]["result"] is None
    assert made.output == [image]
