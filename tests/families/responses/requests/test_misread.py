"""What vLLM accepts and misreads is counted by its name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.requests import captured
from vllm_sse_proxy.families.requests import Facts
from vllm_sse_proxy.families.responses.requests import MISREAD, misread_in

Json = dict[str, Any]
UNKNOWN = Facts()
HARMONY = Facts(release=(0, 32), harmony=True)
SIMPLE = Facts(release=(0, 32), harmony=False)
OLD = Facts(release=(0, 24), harmony=False)

FUNCTION: Json = {"type": "function", "name": "f", "parameters": {}}
SEARCH: Json = {"type": "web_search"}
PREVIEW: Json = {"type": "web_search_preview"}
SPACE: Json = {"type": "namespace", "name": "n", "tools": [FUNCTION]}
CUSTOMS: Json = {"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "c"}]}
PICTURE: Json = {"role": "user", "content": [{"type": "input_text", "text": "?"}, {"type": "input_image"}]}
TWO: list[Json] = [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}]
THOUGHTS: list[Json] = [{"type": "reasoning_text", "text": "a"}, {"type": "reasoning_text", "text": "b"}]


@pytest.mark.parametrize(
    ("request_", "facts", "found"),
    [
        ({"input": "Hi"}, UNKNOWN, ""),
        ({}, UNKNOWN, ""),
        ({"conversation": {"id": "c"}, "max_tool_calls": 3, "context_management": []}, UNKNOWN,
         "conversation context_management max_tool_calls"),
        ({"conversation": None, "text": {"verbosity": None}}, UNKNOWN, ""),
        ({"text": {"verbosity": "low"}}, UNKNOWN, "verbosity"),
        ({"text": "low", "tools": "none"}, UNKNOWN, ""),
        ({"tool_choice": "none", "tools": [FUNCTION]}, SIMPLE, "tool_choice_none"),
        ({"tool_choice": "none", "tools": [FUNCTION]}, UNKNOWN, "tool_choice_none"),
        ({"tool_choice": "none", "tools": [FUNCTION]}, OLD, ""),
        ({"tool_choice": "none"}, SIMPLE, ""),
        ({"tools": [FUNCTION, SEARCH]}, UNKNOWN, "hosted_tools"),
        ({"tools": [PREVIEW]}, UNKNOWN, ""),
        ({"tools": [PREVIEW]}, HARMONY, ""),
        ({"tools": [PREVIEW]}, SIMPLE, "hosted_tools"),
        ({"tools": [{"type": "shell"}, None]}, SIMPLE, "hosted_tools"),
        ({"tools": [SPACE]}, SIMPLE, ""),
        ({"tools": [SPACE]}, UNKNOWN, ""),
        ({"tools": [SPACE]}, OLD, "namespaces"),
        ({"tools": [CUSTOMS]}, SIMPLE, "namespaced_custom_tools"),
        ({"tools": [{"type": "namespace", "tools": None}]}, SIMPLE, ""),
        ({"input": [{"type": "additional_tools", "tools": []}]}, HARMONY, "additional_tools"),
        ({"input": [PICTURE]}, HARMONY, "pictures"),
        ({"input": [PICTURE]}, SIMPLE, ""),
        ({"input": [PICTURE]}, UNKNOWN, ""),
        ({"input": [{"type": "function_call_output", "content": PICTURE["content"]}]}, HARMONY, ""),
        ({"input": [{"role": "assistant", "content": TWO}]}, UNKNOWN, "later_texts"),
        ({"input": [{"role": "assistant", "content": TWO}]}, HARMONY, ""),
        ({"input": [{"role": "assistant", "content": TWO[:1]}, {"role": "user", "content": TWO}]}, SIMPLE, ""),
        ({"input": [{"type": "reasoning", "content": THOUGHTS}]}, SIMPLE, "later_texts"),
        ({"input": [{"type": "reasoning", "content": None}, 5, "text"]}, SIMPLE, ""),
    ],
)  # fmt: skip
def test_what_is_found(request_: Json, facts: Facts, found: str) -> None:
    names = misread_in(request_, facts)
    assert names == set(found.split())
    assert names <= MISREAD.keys()


@pytest.mark.parametrize("facts", [UNKNOWN, HARMONY, SIMPLE, OLD])
def test_captured_requests(facts: Facts) -> None:
    for name, body in captured().items():
        assert misread_in(body, facts) <= MISREAD.keys(), name
