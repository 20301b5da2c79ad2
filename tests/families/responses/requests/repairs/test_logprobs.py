from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.logprobs import Logprobs

REPAIR = Logprobs()


INCLUDE = "message.output_text.logprobs"


def test_they_are_not_asked_for() -> None:
    body = {"include": [INCLUDE, "reasoning.encrypted_content"], "top_logprobs": 2, "model": "m"}
    assert body_after(REPAIR, body) == {"include": ["reasoning.encrypted_content"], "model": "m"}


def test_other_requests() -> None:
    for body in (
        {"include": ["reasoning.encrypted_content"], "top_logprobs": 2},
        {"include": None},
        {"top_logprobs": 2},
    ):
        assert repaired_by(REPAIR, body) is None


def test_when() -> None:
    assert REPAIR.step(Facts(harmony=True)) is Step.LOSSY
    assert REPAIR.step(Facts()) is Step.NEVER, "the simple path gives them"
