"""Thoughts that only Anthropic can read."""

from __future__ import annotations

from vllm_sse_proxy.families.messages.requests.repairs.redacted_thinking import RedactedThinking
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = RedactedThinking()
UNKNOWN = Facts()


def made(**body: object) -> dict[str, object] | None:
    repairing = REPAIR.repair(body, UNKNOWN)
    return None if repairing is None else repairing.body


def asked(*blocks: object) -> list[object]:
    return [{"role": "user", "content": list(blocks)}]


def text(words: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": words, **more}


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
