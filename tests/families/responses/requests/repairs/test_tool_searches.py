from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.tool_searches import ToolSearches

REPAIR = ToolSearches()


PARAMETERS = {"type": "object", "properties": {"query": {"type": "string"}}}
SEARCH = {
    "type": "tool_search",
    "execution": "client",
    "description": "Finds tools",
    "parameters": PARAMETERS,
}
F = {"type": "function", "name": "f", "description": "does f", "defer_loading": True}
NOTES = {
    "type": "namespace",
    "name": "notes",
    "tools": [{**F, "name": "add"}, {"type": "custom", "name": "raw"}, "?"],
}
USER = {"role": "user", "content": "Hi"}


def call(**members: object) -> dict[str, object]:
    return {"type": "tool_search_call", "id": "tsc_1", "call_id": "c", "arguments": {"query": "f"}, **members}


def output(*tools: object, **members: object) -> dict[str, object]:
    return {"type": "tool_search_output", "id": "tso_1", "call_id": "c", "tools": list(tools), **members}


def test_the_tool() -> None:
    result = repaired_by(REPAIR, {"input": "Hi", "tools": [F, SEARCH]})
    assert result is not None
    function = {
        "type": "function",
        "name": "tool_search",
        "description": "Finds tools",
        "parameters": PARAMETERS,
    }
    assert result.body == {"input": "Hi", "tools": [F, function]}
    assert [(tool.sent, tool.kind) for tool in result.tools] == [("tool_search", "tool_search")]


def test_a_tool_that_does_not_say_what_it_takes() -> None:
    function = body_after(REPAIR, {"input": "Hi", "tools": [{"type": "tool_search", "execution": "client"}]})[
        "tools"
    ][0]
    assert function["description"]
    assert function["parameters"]["required"] == ["query"]


def test_a_name_that_is_taken() -> None:
    own = {"type": "function", "name": "tool_search"}
    assert (
        body_after(REPAIR, {"input": [call()], "tools": [own, SEARCH]})["tools"][1]["name"] == "tool_search_2"
    )


def test_the_history() -> None:
    body = body_after(REPAIR, {"input": [USER, call(), output(NOTES, F)], "tools": [SEARCH]})
    assert body["input"] == [
        USER,
        {"type": "function_call", "call_id": "c", "name": "tool_search", "arguments": '{"query":"f"}'},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": "Tools that can be called now:\n- notes__add: does f\n- notes__raw\n- f: does f",
        },
    ]
    assert body["tools"][1:] == [NOTES, F]


def test_nothing_found() -> None:
    for found in ([], ["?"]):
        body = body_after(REPAIR, {"input": [call(arguments="text"), output(*found)]})
        assert body["input"][0]["arguments"] == "text"
        assert body["input"][1]["output"] == "No tool was found."
    assert (
        body_after(REPAIR, {"input": [USER, output(tools=None)]})["input"][1]["output"]
        == "No tool was found."
    )


def test_a_search_that_openai_ran() -> None:
    """Its tools stay, its items go: nothing calls it by a ``call_id``."""
    body = body_after(REPAIR, {"input": [USER, call(call_id=None), output(F, call_id=None)]})
    assert body == {"input": [USER], "tools": [F]}


def test_other_requests() -> None:
    assert repaired_by(REPAIR, {"input": [USER], "tools": [F, {"type": "tool_search"}]}) is None
