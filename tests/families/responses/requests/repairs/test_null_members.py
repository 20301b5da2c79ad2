from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.null_members import NullMembers

REPAIR = NullMembers()


def test_nulls_go() -> None:
    body = {
        "model": "m",
        "tools": None,
        "tool_choice": None,
        "service_tier": None,
        "ignore_eos": None,
        "user": None,
    }
    assert body_after(REPAIR, body) == {"model": "m", "user": None}


def test_what_may_be_null_stays() -> None:
    assert (
        repaired_by(REPAIR, {"metadata": None, "instructions": None, "temperature": None, "tools": []})
        is None
    )
