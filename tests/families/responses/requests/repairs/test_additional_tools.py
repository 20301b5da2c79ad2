from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.additional_tools import AdditionalTools

REPAIR = AdditionalTools()


F, G = {"type": "function", "name": "f"}, {"type": "function", "name": "g"}
USER = {"role": "user", "content": "Hi"}


def more(*tools: object) -> dict[str, object]:
    return {"type": "additional_tools", "id": "at_1", "role": "developer", "tools": list(tools)}


def test_they_go_to_the_end_of_the_tools() -> None:
    body = {"input": [more(G), USER], "tools": [F]}
    assert body_after(REPAIR, body) == {"input": [USER], "tools": [F, G]}
    assert body_after(REPAIR, {"input": [more(G), USER]}) == {"input": [USER], "tools": [G]}


def test_the_same_tool_twice_is_one() -> None:
    assert body_after(REPAIR, {"input": [more(F), USER, more(F, G)], "tools": [F]})["tools"] == [F, G]


def test_an_item_without_tools() -> None:
    assert body_after(REPAIR, {"input": [{"type": "additional_tools"}, USER]}) == {
        "input": [USER],
        "tools": [],
    }


def test_other_requests() -> None:
    for items in ("Hi", [USER], [], ["additional_tools"]):
        assert repaired_by(REPAIR, {"input": items, "tools": [F]}) is None


def test_when() -> None:
    """Harmony accepts it, and runs without any tool."""
    assert REPAIR.step(Facts()) is Step.FIRST
    assert REPAIR.step(Facts(harmony=True)) is Step.FIRST
    assert REPAIR.step(Facts(harmony=False)) is Step.LOSSLESS
