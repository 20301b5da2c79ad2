"""Efforts that the model does not have."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, made_by
from vllm_sse_proxy.families.messages.requests.repairs.answer_efforts import AnswerEfforts
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = AnswerEfforts()
made = made_by(REPAIR)


def effort(word: object) -> object:
    return made(output_config={"effort": word, "format": None})


def test_the_nearest() -> None:
    for word in ("xhigh", "max"):
        assert effort(word) == {"output_config": {"effort": "high", "format": None}}
    others: tuple[object, ...] = ("low", "high", "ultra", None, 7)
    assert all(effort(other) is None for other in others)
    assert made() is None
    assert made(output_config="high") is None


def test_when() -> None:
    assert REPAIR.step(UNKNOWN) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=True, release=(0, 32))) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=False, release=(0, 24))) is Step.NEVER
