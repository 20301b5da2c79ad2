"""Thoughts that only Anthropic can read."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, asked, made_by, text
from vllm_sse_proxy.families.messages.requests.repairs.redacted_thinking import RedactedThinking
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = RedactedThinking()
made = made_by(REPAIR)


def test_they_are_left_out() -> None:
    hidden = {"type": "redacted_thinking", "data": "AAAA"}
    assert made(messages=asked(hidden, text("Hi."))) == {"messages": asked(text("Hi."))}
    other = [{"role": "user", "content": "Hi."}]
    assert made(messages=[*asked(hidden), *other]) == {"messages": other}, "a message without blocks goes"
    assert made(messages=asked(hidden)) is None, "no message would be left"
    assert made(messages=asked({"type": "thinking", "thinking": "Hm."})) is None


def test_when() -> None:
    assert REPAIR.step(UNKNOWN) is Step.LOSSLESS
    assert REPAIR.step(Facts(release=(0, 17))) is Step.LOSSLESS
    assert REPAIR.step(Facts(release=(0, 20))) is Step.NEVER
