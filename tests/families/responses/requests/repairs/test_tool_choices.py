from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.tool_choices import ToolChoices

REPAIR = ToolChoices()


F, G = {"type": "function", "name": "f"}, {"type": "function", "name": "g"}


def test_none() -> None:
    assert body_after(REPAIR, {"tools": [F], "tool_choice": "none", "input": "Hi"}) == {"input": "Hi"}
    assert repaired_by(REPAIR, {"tools": [F], "tool_choice": "none"}, release=(0, 24)) is None


def test_required() -> None:
    assert body_after(REPAIR, {"tools": [F], "tool_choice": "required"}) == {"tools": [F]}


def test_a_named_one_stands_alone() -> None:
    body = {"tools": [F, G, "?"], "tool_choice": {"type": "function", "name": "g"}}
    assert body_after(REPAIR, body) == {"tools": [G], "tool_choice": "auto"}
    unknown = {"tools": [F, G], "tool_choice": {"type": "function", "name": "h"}}
    assert body_after(REPAIR, unknown) == {"tools": [F, G], "tool_choice": "auto"}


def test_allowed_ones() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}, "?"]}
    assert body_after(REPAIR, {"tools": [F, G], "tool_choice": allowed}) == {
        "tools": [F],
        "tool_choice": "auto",
    }


def test_what_harmony_takes() -> None:
    for choice in ("auto", None, "sometimes"):
        assert repaired_by(REPAIR, {"tools": [F], "tool_choice": choice}) is None
    assert repaired_by(REPAIR, {"tools": [F]}) is None


def test_when() -> None:
    assert REPAIR.step(Facts()) is Step.NEVER
    assert REPAIR.step(Facts(harmony=True)) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=True, release=(0, 24))) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=True, release=(0, 32))) is Step.NEVER
