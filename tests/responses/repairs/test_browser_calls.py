"""A browser call that is streamed as two items is told as one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, search

S_LIFE, S_DONE = search(0)


def mcp_call(name: str, id_: Any = "mcp_0") -> tuple[list[Json], Json]:
    """Return an MCP call's events and its done item."""
    item = {"id": id_, "type": "mcp_call", "name": name, "server_label": "s"}
    place = {"item_id": id_, "output_index": 0}
    done = {**item, "arguments": "{}", "status": "completed"}
    added = {**item, "arguments": "", "status": "in_progress"}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": added},
        {"type": "response.mcp_call.in_progress", **place},
        {"type": "response.mcp_call_arguments.delta", **place, "delta": "{}"},
        {"type": "response.mcp_call_arguments.done", **place, "arguments": "{}"},
        {"type": "response.mcp_call.completed", **place},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
    ], done


@pytest.mark.parametrize("index", [0, 1])
def test_the_search_alone_is_told(index: int) -> None:
    life, _ = mcp_call("browser.search")
    made = repaired(opened(*life, *({**event, "output_index": index} for event in S_LIFE), terminal(S_DONE)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*S_LIFE, terminal()]]
    assert made.output == [S_DONE]
    assert made.repairs["browser_calls"] == len(life)


def test_a_failed_one_goes_too() -> None:
    life, _ = mcp_call("browser.open")
    failed = {"type": "response.mcp_call.failed", "item_id": "mcp_0", "output_index": 0}
    made = repaired(opened(*life[:4], failed, *S_LIFE, terminal(S_DONE)))
    assert made.output == [S_DONE]


def test_without_an_id_it_goes_as_well() -> None:
    life, _ = mcp_call("browser.search", None)
    made = repaired(opened(life[0], life[5], *S_LIFE, terminal(S_DONE)))
    assert made.output == [S_DONE]


def test_other_servers_calls_stay() -> None:
    life, done = mcp_call("search.browser")
    assert untouched(opened(*life, terminal(done)))


def test_an_event_without_its_item_is_left_to_others() -> None:
    made = repaired(
        opened({"type": "response.output_item.added"}, terminal()),
        disabled=["item_shapes"],
        strict=False,
        conforming=False,
    )
    assert "browser_calls" not in made.repairs
