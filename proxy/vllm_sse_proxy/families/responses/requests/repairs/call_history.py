"""Calls of OpenAI's own tools in the history.

A session that began at OpenAI, or at a harmony vLLM with a tool server, holds ``web_search_call``, ``code_interpreter_call``,
``mcp_call`` and their like. No release knows them in ``input``: 400, simple paths up to 0.29 500. Each becomes a short text of
the assistant that says what was done and what came of it; those that say nothing to a model go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.members import text_of, type_of
from vllm_sse_proxy.families.responses.requests.base import ItemRepair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body

_MAX_CHARACTERS: Final = 4000
"""Of what a tool printed or found: a thousand tokens, enough to go on with, and no whole book."""


class CallHistory(ItemRepair):
    """Turn calls of tools that nobody here runs into text."""

    __slots__ = ()

    name: ClassVar = "call_history"
    summary: ClassVar = (
        "calls of OpenAI's own tools in the history become short texts of the assistant, or go"
    )
    lossless: ClassVar = False
    answers_500: ClassVar = True

    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every place is the same
        """Return the text of a call; nothing for an item that has none."""
        type_ = type_of(item)
        if type_ in _SILENT:
            return []
        describe = _TEXTS.get(type_)
        return None if describe is None else [{"role": "assistant", "content": f"[{describe(item)}]"}]


def _web_search(item: Body) -> str:
    action = item.get("action")
    if not isinstance(action, dict):
        return "Searched the web."
    if type_of(action) == "search":
        queries = action.get("queries")
        searched = _joined(queries) if isinstance(queries, list) else text_of(action.get("query"))
        return f"Searched the web: {searched}" if searched else "Searched the web."
    url, pattern = text_of(action.get("url")), text_of(action.get("pattern"))
    return f"Looked for {pattern} in {url}" if pattern else f"Opened {url}"


def _file_search(item: Body) -> str:
    results = item.get("results")
    found = [
        f"{text_of(result.get('filename'))}: {text_of(result.get('text'))}"
        for result in (results if isinstance(results, list) else ())
        if isinstance(result, dict)
    ]
    return _cut("\n".join([f"Searched files: {_joined(item.get('queries'))}", *found]))


def _code_interpreter(item: Body) -> str:
    lines = ["Ran code:", text_of(item.get("code"))]
    outputs = item.get("outputs")
    logs = [
        text_of(output.get("logs"))
        for output in (outputs if isinstance(outputs, list) else ())
        if type_of(output) == "logs"
    ]
    return "\n".join([*lines, "Output:", _cut("\n".join(logs))] if logs else lines)


def _image_generation(item: Body) -> str:
    prompt = text_of(item.get("revised_prompt"))
    return f"Generated an image: {prompt}" if prompt else "Generated an image."


def _mcp(item: Body) -> str:
    called = f"Called {text_of(item.get('name'))} of {text_of(item.get('server_label'))} with "
    output, error = text_of(item.get("output")), text_of(item.get("error"))
    result = f"\nError: {_cut(error)}" if error else f"\nOutput: {_cut(output)}"
    return called + text_of(item.get("arguments")) + result


def _joined(words: object) -> str:
    return ", ".join(word for word in words if isinstance(word, str)) if isinstance(words, list) else ""


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} […]"


_TEXTS: Final[Mapping[str, Callable[[Body], str]]] = {
    "web_search_call": _web_search,
    "file_search_call": _file_search,
    "code_interpreter_call": _code_interpreter,
    "image_generation_call": _image_generation,
    "mcp_call": _mcp,
}
_SILENT: Final = frozenset(
    {
        "compaction",
        "compaction_summary",
        "computer_call",
        "computer_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_list_tools",
        "program",
        "program_output",
    }
)
"""What cannot be read here (encrypted), or is of no use without the tool."""
