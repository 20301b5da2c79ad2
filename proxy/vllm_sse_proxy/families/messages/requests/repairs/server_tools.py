"""Tools that only Anthropic's servers run.

``web_search``, ``web_fetch``, ``code_execution``, ``tool_search``, MCP servers' toolsets and their like are sent by their type
alone, without an ``input_schema``: 400 on every release. Claude Code's WebSearch is a request of its own with ``web_search``
and nothing else. They are left out: the model answers without them. Where ``tool_search`` goes, the tools that it would find
are shown at once.

Where a call is required and no tool is left, or the tool that is left out was to be called, nothing is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.messages.requests.repairs.client_tools import spelled_out
from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.members import name_of, text_of, tools_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class ServerTools(RequestRepair):
    """Leave out tools that nobody here runs."""

    __slots__ = ()

    name: ClassVar = "server_tools"
    summary: ClassVar = "tools that only Anthropic's servers run are left out"
    lossless: ClassVar = False

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request without these tools; None if it has none, or a call to one of them is required."""
        tools = tools_of(body)
        kept = [tool for tool in tools if not _is_left_out(tool)]
        if len(kept) == len(tools):
            return None
        choice = body.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") == "tool":
            if not any(name_of(tool) == text_of(choice.get("name")) for tool in kept):
                return None
        elif not kept and type_of(choice) == "any":
            return None
        if any(type_of(tool).startswith("tool_search") for tool in tools):
            kept = [_shown(tool) for tool in kept]
        if kept:
            return Repaired({**body, "tools": kept})
        return Repaired({name: value for name, value in body.items() if name not in ("tools", "tool_choice")})


def _is_left_out(tool: object) -> bool:
    """Return whether a tool has a type of its own, and does not say what it takes."""
    if not isinstance(tool, dict) or "input_schema" in tool or type_of(tool) in ("", "custom"):
        return False
    return spelled_out(tool) is None


def _shown(tool: Any) -> Any:
    """Return a tool that is not kept back until it is searched for."""
    if not isinstance(tool, dict) or "defer_loading" not in tool:
        return tool
    return {name: value for name, value in tool.items() if name != "defer_loading"}
