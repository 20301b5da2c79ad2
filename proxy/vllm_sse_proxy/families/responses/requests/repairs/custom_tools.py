"""Tools whose input is plain text.

``{"type": "custom"}`` tools (Codex's ``apply_patch``, LangChain, the AI SDK) are refused by harmony. Simple paths up to 0.31
show the model a tool without a schema and refuse its calls in the history (500); from 0.32 vLLM makes functions of them, as
this repair does, word for word: the prompt is the same.

A custom tool becomes a function with one string, ``input``; its calls and outputs in the history likewise. A call comes back
as ``custom_tool_call``, its arguments decoded as they stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.requests.members import text_of, tools_of, type_of
from vllm_sse_proxy.families.responses.requests.custom_inputs import INPUT, encode_input
from vllm_sse_proxy.families.responses.requests.repairs.tool_grammars import has_grammar
from vllm_sse_proxy.families.responses.requests.tools import (
    ConvertedTool,
    NamePool,
    ToolKind,
    changed_choice,
    names_of,
)

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_DONE_BY_VLLM_SINCE: Final = (0, 32)
_PARAMETERS: Final = {
    "type": "object",
    "properties": {INPUT: {"type": "string", "description": "The freeform text payload for this tool."}},
    "required": [INPUT],
    "additionalProperties": False,
}
"""vLLM's own, so that the prompt is the same whoever converts."""


class CustomTools(RequestRepair):
    """Turn custom tools into functions with one string."""

    __slots__ = ()

    name: ClassVar = "custom_tools"
    summary: ClassVar = (
        "a `custom` tool becomes a function with one string, and its calls come back as `custom_tool_call`"
    )
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def step(self, facts: Facts) -> Step:
        """Return NEVER where vLLM converts custom tools itself."""
        by_vllm = facts.harmony is False and facts.is_since(_DONE_BY_VLLM_SINCE)
        return Step.NEVER if by_vllm else Step.LOSSLESS

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request without custom tools; one that still has its grammar waits for :mod:`tool_grammars`."""
        tools, items = tools_of(body), body.get("input")
        history = items if isinstance(items, list) else []
        if not any(map(_is_convertible, tools)) and not any(map(_is_custom, history)):
            return None
        functions = _Functions(tools)
        changed: Body = dict(body)
        if tools:
            changed["tools"] = functions.tools
        if history:
            changed["input"] = [functions.item(item) if _is_custom(item) else item for item in history]
        if "tool_choice" in body:
            changed["tool_choice"] = changed_choice(body["tool_choice"], functions.choice)
        return Repaired(changed, tuple(functions.converted))


def _is_convertible(tool: Any) -> bool:
    return type_of(tool) == "custom" and not has_grammar(tool)


def _is_custom(item: Any) -> bool:
    return type_of(item) in ("custom_tool_call", "custom_tool_call_output")


class _Functions:
    """The tools of a request without custom ones, and what became of the names."""

    __slots__ = ("_sent", "converted", "tools")

    def __init__(self, tools: list[Any]) -> None:
        self.tools: list[Any] = []
        self.converted: list[ConvertedTool] = []
        self._sent: dict[str, str] = {}
        pool = NamePool(names_of([tool for tool in tools if type_of(tool) == "function"]))
        for tool in tools:
            self.tools.append(self._function(tool, pool) if _is_convertible(tool) else tool)

    def item(self, item: Body) -> Body:
        """Return a call or an output of the history as that of a function. Its id goes: it has another type's prefix."""
        kept = {member: value for member, value in item.items() if member not in ("id", "input")}
        if item["type"] == "custom_tool_call_output":
            return {**kept, "type": "function_call_output"}
        name = text_of(item.get("name"))
        arguments = encode_input(text_of(item.get("input")))
        return {**kept, "type": "function_call", "name": self._sent.get(name, name), "arguments": arguments}

    def choice(self, choice: Body) -> Body | None:
        """Return the choice of a custom tool as that of a function; None for any other."""
        name = text_of(choice.get("name"))
        if type_of(choice) != "custom" or name not in self._sent:
            return None
        return {**choice, "type": "function", "name": self._sent[name]}

    def _function(self, tool: Body, pool: NamePool) -> Body:
        name = text_of(tool.get("name"))
        sent = pool.take(name)
        self._sent.setdefault(name, sent)
        self.converted.append(ConvertedTool(sent, name, ToolKind.CUSTOM, name))
        kept = {member: value for member, value in tool.items() if member != "format"}
        return {**kept, "type": "function", "name": sent, "parameters": _PARAMETERS}
