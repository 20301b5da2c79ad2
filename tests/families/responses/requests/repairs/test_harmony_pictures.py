from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.harmony_pictures import HarmonyPictures

REPAIR = HarmonyPictures()


PICTURE = {"type": "input_image", "image_url": "data:,", "detail": "auto"}
NOTE = {"type": "input_text", "text": "[There was an image here, which this model cannot see.]"}
MESSAGE = {"role": "user", "content": [{"type": "input_text", "text": "a"}, PICTURE]}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": [PICTURE]}


def test_notes() -> None:
    file = {"type": "input_file", "filename": "a.pdf"}
    after = body_after(REPAIR, {"input": [{"role": "user", "content": [PICTURE, file]}]})["input"][0][
        "content"
    ]
    assert after == [
        NOTE,
        {"type": "input_text", "text": '[There was a file "a.pdf" here, which this model cannot read.]'},
    ]
    assert repaired_by(REPAIR, {"input": [OUTPUT]}) is None, "harmony refuses those, and says so"


def test_when() -> None:
    assert not REPAIR.enabled
    assert REPAIR.step(Facts(harmony=True)) is Step.FIRST
    assert REPAIR.step(Facts()) is Step.NEVER
    assert REPAIR.step(Facts(harmony=False)) is Step.NEVER
