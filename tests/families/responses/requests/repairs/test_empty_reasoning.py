from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.empty_reasoning import EmptyReasoning

REPAIR = EmptyReasoning()


USER = {"role": "user", "content": "Hi"}


def test_a_thought_without_content() -> None:
    for item in ({"type": "reasoning", "summary": [{"text": "s"}]}, {"type": "reasoning", "content": []}):
        assert body_after(REPAIR, {"input": [USER, item]})["input"] == [USER]
    assert repaired_by(REPAIR, {"input": [USER, {"type": "reasoning", "content": [{"text": "t"}]}]}) is None


def test_when() -> None:
    assert REPAIR.step(Facts()) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=True)) is Step.LOSSLESS
    assert REPAIR.step(Facts(harmony=True, release=(0, 24))) is Step.NEVER
    assert REPAIR.step(Facts(harmony=False)) is Step.NEVER
