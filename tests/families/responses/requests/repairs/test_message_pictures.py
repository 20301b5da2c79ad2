from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.message_pictures import MessagePictures

REPAIR = MessagePictures()


PICTURE = {"type": "input_image", "image_url": "data:,", "detail": "auto"}
NOTE = {"type": "input_text", "text": "[There was an image here, which this model cannot see.]"}
MESSAGE = {"role": "user", "content": [{"type": "input_text", "text": "a"}, PICTURE]}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": [PICTURE]}


def test_notes() -> None:
    assert body_after(REPAIR, {"input": [MESSAGE]})["input"][0]["content"][1] == NOTE
    assert repaired_by(REPAIR, {"input": [OUTPUT, {"role": "user", "content": "Hi"}]}) is None


def test_when() -> None:
    assert REPAIR.step(Facts()) is Step.NEVER, "the model may see them"
    assert REPAIR.step(Facts(sees_pictures=False)) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=True)) is Step.LOSSY
    assert REPAIR.step(Facts(harmony=False)) is Step.NEVER
