from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.efforts import Efforts

REPAIR = Efforts()


def effort(word: object, **facts: object) -> object:
    return body_after(REPAIR, {"reasoning": {"effort": word, "summary": "auto"}}, **facts)["reasoning"]


def test_the_nearest() -> None:
    for word, nearest in (("none", "low"), ("minimal", "low"), ("xhigh", "high"), ("max", "high")):
        for harmony in (None, True):
            assert effort(word, harmony=harmony) == {"effort": nearest, "summary": "auto"}


def test_what_is_known_and_what_nobody_knows() -> None:
    for word in ("low", "medium", "high", "ultra", None, 7, ["max"]):
        assert repaired_by(REPAIR, {"reasoning": {"effort": word}}) is None
    others: tuple[object, ...] = ({}, None, "high")
    for reasoning in others:
        assert repaired_by(REPAIR, {"reasoning": reasoning}) is None


def test_the_simple_path() -> None:
    assert effort("max", harmony=False) == {"effort": "high", "summary": "auto"}
    assert repaired_by(REPAIR, {"reasoning": {"effort": "xhigh"}}, harmony=False) is None


def test_when() -> None:
    assert REPAIR.step(Facts()) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=False)) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=False, release=(0, 24))) is Step.NEVER
    assert REPAIR.step(Facts(harmony=True, release=(0, 32))) is Step.LOSSY
