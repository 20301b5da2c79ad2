"""Thoughts of earlier turns, which old releases refuse."""

from __future__ import annotations

from vllm_sse_proxy.families.messages.requests.repairs.refused_thinking import RefusedThinking
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = RefusedThinking()
UNKNOWN = Facts()


def made(**body: object) -> dict[str, object] | None:
    repairing = REPAIR.repair(body, UNKNOWN)
    return None if repairing is None else repairing.body


def asked(*blocks: object) -> list[object]:
    return [{"role": "user", "content": list(blocks)}]


def text(words: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": words, **more}


def test_they_are_left_out() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    assert made(messages=asked(thought, text("Hi."))) == {"messages": asked(text("Hi."))}
    assert made(messages=asked(text("Hi."))) is None


def test_when() -> None:
    assert REPAIR.step(UNKNOWN) is Step.LOSSY
    assert REPAIR.step(Facts(release=(0, 12))) is Step.LOSSY
    assert REPAIR.step(Facts(release=(0, 17))) is Step.NEVER
