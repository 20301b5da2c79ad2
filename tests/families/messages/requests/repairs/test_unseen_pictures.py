"""Pictures to a model that cannot see."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, asked, made_by, text
from vllm_sse_proxy.families.messages.requests.repairs.unseen_pictures import UnseenPictures
from vllm_sse_proxy.families.requests import Facts, Step

REPAIR = UnseenPictures()
made = made_by(REPAIR)


PICTURE = {"type": "image", "source": {"type": "base64", "data": "iVBO"}}
NOTE = text("[There was an image here, which this model cannot see.]")


def test_a_note_takes_their_place() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [PICTURE, "odd"]}
    assert made(messages=asked(PICTURE, text("What is it?"), result)) == {
        "messages": asked(NOTE, text("What is it?"), {**result, "content": [NOTE, "odd"]})
    }
    assert made(messages=asked(text("Hi."), {"type": "tool_result", "content": "Hi."})) is None


def test_only_where_the_model_is_known_not_to_see() -> None:
    assert REPAIR.step(UNKNOWN) is Step.NEVER
    assert REPAIR.step(Facts(sees_pictures=True)) is Step.NEVER
    assert REPAIR.step(Facts(sees_pictures=False)) is Step.LOSSY
