"""Names of functions."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, becomes, compact, repaired, stays


def stream(name: str) -> str:
    piece = {"index": 0, "id": "a", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return f"{ROLE}\n{compact({'tool_calls': [piece]})}\n{{}} -> tool_calls\n[DONE]"


def test_names_of_tools_stay() -> None:
    stays(stream("get_time"), request=REQUEST)
    stays(stream("get_time"))
    assert not repaired(stream("unknown"), request=REQUEST, conforming=False).repairs
    strange = {**REQUEST, "tools": [{"type": "function", "function": {"name": "get<|time"}}]}
    stays(stream("get<|time"), request=strange)


@pytest.mark.parametrize(
    "rest", ["<|channel|>commentary", "<|constrain|>json", " ", '{"city"', "</tool_call>"]
)
def test_what_follows_a_name_goes(rest: str) -> None:
    becomes(stream(f"get_time{rest}"), stream("get_time"), request=REQUEST)


def test_without_tools_only_a_control_token_ends_a_name() -> None:
    becomes(stream("anything<|channel|>commentary"), stream("anything"))
    stays(stream("any thing"))
    stays(stream("<|channel|>commentary"))


@pytest.mark.parametrize("name", ["other<|channel|>commentary", "get_timer", "get", "<|get_time"])
def test_names_are_never_guessed(name: str) -> None:
    assert not repaired(stream(name), request=REQUEST, conforming=False).repairs
