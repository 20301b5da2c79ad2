from __future__ import annotations

import pytest

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.namespace_tools import NamespaceTools

REPAIR = NamespaceTools()


F = {"type": "function", "name": "f", "parameters": {}}
USER = {"role": "user", "content": "Hi"}


def space(name: object, *tools: object) -> dict[str, object]:
    return {"type": "namespace", "name": name, "tools": list(tools)}


def call(name: str, **members: object) -> dict[str, object]:
    return {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}", **members}


def test_in_place_and_in_order() -> None:
    body = {"input": "Hi", "tools": [F, space("a", F, {**F, "name": "g"}), {"type": "web_search"}]}
    after = body_after(REPAIR, body)
    assert after["tools"] == [F, {**F, "name": "a__f"}, {**F, "name": "a__g"}, {"type": "web_search"}]


def test_the_same_function_in_two_namespaces() -> None:
    result = repaired_by(REPAIR, {"tools": [space("a", F), space("b", F)]})
    assert result is not None
    assert [(tool.sent, tool.namespace, tool.name) for tool in result.tools] == [
        ("a__f", "a", "f"),
        ("b__f", "b", "f"),
    ]


def test_a_joined_name_that_is_taken() -> None:
    after = body_after(REPAIR, {"tools": [space("a", F), {**F, "name": "a__f"}]})
    assert [tool["name"] for tool in after["tools"]] == ["a__f_2", "a__f"], "the client's own name stays"


def test_the_same_tool_twice_is_one() -> None:
    assert (
        len(body_after(REPAIR, {"tools": [space("a", F), space("a", F, {**F, "name": "g"})]})["tools"]) == 2
    )


def test_what_nobody_can_call() -> None:
    for empty in (space("a"), {"type": "namespace", "name": "a"}, space("a", "?", {"type": "function"})):
        assert body_after(REPAIR, {"tools": [F, empty]})["tools"] == [F]
    assert body_after(REPAIR, {"tools": [space("a")], "input": "Hi"})["tools"] == []
    assert body_after(REPAIR, {"tools": [space(7, F)]})["tools"] == [F]


def test_the_history() -> None:
    items = [
        USER,
        call("f", namespace="a"),
        call("gone", namespace="b"),
        call("f"),
        call("f", namespace=None),
        "?",
    ]
    after = body_after(REPAIR, {"input": items, "tools": [space("a", F)]})["input"]
    assert after == [USER, call("a__f"), call("b__gone"), call("f"), call("f", namespace=None), "?"]


def test_calls_of_custom_tools() -> None:
    item = {"type": "custom_tool_call", "call_id": "c", "name": "raw", "input": "", "namespace": "a"}
    assert body_after(REPAIR, {"input": [item]})["input"] == [
        {"type": "custom_tool_call", "call_id": "c", "name": "a__raw", "input": ""}
    ]
    assert body_after(REPAIR, {"input": [{**item, "namespace": ""}]})["input"][0]["name"] == "raw"


@pytest.mark.parametrize(
    ("choice", "after"),
    [
        ("auto", "auto"),
        ({"type": "function", "name": "g"}, {"type": "function", "name": "a__g"}),
        ({"type": "function", "name": "f"}, {"type": "function", "name": "f"}),  # the client's own
        ({"type": "function", "name": "f", "namespace": "a"}, {"type": "function", "name": "a__f"}),
        (
            {"type": "function", "name": "f", "namespace": "z"},
            {"type": "function", "name": "f", "namespace": "z"},
        ),
        ({"type": "function", "name": "h"}, {"type": "function", "name": "h"}),  # in two namespaces
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a__g"}]},
        ),
    ],
)
def test_choices(choice: object, after: object) -> None:
    g, h = {**F, "name": "g"}, {**F, "name": "h"}
    body = {"tools": [F, space("a", F, g, h), space("b", h)], "tool_choice": choice}
    assert body_after(REPAIR, body)["tool_choice"] == after


def test_requests_without_namespaces() -> None:
    for items in ("Hi", [USER, call("f")], None):
        assert repaired_by(REPAIR, {"input": items, "tools": [F]}) is None


def test_where_vllm_joins_the_names() -> None:
    known = {"harmony": False, "release": (0, 26)}
    assert (
        repaired_by(REPAIR, {"tools": [space("a", F), F, {"type": "namespace", "name": "b"}]}, **known)
        is None
    )
    custom = {"type": "custom", "name": "raw"}
    assert body_after(REPAIR, {"tools": [space("a", F, custom)]}, **known)["tools"][1]["name"] == "a__raw"
    assert body_after(REPAIR, {"tools": [space("functions", F)]}, **known)["tools"] == [F]


def test_when() -> None:
    """0.24 shows the model one function without parameters."""
    assert REPAIR.step(Facts(release=(0, 24))) is Step.FIRST
    assert REPAIR.step(Facts(release=(0, 26))) is Step.LOSSLESS
    assert REPAIR.step(Facts(harmony=True)) is Step.LOSSLESS
