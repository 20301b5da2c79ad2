"""Calls of Anthropic's own tools in the history.

A session that began at Anthropic holds ``server_tool_use``, ``web_search_tool_result``, ``mcp_tool_use`` and their like. No
release knows them: 400. Each becomes a short text that says what was done and what came of it; what is encrypted goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair, joined_texts, shortened, text_block
from vllm_sse_proxy.families.requests.document import plain
from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body

_CALLS: Final = frozenset({"server_tool_use", "mcp_tool_use"})
_RESULT: Final = "_tool_result"


class ServerCalls(BlockRepair):
    """Turn calls of tools that nobody here runs, and their results, into text."""

    __slots__ = ()

    name: ClassVar = "server_calls"
    summary: ClassVar = "calls of Anthropic's own tools in the history, and their results, become short texts"
    lossless: ClassVar = False
    in_tool_results: ClassVar[bool] = False

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every release
        """Return the text of a call or a result."""
        type_ = type_of(block)
        if type_ in _CALLS:
            server = text_of(block.get("server_name"))
            of = f" of {server}" if server else ""
            taken = (plain(block.get("input")) or b"").decode()
            return [text_block(shortened(f"[Called {text_of(block.get('name'))}{of} with {taken}]"), block)]
        if not type_.endswith(_RESULT):
            return None
        said = _result(block.get("content"))
        return [text_block(f"[It answered: {said}]", block)] if said else []


def _result(content: object) -> str:
    """Return what a result says to a reader."""
    if isinstance(content, str):
        return shortened(content)
    if isinstance(content, list):
        return shortened("\n".join(filter(None, map(_entry, content))))
    return shortened(_entry(content))


def _entry(entry: object) -> str:
    """Return what one part of a result says; the empty string for what is encrypted, or of a kind that says nothing."""
    if not isinstance(entry, dict):
        return ""
    inner = entry.get("content")
    if isinstance(inner, dict):
        return _entry(inner)
    printed = [text_of(entry.get(name)) for name in ("stdout", "stderr")]
    found = [text_of(entry.get(name)) for name in ("title", "url", "error_code")]
    references = entry.get("tool_references")
    named = [
        text_of(one.get("tool_name"))
        for one in (references if isinstance(references, list) else ())
        if isinstance(one, dict)
    ]
    source = entry.get("source")
    words = [text_of(entry.get("text")), joined_texts(inner) if inner else ""]
    read = text_of(source.get("data")) if isinstance(source, dict) and source.get("type") == "text" else ""
    return "\n".join(filter(None, (" ".join(filter(None, found)), ", ".join(named), *words, *printed, read)))
