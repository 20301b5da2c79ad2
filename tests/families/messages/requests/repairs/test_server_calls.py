"""Calls of Anthropic's own tools in the history."""

from __future__ import annotations

from tests.support.message_blocks import UNKNOWN, asked, made_by, text
from vllm_sse_proxy.families.messages.requests.repairs.server_calls import ServerCalls
from vllm_sse_proxy.families.requests import Step

REPAIR = ServerCalls()
made = made_by(REPAIR)


def said(*blocks: object) -> list[object]:
    repaired = made(messages=asked(*blocks, text("Then.")))
    assert repaired is not None
    messages = repaired["messages"]
    assert isinstance(messages, list)
    return [block["text"] for block in messages[0]["content"]][:-1]


def test_a_call_says_what_was_asked() -> None:
    call = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "vllm"}}
    assert said(call) == ['[Called web_search with {"query":"vllm"}]']
    mcp = {"type": "mcp_tool_use", "id": "m", "name": "add", "server_name": "notes", "input": {"n": 1}}
    assert said(mcp) == ['[Called add of notes with {"n":1}]']


def result(kind: str, content: object) -> dict[str, object]:
    return {"type": f"{kind}_tool_result", "tool_use_id": "s", "content": content}


def test_a_result_says_what_was_found() -> None:
    page = {
        "type": "web_search_result",
        "title": "vLLM",
        "url": "https://example.com",
        "encrypted_content": "AA",
    }
    assert said(result("web_search", [page])) == ["[It answered: vLLM https://example.com]"]
    ran = {"type": "bash_code_execution_result", "stdout": "4\n", "stderr": "", "content": []}
    assert said(result("bash_code_execution", ran)) == ["[It answered: 4\n]"]
    tools = {"type": "x", "tool_references": [{"type": "tool_reference", "tool_name": "look"}, "odd"]}
    assert said(result("tool_search", tools)) == ["[It answered: look]"]
    error = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    assert said(result("web_search", error)) == ["[It answered: unavailable]"]
    fetched = {"type": "web_fetch_result", "content": {"source": {"type": "text", "data": "Page."}}}
    assert said(result("web_fetch", fetched)) == ["[It answered: Page.]"]
    assert said(result("mcp", [text("noted")])) == ["[It answered: noted]"]
    assert said(result("mcp", "noted")) == ["[It answered: noted]"]
    assert said(result("advisor", [{"content": [text("Do.")]}])) == ["[It answered: Do.]"]


def test_what_nobody_can_read_goes() -> None:
    assert said(result("advisor", {"type": "advisor_redacted_result", "encrypted_content": "AA"})) == []
    assert said(result("web_search", ["odd", None])) == []


def test_long_results_are_cut() -> None:
    (words,) = said(result("mcp", "a" * 5000))
    assert isinstance(words, str)
    assert len(words) < 4100
    assert words.endswith("[…]]")


def test_the_clients_own_stay() -> None:
    own = {"type": "tool_result", "tool_use_id": "t", "content": "21"}
    assert made(messages=asked(own, {"type": "tool_use", "id": "t", "name": "look", "input": {}})) is None
    assert REPAIR.step(UNKNOWN) is Step.LOSSY
