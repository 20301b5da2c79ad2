"""What vLLM accepts and misreads in messages is found, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.message_requests import captured
from vllm_sse_proxy.families.messages.requests import MISREAD, misread_in
from vllm_sse_proxy.families.requests import Facts

NEW, OLD = Facts(release=(0, 32)), Facts(release=(0, 17))
ASKED = {"role": "user", "content": "Hi."}
CITED: dict[str, Any] = {"type": "document", "citations": {"enabled": True}}
FAILED: dict[str, Any] = {"type": "tool_result", "is_error": True, "content": "No."}


@pytest.mark.parametrize(
    ("body", "facts", "names"),
    [
        ({"context_management": {"edits": []}, "container": "c"}, NEW, {"context_management", "container"}),
        ({"mcp_servers": [], "output_format": {"type": "json_schema"}}, NEW, {"mcp_servers", "output_format"}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, NEW, set()),
        ({"thinking": {"type": "adaptive"}}, OLD, {"thinking"}),
        ({"output_config": {"effort": "high"}}, OLD, {"output_config"}),
        ({"thinking": {}, "output_config": {}}, Facts(), set()),
        ({"tools": [{"name": "look", "defer_loading": True}, "odd"]}, OLD, {"deferred_tools"}),
        ({"tools": [{"name": "look"}]}, OLD, set()),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, OLD, {"parallel_calls"}),
        ({"tool_choice": {"type": "auto"}}, OLD, set()),
        ({"tool_choice": {"disable_parallel_tool_use": True}}, NEW, set()),
        ({"messages": [ASKED, {"role": "assistant", "content": "2 + 2 is"}]}, NEW, {"prefill"}),
        ({"messages": [ASKED, "odd"]}, NEW, set()),
        ({"messages": [{"role": "user", "content": [CITED, FAILED, "odd"]}]}, NEW, {"citations", "error_results"}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "citations": []}]}]}, NEW, set()),
        ({}, NEW, set()),
    ],
)  # fmt: skip
def test_names(body: dict[str, Any], facts: Facts, names: set[str]) -> None:
    assert misread_in(body, facts) == names
    assert names <= MISREAD.keys()


def test_every_name_is_known() -> None:
    for name, one in captured().items():
        for facts in (NEW, OLD, Facts()):
            assert misread_in(one["body"], facts) <= MISREAD.keys(), name
