"""Blocks that are newer than vLLM."""

from __future__ import annotations

from vllm_sse_proxy.families.messages.requests.repairs.unknown_blocks import UnknownBlocks
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = UnknownBlocks()
UNKNOWN = Facts()


def made(**body: object) -> dict[str, object] | None:
    repairing = REPAIR.repair(body, UNKNOWN)
    return None if repairing is None else repairing.body


def asked(*blocks: object) -> list[object]:
    return [{"role": "user", "content": list(blocks)}]


def text(words: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": words, **more}


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
