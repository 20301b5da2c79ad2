from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests.repairs.fatal_nulls import FatalNulls

REPAIR = FatalNulls()


def test_nulls_go() -> None:
    body = {"model": "m", "truncation": None, "background": None, "parallel_tool_calls": None, "store": None}
    assert body_after(REPAIR, body) == {"model": "m", "store": None}


def test_where_upstream_takes_one_of_them() -> None:
    body = {"parallel_tool_calls": None, "truncation": None}
    assert body_after(REPAIR, body, release=(0, 32)) == {"parallel_tool_calls": None}
    assert body_after(REPAIR, body, release=(0, 24)) == {}


def test_values_stay() -> None:
    assert repaired_by(REPAIR, {"truncation": "auto", "background": False}) is None
    assert repaired_by(REPAIR, {"parallel_tool_calls": None}, release=(0, 32)) is None


def test_no_refusal_is_waited_for() -> None:
    assert REPAIR.step(Facts()) is Step.FIRST
