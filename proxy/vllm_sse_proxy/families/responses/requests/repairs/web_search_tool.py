"""OpenAI's own web search.

Codex sends ``web_search`` by default, and so harmony refuses every request of Codex. Harmony knows ``web_search_preview``: a
vLLM with a browser among its tool servers runs it, any other ignores it. So where upstream is known to be harmony, the search
is sent under that name, with the two members that it has. Elsewhere nobody would run it: it is left out (the simple path drops
it from 0.32 on, and shows the model a function without a name before).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.members import tools_of, type_of
from vllm_sse_proxy.families.responses.requests.repairs.hosted_tools import without_tools
from vllm_sse_proxy.families.responses.requests.tools import changed_choice

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_PREVIEW: Final = "web_search_preview"
_MEMBERS: Final = ("user_location", "search_context_size")


class WebSearchTool(RequestRepair):
    """Send a web search under the name that harmony knows, or leave it out."""

    __slots__ = ()

    name: ClassVar = "web_search_tool"
    summary: ClassVar = "a `web_search` tool becomes harmony's `web_search_preview`; elsewhere it is left out"
    lossless: ClassVar = False

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request without ``web_search``."""
        if not any(map(_is_search, tools_of(body))):
            return None
        if not facts.harmony:
            return without_tools(body, _is_search)
        changed: Body = {
            **body,
            "tools": [_preview(tool) if _is_search(tool) else tool for tool in tools_of(body)],
        }
        if "tool_choice" in body:
            changed["tool_choice"] = changed_choice(body["tool_choice"], _choice)
        return Repaired(changed)


def _is_search(tool: object) -> bool:
    type_ = type_of(tool)
    return type_ == "web_search" or type_.startswith("web_search_20")


def _preview(tool: Body) -> Body:
    kept = {member: tool[member] for member in _MEMBERS if tool.get(member) is not None}
    return {"type": _PREVIEW, **kept}


def _choice(choice: Body) -> Body | None:
    return {"type": _PREVIEW} if _is_search(choice) else None
