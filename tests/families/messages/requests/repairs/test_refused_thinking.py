"""Thoughts of earlier turns, which old releases refuse."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, asked, made_by, text
from vllm_sse_proxy.families.messages.requests.repairs.refused_thinking import RefusedThinking
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = RefusedThinking()
made = made_by(REPAIR)


def test_they_are_left_out() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    assert made(messages=asked(thought, text("Hi."))) == {"messages": asked(text("Hi."))}
    assert made(messages=asked(text("Hi."))) is None


def test_when() -> None:
    assert REPAIR.step(UNKNOWN) is Step.LOSSY
    assert REPAIR.step(Facts(release=(0, 12))) is Step.LOSSY
    assert REPAIR.step(Facts(release=(0, 17))) is Step.NEVER
