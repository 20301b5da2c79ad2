from __future__ import annotations

import pytest

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.hosted_tools import HostedTools

REPAIR = HostedTools()


F, C = {"type": "function", "name": "f"}, {"type": "custom", "name": "c"}
FILES = {"type": "file_search", "vector_store_ids": ["v"]}
ALLOWED = {"type": "allowed_tools", "mode": "auto"}


@pytest.mark.parametrize(
    "type_",
    [
        "file_search",
        "image_generation",
        "computer",
        "computer_use_preview",
        "mcp",
        "tool_search",
        "something_new",
        7,
    ],
)
def test_they_are_left_out(type_: object) -> None:
    for harmony in (None, False, True):
        assert body_after(REPAIR, {"tools": [F, {"type": type_}, C]}, harmony=harmony) == {"tools": [F, C]}


def test_harmony_keeps_what_it_may_run() -> None:
    tools = [{"type": "code_interpreter", "container": {}}, {"type": "web_search_preview"}]
    assert repaired_by(REPAIR, {"tools": tools}, harmony=True) is None
    assert body_after(REPAIR, {"tools": tools}, harmony=False) == {}


def test_no_tool_is_left() -> None:
    assert body_after(REPAIR, {"tools": [FILES], "tool_choice": "auto", "input": "Hi"}) == {"input": "Hi"}
    assert body_after(REPAIR, {"tools": [FILES], "tool_choice": "none"}) == {"tool_choice": "none"}
    assert repaired_by(REPAIR, {"tools": [FILES], "tool_choice": "required"}) is None
    assert body_after(REPAIR, {"tools": [FILES, F], "tool_choice": "required"})["tools"] == [F]


def test_a_tool_that_must_be_called() -> None:
    assert repaired_by(REPAIR, {"tools": [FILES, F], "tool_choice": {"type": "file_search"}}) is None
    named = {"type": "function", "name": "f"}
    assert body_after(REPAIR, {"tools": [FILES, F], "tool_choice": named})["tool_choice"] == named


def test_tools_that_may_be_called() -> None:
    body = {"tools": [FILES, F], "tool_choice": {**ALLOWED, "tools": [FILES, F]}}
    assert body_after(REPAIR, body) == {"tools": [F], "tool_choice": {**ALLOWED, "tools": [F]}}
    assert repaired_by(REPAIR, {"tools": [FILES, F], "tool_choice": {**ALLOWED, "tools": [FILES]}}) is None
    assert repaired_by(REPAIR, {"tools": [FILES], "tool_choice": {**ALLOWED, "tools": [F]}}) is None


def test_other_requests() -> None:
    for tools in ([F, C, {"type": "namespace"}], [], None):
        assert repaired_by(REPAIR, {"tools": tools}) is None
