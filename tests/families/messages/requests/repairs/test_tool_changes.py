"""Tools that come and go in the conversation."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, made_by
from vllm_sse_proxy.families.messages.requests.repairs.tool_changes import ToolChanges
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = ToolChanges()
made = made_by(REPAIR)


TOOL = {"name": "look", "input_schema": {}, "defer_loading": True}
OTHER = {"name": "stop", "input_schema": {}}


def change(kind: str, **tool: object) -> dict[str, object]:
    return {"type": kind, "tool": tool}


def said(*blocks: object) -> list[object]:
    return [{"role": "user", "content": "Hi."}, {"role": "system", "content": list(blocks)}]


def test_a_tool_that_is_added_is_shown() -> None:
    reference = change("tool_addition", type="tool_reference", name="look")
    assert made(tools=[TOOL, OTHER], messages=said(reference)) == {
        "tools": [{"name": "look", "input_schema": {}}, OTHER],
        "messages": [{"role": "user", "content": "Hi."}],
    }


def test_a_tool_may_bring_its_definition() -> None:
    added = change("tool_addition", type="tool_definition", definition=OTHER)
    text = {"type": "text", "text": "Now you can stop."}
    repaired = made(messages=said(text, added))
    assert repaired == {"messages": said(text), "tools": [OTHER]}


def test_what_holds_at_the_end_counts() -> None:
    gone = change("tool_removal", type="tool_reference", name="stop")
    back = change("tool_addition", type="tool_reference", name="stop")
    assert made(tools=[OTHER], messages=said(gone)) == {"tools": [], "messages": said()[:1]}
    assert made(tools=[OTHER], messages=said(gone, back)) == {"tools": [OTHER], "messages": said()[:1]}
    unknown = change("tool_removal", type="tool_reference", name="nobody")
    assert made(tools=[OTHER], messages=said(unknown)) == {"tools": [OTHER], "messages": said()[:1]}


def test_nothing_to_change() -> None:
    assert made(messages="no list") is None
    assert made(tools=[OTHER], messages=said({"type": "text", "text": "Hi."})) is None
    assert made(tools=[OTHER], messages=said(change("tool_removal"))[1:]) is None, "no message would be left"
    assert REPAIR.step(UNKNOWN) is Step.LOSSLESS
    assert REPAIR.step(Facts(release=(0, 32))) is Step.NEVER
