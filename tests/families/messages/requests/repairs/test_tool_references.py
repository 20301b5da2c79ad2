"""Names of tools in the result of a search for tools."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, made_by, result, text
from vllm_sse_proxy.families.messages.requests.repairs.tool_references import ToolReferences
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = ToolReferences()
made = made_by(REPAIR)


OLD = Facts(release=(0, 17))


def test_old_releases_get_them_in_words() -> None:
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
