"""Summaries that Anthropic's servers wrote."""

from __future__ import annotations

from vllm_sse_proxy.families.messages.requests.repairs.compactions import Compactions
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = Compactions()
UNKNOWN = Facts()


def made(**body: object) -> dict[str, object] | None:
    repairing = REPAIR.repair(body, UNKNOWN)
    return None if repairing is None else repairing.body


def asked(*blocks: object) -> list[object]:
    return [{"role": "user", "content": list(blocks)}]


def text(words: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": words, **more}


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
