"""Names of tools in the result of a search for tools."""

from __future__ import annotations

from vllm_sse_proxy.families.messages.requests.repairs.tool_references import ToolReferences
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = ToolReferences()
UNKNOWN = Facts()


def made(**body: object) -> dict[str, object] | None:
    repairing = REPAIR.repair(body, UNKNOWN)
    return None if repairing is None else repairing.body


def result(*blocks: object) -> list[object]:
    return [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": list(blocks)}]}
    ]


def text(words: str) -> dict[str, object]:
    return {"type": "text", "text": words}


OLD = Facts(release=(0, 17))


def test_old_releases_are_emitted_in_words() -> None:
    found = result(
        {"type": "tool_reference", "tool_name": "look"},
        {"type": "tool_reference", "name": "stop"},
        {"type": "tool_reference"},
    )
    assert made(messages=found) == {
        "messages": result(
            text("The tool look can be called from now on."), text("The tool stop can be called from now on.")
        )
    }
    assert made(messages=result(text("Nothing."))) is None


def test_when() -> None:
    assert REPAIR.step(OLD) is Step.FIRST
    assert REPAIR.step(UNKNOWN) is Step.NEVER
    assert REPAIR.step(Facts(release=(0, 24))) is Step.NEVER
    assert REPAIR.concerns({"messages": result({"type": "tool_reference", "tool_name": "look"})}, UNKNOWN)
    assert not REPAIR.concerns({"messages": result(text("Hi."))}, UNKNOWN)
