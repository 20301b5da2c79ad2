"""What comes twice, or after its item, part or response is over, is dropped."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, reasoning, response, search, summary, whole
from vllm_sse_proxy import Ending

M_LIFE, M_DONE = message(0, "Hi")
C_LIFE, C_DONE = call(0, "{}")
S_LIFE, S_DONE = search(0)
LIVES = [message(0, "Hi"), reasoning(0, "Hm"), summary(0, "Hm"), call(0, "{}"), search(0)]


def doubled(life: list[Json]) -> list[Json]:
    """Return the life with every event but the deltas emitted twice."""
    return [event for event in life for _ in range(1 if event["type"].endswith(".delta") else 2)]


@pytest.mark.parametrize(("life", "done"), LIVES)
def test_duplicates_are_dropped(life: list[Json], done: Json) -> None:
    made = repaired(opened(*doubled(life), terminal(done)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]


@pytest.mark.parametrize(("life", "done"), LIVES)
def test_events_after_the_end_of_their_item_are_dropped(life: list[Json], done: Json) -> None:
    other, other_done = message(1, "Next")
    late = [event for event in life if not event["type"].endswith((".delta", "item.added"))]
    made = repaired(opened(*life, *other, *late, terminal(done, other_done)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, *other, terminal()]]


def test_a_delta_after_the_end_of_its_item_is_dropped() -> None:
    made = repaired(opened(*C_LIFE, C_LIFE[1], terminal(C_DONE)))
    assert made.output == [C_DONE]


def test_deltas_after_the_end_of_their_call_are_dropped() -> None:
    other, other_done = message(1, "Next")
    made = repaired(opened(*C_LIFE, *other, C_LIFE[1], terminal(C_DONE, other_done)))
    assert made.output == [C_DONE, other_done]


def test_steps_that_an_item_is_past_are_dropped() -> None:
    made = repaired(opened(*S_LIFE[:3], S_LIFE[1], *S_LIFE[3:], terminal(S_DONE)))
    assert made.body.count("web_search_call.in_progress") == 1


def test_mcp_may_say_in_progress_twice() -> None:
    item = {
        "id": "mcp_0",
        "type": "mcp_call",
        "name": "f",
        "server_label": "s",
        "arguments": "",
        "status": "in_progress",
    }
    place = {"item_id": "mcp_0", "output_index": 0}
    life: list[Json] = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.mcp_call.in_progress", **place},
        {"type": "response.mcp_call.in_progress", **place},
        {"type": "response.mcp_call_arguments.done", **place, "arguments": ""},
        {"type": "response.mcp_call.failed", **place},
    ]
    made = repaired(opened(*life, terminal()))
    assert made.body.count("mcp_call.in_progress") == 2
    assert "late_events" not in made.repairs


def test_a_shell_command_after_its_item_is_dropped() -> None:
    item = {
        "id": "sh",
        "type": "shell_call",
        "status": "completed",
        "call_id": "c",
        "action": {"commands": ["ls"]},
    }
    command = {
        "type": "response.shell_call_command.done",
        "output_index": 0,
        "command_index": 0,
        "command": "ls",
    }
    life = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
        command,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]
    made = repaired(opened(*life, *message(1, "Hi")[0], command, terminal()), conforming=False)
    assert made.body.count("shell_call_command.done") == 1


def test_after_an_error_only_the_end_is_emitted() -> None:
    error = {
        "type": "error",
        "code": "x",
        "message": "m",
        "param": None,
        "error": {"type": "t", "code": "x", "message": "m"},
    }
    made = repaired(opened(*M_LIFE[:3], error, error, *M_LIFE[3:], terminal(M_DONE)))
    assert made.body[-2:] == ["error", "failed"]
    assert made.body.count("error") == 1
    assert made.one("failed")["response"]["error"]["message"] == "m"
    assert made.ending is Ending.UPSTREAM_ERROR


def test_what_was_held_while_it_ended_is_dropped() -> None:
    life, _ = message(0, "Hi", id_="doubtful")
    made = repaired(opened({"type": "error", "code": "x", "message": "m"}, *life[:3]))
    assert made.body == ["error", "failed"]


def test_upstreams_own_failed_after_its_error_is_emitted() -> None:
    error = {
        "type": "error",
        "code": "x",
        "message": "m",
        "param": None,
        "error": {"type": "t", "code": "x", "message": "m"},
    }
    failed = {
        "type": "response.failed",
        "response": response("failed", error={"code": "server_error", "message": "n"}),
    }
    assert repaired(opened(error, failed)).one("failed")["response"]["error"]["message"] == "n"


def test_nothing_follows_the_terminal_event() -> None:
    made = repaired([*whole(message(0, "Hi")), *M_LIFE, terminal()])
    assert made.body[-1] == "completed"
    assert made.stream.count(b"[DONE]") == 1


def test_what_comes_once_stays() -> None:
    assert untouched(whole(message(0, "Hi"), reasoning(1, "Hm"), summary(2, "Hm"), call(3, "{}"), search(4)))
