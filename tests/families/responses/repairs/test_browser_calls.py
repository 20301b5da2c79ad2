"""A browser call that is streamed as two items is emitted as one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, message, search, wire
from vllm_sse_proxy import BodyEnd

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
def test_the_search_alone_is_emitted(index: int) -> None:
    life, _ = mcp_call("browser.search")
    made = repaired(opened(*life, *({**event, "output_index": index} for event in S_LIFE), terminal(S_DONE)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*S_LIFE, terminal()]]
    assert made.output == [S_DONE]
    assert made.repairs["browser_calls"] == 1


@pytest.mark.parametrize("at", [0, 2, 5])
def test_its_id_may_change_in_its_middle(at: int) -> None:
    life, _ = mcp_call("browser.search")
    renamed, _ = mcp_call("browser.search", "mcp_renamed")
    made = repaired(opened(*life[:at], *renamed[at:], *S_LIFE, terminal(S_DONE)))
    assert made.output == [S_DONE]


def test_a_search_that_only_the_end_shows_is_the_call_that_was_streamed() -> None:
    life, done = mcp_call("browser.search")
    made = repaired(opened(*life, terminal(S_DONE)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]
    assert made.output == [done]
    assert made.repairs["browser_calls"] == 1


@pytest.mark.parametrize("length", [1, 3, 6])
def test_what_no_search_says_is_emitted_as_it_came(length: int) -> None:
    """The answer was cut off in the call or after it: nothing else says so."""
    life, _ = mcp_call("browser.search")
    made = repaired(opened(*life[:length], terminal()))
    assert [(item["type"], item["name"]) for item in made.output] == [("mcp_call", "browser.search")]
    assert made.values("mcp_call_arguments.delta", "delta") == ["{}"][: length // 3]
    assert "browser_calls" not in made.repairs


def test_a_call_at_which_upstream_dies_is_emitted() -> None:
    life, _ = mcp_call("browser.search")
    made = repaired(opened(*life[:3]), end=BodyEnd.CUT)
    assert made.values("mcp_call_arguments.delta", "delta") == ["{}"]
    assert made.names[-1] == "failed"


def test_a_heartbeat_decides_nothing() -> None:
    life, _ = mcp_call("browser.search")
    before, after = opened(*life[:3]), [*life[3:], *S_LIFE, terminal(S_DONE)]
    made = repaired(wire(before, done=False) + b": ping\n\n" + wire(after, done=False))
    assert made.output == [S_DONE]
    assert b": ping\n\n" in made.stream


def test_a_call_emitted_once_is_not_emitted_as_a_search_later() -> None:
    life, _ = mcp_call("browser.search")
    m_life, m_done = message(1, "Hi.")
    made = repaired(opened(*life, *m_life, life[4], terminal(S_DONE, m_done)))
    assert [item["type"] for item in made.output] == ["mcp_call", "message"]
    assert made.repairs["browser_calls"] == 1


def test_a_search_that_the_end_shows_twice_is_one() -> None:
    life, done = mcp_call("browser.search")
    made = repaired(opened(*life, terminal(S_DONE, dict(S_DONE))))
    assert made.output == [done]


def test_a_search_beyond_the_call_emitted_before_is_emitted() -> None:
    life, _ = mcp_call("browser.search")
    m_life, m_done = message(1, "Hi.")
    _, other = search(2)
    made = repaired(opened(*life, *m_life, terminal(S_DONE, m_done, other)))
    assert [item["type"] for item in made.output] == ["mcp_call", "message", "web_search_call"]


def test_what_comes_late_of_a_call_left_out_goes_too() -> None:
    life, _ = mcp_call("browser.search")
    made = repaired(opened(*life[:4], *S_LIFE, *life[4:], terminal(S_DONE)))
    assert made.output == [S_DONE]
    assert "mcp_call.completed" not in made.names


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


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2), (2,), (4,)])
def test_any_event_of_the_search_shows_that_it_is_one(order: tuple[int, ...]) -> None:
    life, _ = mcp_call("browser.search")
    others = [S_LIFE[place] for place in order if place < len(S_LIFE)]
    rest = [event for event in S_LIFE[3:] if event not in others]
    made = repaired(opened(*life, *others, *rest, terminal(S_DONE)))
    assert [item["type"] for item in made.output] == ["web_search_call"]


def test_an_opening_that_comes_late_decides_nothing() -> None:
    life, _ = mcp_call("browser.search")
    created, in_progress = opened()[:2]
    made = repaired([created, life[0], in_progress, *life[1:], *S_LIFE, terminal(S_DONE)])
    assert made.output == [S_DONE]
