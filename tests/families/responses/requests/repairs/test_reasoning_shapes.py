from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.reasoning_shapes import ReasoningShapes

REPAIR = ReasoningShapes()


USER = {"role": "user", "content": "Hi"}
PART = {"type": "reasoning_text", "text": "t"}


def thought(**members: object) -> dict[str, object]:
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": [PART], **members}


def after(item: dict[str, object]) -> list[object]:
    items = body_after(REPAIR, {"input": [USER, item]})["input"]
    assert isinstance(items, list)
    return items[1:]


def test_members_that_are_missing() -> None:
    assert after({"type": "reasoning", "content": [PART]}) == [thought(id="rs_1")]
    assert after(thought(id=None, summary=None)) == [thought(id="rs_1")]


def test_a_status_that_is_null() -> None:
    assert after(thought(status=None)) == [thought()]
    assert repaired_by(REPAIR, {"input": [thought(status="completed")]}) is None


def test_parts() -> None:
    assert after(thought(content=[{"type": "text", "text": "t"}])) == [thought()]
    assert after(thought(content="t")) == [thought()]
    assert after(thought(content="", summary=[PART])) == [thought(content=[], summary=[PART])]
    assert after(thought(content=[PART, {"type": "text", "text": "u"}])) == [
        thought(content=[{"type": "reasoning_text", "text": "t\nu"}])
    ]
    assert after(thought(summary="s")) == [thought(summary=[{"type": "summary_text", "text": "s"}])]


def test_parts_that_are_no_text() -> None:
    for content in ([{"type": "image"}], [{"type": "text", "text": 7}], [7], 7):
        assert repaired_by(REPAIR, {"input": [thought(content=content)]}) is None


def test_an_item_that_holds_nothing() -> None:
    assert after({"type": "reasoning", "id": "rs_1", "summary": [], "content": None}) == []


def test_what_is_complete() -> None:
    for item in (thought(), thought(content=None, summary=[PART]), {"type": "message", "content": "t"}):
        assert repaired_by(REPAIR, {"input": [USER, item]}) is None
