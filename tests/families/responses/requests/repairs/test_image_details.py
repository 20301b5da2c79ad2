from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.image_details import ImageDetails

REPAIR = ImageDetails()


def after(**picture: object) -> object:
    part = {"type": "input_image", "image_url": "data:,", **picture}
    items = [{"role": "user", "content": [part]}, {"type": "function_call_output", "output": [part]}]
    message, output = body_after(REPAIR, {"input": items})["input"]
    assert message["content"] == output["output"]
    return message["content"][0]


def test_the_default_is_filled_in() -> None:
    whole = {"type": "input_image", "image_url": "data:,", "detail": "auto"}
    assert after() == after(detail=None) == after(detail="original") == whole


def test_what_has_one() -> None:
    for detail in ("auto", "low", "high", "huge", ["original"]):
        body = {
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_image", "detail": detail}, {"type": "input_text"}],
                }
            ]
        }
        assert repaired_by(REPAIR, body) is None


def test_a_detail_that_new_releases_know() -> None:
    body = {"input": [{"role": "user", "content": [{"type": "input_image", "detail": "original"}]}]}
    assert repaired_by(REPAIR, body, release=(0, 24)) is None
    assert repaired_by(REPAIR, body, release=(0, 12)) is not None
