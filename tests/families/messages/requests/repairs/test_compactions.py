"""Summaries that Anthropic's servers wrote."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, asked, made_by, text
from vllm_sse_proxy.families.messages.requests.repairs.compactions import Compactions
from vllm_sse_proxy.families.requests import Step

REPAIR = Compactions()
made = made_by(REPAIR)


def test_a_summary_becomes_text() -> None:
    summary = {"type": "compaction", "content": "We said hello."}
    assert made(messages=asked(summary, text("Hi."))) == {
        "messages": asked(text("[What was said before: We said hello.]"), text("Hi."))
    }
    assert made(messages=asked({"type": "compaction", "content": None}, text("Hi."))) == {
        "messages": asked(text("Hi."))
    }
    assert made(messages=asked(text("Hi."))) is None
    assert REPAIR.step(UNKNOWN) is Step.LOSSLESS
