from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.web_search_tool import WebSearchTool

REPAIR = WebSearchTool()


F = {"type": "function", "name": "f"}
SEARCH = {
    "type": "web_search",
    "external_web_access": True,
    "search_context_size": "low",
    "user_location": None,
}


def test_harmony_knows_it_by_another_name() -> None:
    body = {"tools": [SEARCH, F], "tool_choice": {"type": "web_search"}}
    assert body_after(REPAIR, body, harmony=True) == {
        "tools": [{"type": "web_search_preview", "search_context_size": "low"}, F],
        "tool_choice": {"type": "web_search_preview"},
    }
    dated = {"tools": [{"type": "web_search_2025_08_26"}], "tool_choice": "auto"}
    assert body_after(REPAIR, dated, harmony=True) == {
        "tools": [{"type": "web_search_preview"}],
        "tool_choice": "auto",
    }


def test_elsewhere_nobody_runs_it() -> None:
    for harmony in (None, False):
        assert body_after(REPAIR, {"tools": [SEARCH, F]}, harmony=harmony) == {"tools": [F]}
        assert body_after(REPAIR, {"tools": [SEARCH], "tool_choice": "auto"}, harmony=harmony) == {}


def test_a_search_that_must_be_called() -> None:
    assert repaired_by(REPAIR, {"tools": [SEARCH, F], "tool_choice": {"type": "web_search"}}) is None
    assert repaired_by(REPAIR, {"tools": [SEARCH], "tool_choice": "required"}) is None


def test_other_tools() -> None:
    assert repaired_by(REPAIR, {"tools": [F, {"type": "web_search_preview"}]}, harmony=True) is None
    assert repaired_by(REPAIR, {"input": "Hi"}) is None
