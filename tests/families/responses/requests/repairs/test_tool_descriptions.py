from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.tool_descriptions import ToolDescriptions

REPAIR = ToolDescriptions()


def test_functions_get_one() -> None:
    described = {"type": "function", "name": "a", "description": "b"}
    tools = [
        {"type": "function", "name": "f"},
        {"type": "function", "name": "g", "description": None},
        described,
    ]
    assert body_after(REPAIR, {"tools": tools})["tools"] == [
        {"type": "function", "name": "f", "description": ""},
        {"type": "function", "name": "g", "description": ""},
        described,
    ]
    assert repaired_by(REPAIR, {"tools": [described, {"type": "custom"}]}) is None


def test_when() -> None:
    assert REPAIR.step(Facts()) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=True)) is Step.LOSSLESS
    assert REPAIR.step(Facts(harmony=True, release=(0, 24))) is Step.NEVER
    assert REPAIR.step(Facts(harmony=False)) is Step.NEVER
