from __future__ import annotations

import pytest

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.message_shapes import MessageShapes

REPAIR = MessageShapes()


USER = {"role": "user", "content": "Hi"}
TEXT = {"type": "output_text", "text": "t", "annotations": []}
WHOLE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [TEXT]}


def after(item: object) -> list[object]:
    items = body_after(REPAIR, {"input": [USER, item]})["input"]
    assert isinstance(items, list)
    return items[1:]


@pytest.mark.parametrize("missing", ["type", "id", "status"])
def test_members_of_an_answer(missing: str) -> None:
    item = {name: value for name, value in WHOLE.items() if name != missing}
    assert after(item) == [WHOLE]
    if missing != "type":
        assert after({**WHOLE, missing: None}) == [WHOLE]


def test_parts_of_an_answer() -> None:
    for part in (
        {"type": "output_text", "text": "t"},
        {"type": "output_text", "text": "t", "annotations": None},
        {"type": "text", "text": "t"},
        {"type": "input_text", "text": "t"},
        {"type": "refusal", "refusal": "t"},
    ):
        assert after({**WHOLE, "content": [part]}) == [WHOLE]


def test_several_texts_are_one() -> None:
    cited = {**TEXT, "text": "u", "annotations": [{"type": "url_citation"}]}
    assert after({**WHOLE, "content": [TEXT, cited]}) == [{**WHOLE, "content": [{**cited, "text": "tu"}]}]
    other = {"type": "output_image"}
    assert repaired_by(REPAIR, {"input": [{**WHOLE, "content": [TEXT, other, "?"]}]}) is None


def test_a_string_with_a_type() -> None:
    """0.24 refuses it."""
    assert after({"type": "message", "role": "assistant", "content": "t"}) == [WHOLE]
    assert repaired_by(REPAIR, {"input": [{"role": "assistant", "content": "t"}]}) is None
    assert after({"role": "assistant", "content": "t", "status": None}) == [
        {"role": "assistant", "content": "t"}
    ]


def test_an_answer_that_says_nothing() -> None:
    nothing: tuple[object, ...] = ([], None)
    for content in nothing:
        assert after({**WHOLE, "content": content}) == []


def test_questions() -> None:
    text = {"type": "input_text", "text": "a"}
    assert after(
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "output_text", "text": "a"}]}
    ) == [{"role": "user", "content": [text, text]}]
    assert after({"type": "message", "role": "system", "content": "a", "status": None, "id": None}) == [
        {"type": "message", "role": "system", "content": "a"}
    ]


def test_pictures_of_chat_completions() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}}
    assert after({"role": "user", "content": [picture]}) == [
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:,", "detail": "low"}]}
    ]


def test_what_is_whole() -> None:
    for item in (
        WHOLE,
        USER,
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, 7]},
        {"role": "user"},
    ):
        assert repaired_by(REPAIR, {"input": [item]}) is None
    assert (
        repaired_by(REPAIR, {"input": [{"type": "function_call", "role": "assistant", "content": []}]})
        is None
    )
