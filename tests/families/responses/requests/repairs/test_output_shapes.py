from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.output_shapes import OutputShapes

REPAIR = OutputShapes()


def test_names_of_parts() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "output_text", "text": "b"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
    ]
    item = {"type": "function_call_output", "call_id": "c", "output": parts}
    assert body_after(REPAIR, {"input": [item]})["input"][0]["output"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_text", "text": "b"},
        {"type": "input_image", "image_url": "data:,", "detail": "auto"},
    ]


def test_what_has_its_name() -> None:
    for output in ("text", [{"type": "input_text", "text": "a"}, 7], [{"type": "text"}], None):
        assert repaired_by(REPAIR, {"input": [{"type": "function_call_output", "output": output}]}) is None
