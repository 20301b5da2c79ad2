"""Reading calls in texts."""

from __future__ import annotations

import pytest

from vllm_sse_proxy.families.texts.call_texts import MARKERS, find_call, read_calls, unsent


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "5", "[5]", "[]", '{"name": 5, "arguments": {}}', '{"name": "f"}', '{"name": "f", "arguments": [1]}',
        '{"name": "f", "arguments": "x"}', '{"name": "f", "arguments": {}', "[" * 100_000, "<tool_call>", "[TOOL_CALLS]", "[TOOL_CALLS]f[1]",
        "<|tool_calls_section_begin|>", "<|tool_calls_section_begin|><|tool_call_begin|>f<|tool_call_argument_begin|>5<|tool_call_end|>",
        "<|tool_calls_section_begin|>x", '{"name": "f", "arguments": {}} x',
    ],
)  # fmt: skip
def test_what_is_no_call_gives_none(text: str) -> None:
    assert read_calls(text, {"f"}) == []


def test_a_call_gives_its_name_arguments_and_id() -> None:
    (call,) = read_calls('{"name": "f", "arguments": {"a": 1.0, "b": "é"}, "id": "x"}', {"f"})
    assert (call.name, call.arguments, call.id) == ("f", '{"a": 1.0, "b": "é"}', "x")
    assert len(read_calls('{"name": "f", "parameters": {}}; {"name": "f", "parameters": {}}', {"f"})) == 2


@pytest.mark.parametrize("marker", MARKERS)
def test_every_marker_is_found_from_its_first_character_on(marker: str) -> None:
    for end in range(1, len(marker) + 1):
        assert find_call(f"text {marker[:end]}", {"f"}, at_start=False) == (5, False)
    assert find_call(f"text {marker} and so on", {"f"}, at_start=False)[0] > 5


def test_only_so_many_markers_are_looked_at() -> None:
    text = "<tool_call>x" * 1000
    assert find_call(text + "<tool_call>", {"f"}, at_start=False)[0] >= len(text)


def test_calls_that_the_parser_sent_are_not_new_however_they_are_spelled() -> None:
    calls = read_calls('[{"name": "f", "arguments": {"a": 1}}, {"name": "f", "arguments": {"a": 1}}]', {"f"})
    assert unsent(calls, [("f", '{"a":1}')]) == calls[1:]
    assert unsent(calls, [("f", '{"a":1}'), ("f", '{ "a": 1 }')]) == []
    assert unsent(calls, [("f", '{"a":'), ("g", '{"a":1}')]) == calls
