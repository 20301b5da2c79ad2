"""Tools that OpenAI's servers run, and vLLM does not.

``file_search``, ``image_generation``, ``computer``, ``mcp``, ``code_interpreter`` and the like. Harmony refuses most of them;
it knows ``web_search_preview`` and ``code_interpreter``, and runs them if vLLM has a tool server for them. Simple paths up to
0.31 show the model a function without a name, and 0.32 drops them. They are left out: the model answers without them.

Where a call is required and no tool is left, or the tool that is left out was to be called, nothing is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.members import tools_of, type_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm_sse_proxy.families.requests.document import Body

_CALLABLE: Final = frozenset({"function", "custom", "namespace"})
_OF_HARMONY: Final = frozenset({"web_search_preview", "code_interpreter", "container"})


class HostedTools(RequestRepair):
    """Leave out tools that nobody here runs."""

    __slots__ = ()

    name: ClassVar = "hosted_tools"
    summary: ClassVar = "tools that only OpenAI's servers run are left out"
    lossless: ClassVar = False

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request without these tools; None if a call to one of them is required."""
        return without_tools(body, _is_unknown_to_harmony if facts.harmony else _is_hosted)


def _is_hosted(tool: object) -> bool:
    return type_of(tool) not in _CALLABLE


def _is_unknown_to_harmony(tool: object) -> bool:
    return _is_hosted(tool) and type_of(tool) not in _OF_HARMONY


def without_tools(body: Body, is_left_out: Callable[[object], bool]) -> Repaired | None:
    """Return the request without some of its tools; None if it has none of them, or must call one of them."""
    tools = tools_of(body)
    kept = [tool for tool in tools if not is_left_out(tool)]
    if len(kept) == len(tools):
        return None
    choice = body.get("tool_choice")
    changed: Body = {**body, "tools": kept}
    if isinstance(choice, dict):
        new = _choice_without(choice, is_left_out)
        if new is None:
            return None
        changed["tool_choice"] = new
    if not kept:
        if choice not in (None, "auto", "none"):
            return None
        del changed["tools"]
        if choice == "auto":
            del changed["tool_choice"]
    return Repaired(changed)


def _choice_without(choice: Body, is_left_out: Callable[[object], bool]) -> Any:
    """Return a named choice without these tools; None if it names nothing else."""
    allowed = choice.get("tools")
    if choice.get("type") == "allowed_tools" and isinstance(allowed, list):
        kept = [tool for tool in allowed if not is_left_out(tool)]
        return {**choice, "tools": kept} if kept else None
    return None if is_left_out(choice) else choice
