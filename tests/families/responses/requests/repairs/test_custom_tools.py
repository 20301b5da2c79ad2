from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.custom_tools import CustomTools

REPAIR = CustomTools()


CUSTOM = {"type": "custom", "name": "c", "description": "Does c."}
GRAMMAR = {**CUSTOM, "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}}
F = {"type": "function", "name": "f"}
USER = {"role": "user", "content": "Hi"}


def test_a_tool_becomes_a_function_with_one_string() -> None:
    (after,) = body_after(REPAIR, {"tools": [{**CUSTOM, "format": {"type": "text"}}]})["tools"]
    assert (after["type"], after["name"], after["description"]) == ("function", "c", "Does c.")
    assert after["parameters"]["required"] == ["input"]
    assert "format" not in after


def test_one_with_a_grammar_waits() -> None:
    assert repaired_by(REPAIR, {"tools": [GRAMMAR, F]}) is None
    assert body_after(REPAIR, {"tools": [GRAMMAR, CUSTOM]})["tools"][0] is GRAMMAR


def test_a_name_that_is_taken() -> None:
    after = body_after(REPAIR, {"tools": [CUSTOM, {**F, "name": "c"}]})
    assert [tool["name"] for tool in after["tools"]] == ["c_2", "c"]


def test_the_history() -> None:
    call = {
        "type": "custom_tool_call",
        "id": "ctc_1",
        "call_id": "1",
        "name": "c",
        "input": 'a"b',
        "status": "completed",
    }
    output = {"type": "custom_tool_call_output", "id": "ctco_1", "call_id": "1", "output": "done"}
    after = body_after(REPAIR, {"input": [USER, call, output], "tools": [F, CUSTOM, {**F, "name": "c"}]})[
        "input"
    ]
    arguments = '{"input": "a\\"b"}'
    assert after == [
        USER,
        {
            "type": "function_call",
            "call_id": "1",
            "name": "c_2",
            "status": "completed",
            "arguments": arguments,
        },
        {"type": "function_call_output", "call_id": "1", "output": "done"},
    ]


def test_a_history_without_its_tools() -> None:
    call = {"type": "custom_tool_call", "call_id": "1"}
    after = body_after(REPAIR, {"input": [call]})
    assert after == {
        "input": [{"type": "function_call", "call_id": "1", "name": "", "arguments": '{"input": ""}'}]
    }


def test_choices() -> None:
    def chosen(choice: object) -> object:
        return body_after(REPAIR, {"tools": [CUSTOM], "tool_choice": choice})["tool_choice"]

    assert chosen({"type": "custom", "name": "c"}) == {"type": "function", "name": "c"}
    assert chosen({"type": "custom", "name": "other"}) == {"type": "custom", "name": "other"}
    assert chosen("required") == "required"


def test_other_requests() -> None:
    assert repaired_by(REPAIR, {"input": [USER], "tools": [F]}) is None
    assert repaired_by(REPAIR, {"input": "Hi"}) is None


def test_when() -> None:
    assert REPAIR.step(Facts()) is Step.LOSSLESS
    assert REPAIR.step(Facts(harmony=False, release=(0, 32))) is Step.NEVER, "vLLM does it itself"
    assert REPAIR.step(Facts(harmony=True, release=(0, 32))) is Step.LOSSLESS
