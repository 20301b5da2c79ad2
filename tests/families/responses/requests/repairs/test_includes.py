from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.includes import Includes

REPAIR = Includes()


def test_unknown_values_go() -> None:
    include = ["reasoning.encrypted_content", "web_search_call.action.sources", "web_search_call.results", 7]
    assert body_after(REPAIR, {"include": include}) == {"include": ["reasoning.encrypted_content", 7]}
    assert body_after(REPAIR, {"include": ["something.new"]}) == {"include": []}


def test_known_values_stay() -> None:
    for include in (["reasoning.encrypted_content"], [], None, "reasoning.encrypted_content"):
        assert repaired_by(REPAIR, {"include": include}) is None
