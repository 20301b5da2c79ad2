"""What the echo of the tools says about names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.streams import message, response
from vllm_sse_proxy.families.responses.echo import Echo, echo_at
from vllm_sse_proxy.families.responses.view import ClientView, ItemView
from vllm_sse_proxy.stream.event import Event

DESK = {
    "type": "namespace",
    "name": "mcp__desk",
    "tools": [
        {"type": "function", "name": "list_apps"},
        {"type": "custom", "name": "draw"},
        {"type": "function", "name": "click"},
    ],
}
WEB = {"type": "namespace", "name": "web", "tools": [{"type": "function", "name": "click"}]}


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name}


@pytest.mark.parametrize("name", ["mcp__desk__list_apps", "mcp__desk.list_apps", "list_apps"])
def test_a_flattened_name_has_one_place(name: str) -> None:
    echo = Echo([function("exec"), DESK, WEB])
    assert echo.has_namespaces
    assert echo.place_of(name) == ("mcp__desk", "list_apps")
    assert name in echo.names


@pytest.mark.parametrize("name", ["exec", "click", "mcp__desk", "list", "", "mcp__desk_list_apps"])
def test_a_name_that_is_not_settled_has_none(name: str) -> None:
    assert Echo([function("exec"), DESK, WEB]).place_of(name) is None


@pytest.mark.parametrize("first", [True, False])
def test_a_tool_of_its_own_comes_before_any_in_a_namespace(first: bool) -> None:  # noqa: FBT001 - drawn
    tools = [function("mcp__desk__list_apps"), function("list_apps"), {"type": "custom", "name": "draw"}]
    echo = Echo([*tools, DESK] if first else [DESK, *tools])
    assert echo.place_of("mcp__desk__list_apps") is None
    assert echo.place_of("list_apps") is None
    assert echo.place_of("draw") is None
    assert echo.place_of("mcp__desk.list_apps") == ("mcp__desk", "list_apps")


def test_two_namespaces_that_give_one_name_settle_nothing() -> None:
    outer = {"type": "namespace", "name": "mcp", "tools": [function("desk__list_apps")]}
    echo = Echo([outer, DESK, outer])
    assert echo.place_of("mcp__desk__list_apps") is None
    assert echo.place_of("desk__list_apps") == ("mcp", "desk__list_apps")


def test_a_namespace_that_comes_twice_is_one() -> None:
    assert Echo([DESK, DESK]).place_of("list_apps") == ("mcp__desk", "list_apps")


def test_a_namespace_may_end_with_its_separator() -> None:
    echo = Echo([{**DESK, "name": "mcp__desk__"}])
    assert echo.place_of("mcp__desk__list_apps") == ("mcp__desk__", "list_apps")


def test_custom_tools() -> None:
    echo = Echo(
        [
            {"type": "custom", "name": "apply_patch"},
            {"type": "custom", "name": "exec"},
            function("exec"),
            DESK,
        ]
    )
    assert echo.has_customs
    assert echo.is_custom("", "apply_patch")
    assert echo.is_custom("mcp__desk", "draw")
    assert not echo.is_custom("", "draw")
    assert not echo.is_custom("", "exec"), "a function has its name"
    assert not echo.is_custom("mcp__desk", "list_apps")
    assert not Echo([function("exec")]).has_customs


def test_functions_as_chat_completions_have_them() -> None:
    assert [*Echo([{"type": "function", "function": {"name": "get_weather"}}]).names] == ["get_weather"]


@pytest.mark.parametrize(
    "tools",
    [
        None,
        {},
        "x",
        [None, 7, "x", [], {}],
        [{"type": "function"}, {"type": "function", "name": 7}, {"type": "function", "name": ""}],
        [{"type": ["function"], "name": "x"}, {"type": "mcp", "name": "x"}, {"name": "x"}],
        [
            {"type": "namespace"},
            {"type": "namespace", "name": "x"},
            {"type": "namespace", "name": "x", "tools": {}},
        ],
        [
            {"type": "namespace", "name": "", "tools": [function("x")]},
            {"type": "namespace", "name": 7, "tools": []},
        ],
        [{"type": "namespace", "name": "x", "tools": [None, {"type": "function", "function": 7}, DESK]}],
    ],
)
def test_what_is_no_tool_is_left_out(tools: object) -> None:
    echo = Echo(tools)
    assert ([*echo.names], echo.has_customs, echo.has_namespaces) == ([], False, False)


class TestEchoAt:
    EVENT = Event("response.completed", {"response": {"tools": [DESK]}})

    def test_what_the_client_was_sent_counts(self) -> None:
        view = ClientView()
        view.response = response(tools=[function("exec")])
        assert [*echo_at(self.EVENT, view).names] == ["exec"]
        assert echo_at(self.EVENT, view) is echo_at(self.EVENT, view)
        view.response = response(tools=[DESK])
        assert echo_at(self.EVENT, view).has_namespaces

    def test_a_stream_that_is_nothing_but_its_end_has_its_own(self) -> None:
        view = ClientView()
        assert echo_at(self.EVENT, view).has_namespaces
        view.items.append(ItemView(0, message(0)[1]))
        assert not echo_at(self.EVENT, view).has_namespaces
        assert not echo_at(Event("response.completed", {"response": 7}), ClientView()).names
