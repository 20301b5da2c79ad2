from __future__ import annotations

from tests.support.requests import body_after, repaired_by
from vllm_sse_proxy.families.responses.requests.repairs.call_history import CallHistory

REPAIR = CallHistory()


USER = {"role": "user", "content": "Hi"}


def text_of(**item: object) -> str:
    """Return what becomes of an item, without the brackets around it."""
    (after,) = body_after(REPAIR, {"input": [USER, item]})["input"][1:]
    assert after["role"] == "assistant"
    content = after["content"]
    assert isinstance(content, str)
    assert (content[0], content[-1]) == ("[", "]")
    return content[1:-1]


def test_web_searches() -> None:
    def search(action: object) -> str:
        return text_of(type="web_search_call", id="ws_1", status="completed", action=action)

    assert search({"type": "search", "query": "a"}) == "Searched the web: a"
    assert search({"type": "search", "query": "a", "queries": ["a", "b", 7]}) == "Searched the web: a, b"
    assert search({"type": "search"}) == "Searched the web."
    assert search(None) == "Searched the web."
    assert search({"type": "open_page", "url": "https://x"}) == "Opened https://x"
    assert search({"type": "find_in_page", "url": "https://x", "pattern": "y"}) == "Looked for y in https://x"


def test_file_searches() -> None:
    results = [{"filename": "a.txt", "text": "found"}, "?"]
    assert (
        text_of(type="file_search_call", queries=["q"], results=results) == "Searched files: q\na.txt: found"
    )
    assert text_of(type="file_search_call", results=None) == "Searched files: "


def test_code() -> None:
    outputs = [{"type": "logs", "logs": "1"}, {"type": "image", "url": "x"}]
    assert (
        text_of(type="code_interpreter_call", code="print(1)", outputs=outputs)
        == "Ran code:\nprint(1)\nOutput:\n1"
    )
    assert text_of(type="code_interpreter_call", code="a", outputs=None) == "Ran code:\na"


def test_images() -> None:
    assert text_of(type="image_generation_call", result="aaaa") == "Generated an image."
    assert text_of(type="image_generation_call", revised_prompt="a cat") == "Generated an image: a cat"


def test_mcp() -> None:
    call = {"type": "mcp_call", "server_label": "d", "name": "n", "arguments": "{}"}
    assert text_of(**call, output="done") == "Called n of d with {}\nOutput: done"
    assert text_of(**call, error="broken") == "Called n of d with {}\nError: broken"


def test_long_outputs_are_cut() -> None:
    said = text_of(type="mcp_call", name="n", server_label="d", arguments="", output="x" * 100_000)
    assert len(said) < 5000
    assert said.endswith(" […]")


def test_what_says_nothing_goes() -> None:
    for type_ in (
        "mcp_list_tools",
        "mcp_approval_request",
        "compaction",
        "computer_call",
        "computer_call_output",
    ):
        assert body_after(REPAIR, {"input": [USER, {"type": type_}]})["input"] == [USER]


def test_other_items() -> None:
    for type_ in ("message", "function_call", "reasoning", "something_new", 7):
        assert repaired_by(REPAIR, {"input": [USER, {"type": type_}]}) is None
