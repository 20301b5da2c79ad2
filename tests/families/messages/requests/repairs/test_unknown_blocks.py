"""Blocks that are newer than vLLM."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, asked, made_by, text
from vllm_sse_proxy.families.messages.requests.repairs.unknown_blocks import UnknownBlocks
from vllm_sse_proxy.families.requests import Step

REPAIR = UnknownBlocks()
made = made_by(REPAIR)


def test_what_is_text_in_them_stays() -> None:
    assert made(messages=asked({"type": "fallback", "from": "a"}, text("Hi."))) == {
        "messages": asked(text("Hi."))
    }
    assert made(messages=asked({"type": "new", "text": "Words."})) == {"messages": asked(text("Words."))}
    assert made(messages=asked({"no": "type"}, text("Hi."))) == {"messages": asked(text("Hi."))}


def test_known_ones_stay() -> None:
    assert made(messages=asked(text("Hi."), {"type": "tool_reference", "tool_name": "look"})) is None
    assert made(messages=asked({"type": "tool_result", "content": [{"type": "new"}]})) is None
    assert REPAIR.step(UNKNOWN) is Step.LOSSY
