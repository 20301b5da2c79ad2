"""Tools that only Anthropic's servers run."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, made_by
from vllm_sse_proxy.families.messages.requests.repairs.server_tools import ServerTools
from vllm_sse_proxy.families.requests import Step

REPAIR = ServerTools()
made = made_by(REPAIR)


LOOK = {"name": "look", "input_schema": {}}
CUSTOM = {"type": "custom", "name": "stop", "input_schema": {}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
BASH = {"type": "bash_20250124", "name": "bash"}
FINDER = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "notes"}


def test_they_are_left_out() -> None:
    assert made(tools=[LOOK, SEARCH, CUSTOM, TOOLSET]) == {"tools": [LOOK, CUSTOM]}
    assert made(tools=[BASH, SEARCH]) == {"tools": [BASH]}, "the client runs it"


def test_none_is_left() -> None:
    assert made(tools=[SEARCH], tool_choice={"type": "auto"}, model="m") == {"model": "m"}
    assert made(tools=[SEARCH], model="m") == {"model": "m"}


def test_what_must_be_called_stays() -> None:
    assert made(tools=[SEARCH], tool_choice={"type": "any"}) is None
    assert made(tools=[SEARCH, LOOK], tool_choice={"type": "tool", "name": "web_search"}) is None
    choice = {"type": "tool", "name": "look"}
    assert made(tools=[SEARCH, LOOK], tool_choice=choice) == {"tools": [LOOK], "tool_choice": choice}


def test_what_would_have_been_found_is_shown() -> None:
    deferred = {**LOOK, "defer_loading": True}
    assert made(tools=[FINDER, deferred, CUSTOM]) == {"tools": [LOOK, CUSTOM]}
    assert made(tools=[SEARCH, deferred]) == {"tools": [deferred]}


def test_nothing_to_leave_out() -> None:
    assert made(tools=[LOOK, CUSTOM, "odd"]) is None
    assert made() is None
    assert made(tools=[SEARCH, "odd"]) == {"tools": ["odd"]}
    assert REPAIR.step(UNKNOWN) is Step.LOSSY
