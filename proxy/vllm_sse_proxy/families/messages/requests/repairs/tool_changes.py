"""Tools that come and go in the conversation.

``tool_addition`` and ``tool_removal`` blocks of system messages, a beta that Claude Code asks for. Releases that do not know
them answer 400. As the newest do, they are applied to ``tools``: what holds at the end is what the model is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.messages.requests.blocks import blocks_of, messages_of
from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.members import name_of, tools_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_CHANGES: Final = frozenset({"tool_addition", "tool_removal"})


class ToolChanges(RequestRepair):
    """Apply changes of the tools to the tools."""

    __slots__ = ()

    name: ClassVar = "tool_changes"
    summary: ClassVar = "`tool_addition` and `tool_removal` blocks are applied to `tools`"
    lossless: ClassVar = True
    accepted_since: ClassVar = (0, 32)

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - step() has looked at them
        """Return the request with the tools as they are at its end; None if none changes."""
        known: dict[str, Any] = {name_of(tool): tool for tool in tools_of(body)}
        removed: set[str] = set()
        kept: list[Any] = []
        found = False
        for message in messages_of(body):
            blocks = blocks_of(message)
            others = [block for block in blocks if type_of(block) not in _CHANGES]
            if len(others) == len(blocks):
                kept.append(message)
                continue
            found = True
            for block in blocks:
                if type_of(block) in _CHANGES:
                    _apply(block, known, removed)
            if others:
                kept.append({**message, "content": others})
        if not found or not kept:
            return None
        return Repaired(
            {**body, "messages": kept, "tools": [tool for name, tool in known.items() if name not in removed]}
        )


def _apply(block: Body, known: dict[str, Any], removed: set[str]) -> None:
    """Apply one change; one that names no known tool changes nothing."""
    change = block.get("tool")
    definition = change.get("definition") if isinstance(change, dict) else None
    name = name_of(definition) if isinstance(definition, dict) else name_of(change)
    if isinstance(definition, dict):
        known[name] = definition
    if name not in known:
        return
    if block["type"] == "tool_removal":
        removed.add(name)
        return
    removed.discard(name)
    tool = known[name]
    if isinstance(tool, dict) and "defer_loading" in tool:
        known[name] = {member: value for member, value in tool.items() if member != "defer_loading"}
