from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.json_objects import JsonObjects

REPAIR = JsonObjects()


def test_the_schema_of_any_object() -> None:
    body = {"text": {"format": {"type": "json_object"}, "verbosity": "low"}}
    format_ = {"type": "json_schema", "name": "json_object", "schema": {"type": "object"}}
    assert body_after(REPAIR, body) == {"text": {"format": format_, "verbosity": "low"}}


def test_other_formats() -> None:
    for text in ({"format": {"type": "text"}}, {"format": None}, {}, None, "json_object"):
        assert repaired_by(REPAIR, {"text": text}) is None


def test_when() -> None:
    assert REPAIR.step(Facts()) is Step.LOSSLESS
    assert REPAIR.step(Facts(release=(0, 12))) is Step.LOSSLESS
    assert REPAIR.step(Facts(release=(0, 17))) is Step.NEVER
