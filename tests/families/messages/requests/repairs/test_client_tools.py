"""Anthropic's tools that the client runs itself."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, made_by
from vllm_sse_proxy.families.messages.requests.repairs.client_tools import ClientTools, spelled_out
from vllm_sse_proxy.families.requests import Step

REPAIR = ClientTools()
made = made_by(REPAIR)


CONTROL = {"type": "ephemeral"}


def test_a_tool_says_what_it_takes() -> None:
    bash = spelled_out({"type": "bash_20250124", "name": "bash", "cache_control": CONTROL})
    assert bash is not None
    assert set(bash) == {"name", "description", "input_schema", "cache_control"}
    assert set(bash["input_schema"]["properties"]) == {"command", "restart"}
    memory = spelled_out({"type": "memory_20250818", "name": "memory"})
    assert memory is not None
    assert "rename" in memory["input_schema"]["properties"]["command"]["enum"]


def test_the_editor_could_undo_once() -> None:
    for version, undoes in (("20241022", True), ("20250124", True), ("20250429", False), ("20250728", False)):
        editor = spelled_out({"type": f"text_editor_{version}", "name": "str_replace_editor"})
        assert editor is not None
        assert editor["name"] == "str_replace_editor"
        assert ("undo_edit" in editor["input_schema"]["properties"]["command"]["enum"]) is undoes


def test_a_computer_has_a_screen() -> None:
    computer = {
        "type": "computer_20251124",
        "name": "computer",
        "display_width_px": 1024,
        "display_height_px": 768,
    }
    spelled = spelled_out(computer)
    assert spelled is not None
    assert "1024 × 768" in spelled["description"]
    blank = spelled_out({**computer, "display_width_px": None})
    assert blank is not None
    assert "pixels" not in blank["description"]


def test_others_stay() -> None:
    function = {"name": "look", "input_schema": {}}
    search = {"type": "web_search_20250305", "name": "web_search"}
    bash = {"type": "bash_20250124", "name": "bash"}
    assert made(tools=[function, search]) is None
    assert made() is None
    repaired = made(tools=[function, bash, search])
    assert repaired == {"tools": [function, spelled_out(bash), search]}
    for odd in ("bash", "bash_new", {"type": "bash_20250124"}, {**bash, "input_schema": {}}, None):
        assert spelled_out(odd) is None
    assert REPAIR.step(UNKNOWN) is Step.LOSSLESS
