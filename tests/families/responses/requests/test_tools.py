from __future__ import annotations

import timeit

from vllm_sse_proxy.families.requests.members import tools_of, type_of
from vllm_sse_proxy.families.responses.requests.tools import (
    ConvertedTool,
    NamePool,
    ToolKind,
    changed_choice,
    joined_name,
    merged_tools,
)


def test_names_that_are_taken() -> None:
    pool = NamePool(["a", "a_3"])
    assert [pool.take(name) for name in ("a", "a", "b", "a", "b")] == ["a_2", "a_4", "b", "a_5", "b_2"]


def test_many_equal_names() -> None:
    def take() -> None:
        pool = NamePool([])
        for _ in range(20_000):
            pool.take("a")

    assert timeit.timeit(take, number=1) < 2  # quadratic, it would be minutes


def test_joined_names() -> None:
    assert joined_name("crm", "get") == "crm__get"
    assert joined_name("functions", "get") == "get"
    assert joined_name("", "get") == "get"


def test_conversions_follow_each_other() -> None:
    joined = ConvertedTool("crm__run", "crm__run", ToolKind.FUNCTION, "run", "crm")
    custom = ConvertedTool("crm__run_2", "crm__run", ToolKind.CUSTOM, "crm__run")
    assert custom.following(joined) == ConvertedTool("crm__run_2", "crm__run", ToolKind.CUSTOM, "run", "crm")
    renamed = ConvertedTool("x", "crm__run_2", ToolKind.FUNCTION, "crm__run_2")
    assert renamed.following(custom).kind is ToolKind.CUSTOM


def test_merged_tools() -> None:
    a, b = {"type": "function", "name": "a"}, {"type": "namespace", "name": "b", "tools": []}
    again = {"type": "function", "name": "a", "description": "another"}
    other = {"type": "namespace", "name": "b", "tools": [a]}
    assert merged_tools([a], [again, b, b, other, "no tool"]) == [a, b, other, "no tool"]


def test_no_tools() -> None:
    assert tools_of({"tools": None}) == []
    assert tools_of({"tools": {"type": "function"}}) == []
    assert type_of({"type": 1}) == ""
    assert type_of("function") == ""


def test_choices() -> None:
    def change(choice: dict[str, object]) -> dict[str, object] | None:
        return {**choice, "name": "b"} if choice.get("name") == "a" else None

    named = {"type": "function", "name": "a"}
    other = {"type": "function", "name": "c"}
    assert changed_choice("auto", change) == "auto"
    assert changed_choice(named, change) == {"type": "function", "name": "b"}
    assert changed_choice(other, change) is other
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [other, "?"]}
    assert changed_choice(allowed, change) is allowed
    assert changed_choice({**allowed, "tools": [named, other]}, change)["tools"] == [
        {**named, "name": "b"},
        other,
    ]
    assert changed_choice({"type": "allowed_tools"}, change) == {"type": "allowed_tools"}
