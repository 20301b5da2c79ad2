"""Codex's search for tools that it has not sent yet.

Under model names that Codex knows it keeps the tools of MCP servers back, and offers ``{"type": "tool_search", "execution":
"client"}``: the model calls it, and the answer ``tool_search_output`` holds tools. No release of vLLM knows the items (400 or
500), and the tool itself is refused by harmony and 0.12, and dropped by the simple path of 0.32.

The search becomes a function, its calls and answers those of a function, and the tools that were found go to the end of
``tools``. A call comes back as ``tool_search_call``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.document import plain
from vllm_sse_proxy.families.requests.members import text_of, tools_of, type_of
from vllm_sse_proxy.families.responses.requests.tools import (
    ConvertedTool,
    NamePool,
    ToolKind,
    joined_name,
    merged_tools,
    names_of,
)

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

TOOL: Final = "tool_search"
CALL: Final = "tool_search_call"
OUTPUT: Final = "tool_search_output"

_DESCRIPTION: Final = "Searches for more tools. What it finds can be called from the next turn on."
_PARAMETERS: Final = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What the tool should do."}},
    "required": ["query"],
    "additionalProperties": False,
}


class ToolSearches(RequestRepair):
    """Turn the client's tool search into a function, and what it found into tools."""

    __slots__ = ()

    name: ClassVar = "tool_searches"
    summary: ClassVar = (
        "Codex's `tool_search` becomes a function and back; the tools that it found become tools"
    )
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request with a function in the place of the search."""
        tools, items = tools_of(body), body.get("input")
        history = items if isinstance(items, list) else []
        searches = any(map(_is_clients_search, tools))
        if not searches and not any(type_of(item) in (CALL, OUTPUT) for item in history):
            return None
        sent = NamePool(names_of(tools)).take(TOOL)
        new_tools = [_as_function(tool, sent) if _is_clients_search(tool) else tool for tool in tools]
        new_items: list[Any] = []
        everything: list[Any] = []
        for item in history:
            if type_of(item) == CALL:
                new_items += _call(item, sent)
            elif type_of(item) == OUTPUT:
                found = item.get("tools")
                more = found if isinstance(found, list) else []
                everything += more
                new_items += _answer(item, more)
            else:
                new_items.append(item)
        changed: Body = dict(body)
        if history:
            changed["input"] = new_items
        if new_tools or everything:
            changed["tools"] = merged_tools(new_tools, everything)
        return Repaired(changed, (ConvertedTool(sent, sent, ToolKind.TOOL_SEARCH, TOOL),))


def _is_clients_search(tool: Any) -> bool:
    return type_of(tool) == TOOL and tool.get("execution") == "client"


def _as_function(tool: Body, name: str) -> Body:
    parameters = tool.get("parameters")
    return {
        "type": "function",
        "name": name,
        "description": text_of(tool.get("description")) or _DESCRIPTION,
        "parameters": parameters if isinstance(parameters, dict) else _PARAMETERS,
    }


def _call(item: Body, name: str) -> list[Any]:
    """Return the call of a function; nothing for a search that OpenAI ran itself, which has no ``call_id``."""
    call_id, arguments = item.get("call_id"), item.get("arguments")
    if not isinstance(call_id, str):
        return []
    spelled = arguments if isinstance(arguments, str) else (plain(arguments) or b"{}").decode()
    return [{"type": "function_call", "call_id": call_id, "name": name, "arguments": spelled}]


def _answer(item: Body, found: list[Any]) -> list[Any]:
    """Return the answer as text: what can be called now."""
    call_id = item.get("call_id")
    if not isinstance(call_id, str):
        return []
    lines = [line for tool in found for line in _described(tool)]
    text = "\n".join(["Tools that can be called now:", *lines]) if lines else "No tool was found."
    return [{"type": "function_call_output", "call_id": call_id, "output": text}]


def _described(tool: Any) -> list[str]:
    """Return one line for each tool that a call can mean."""
    inner = tool.get("tools") if type_of(tool) == "namespace" else None
    if isinstance(inner, list):
        namespace = text_of(tool.get("name"))
        return [_line(joined_name(namespace, text_of(one.get("name"))), one) for one in inner if type_of(one)]
    return [_line(text_of(tool.get("name")), tool)] if type_of(tool) else []


def _line(name: str, tool: Body) -> str:
    description = text_of(tool.get("description"))
    return f"- {name}: {description}" if description else f"- {name}"
