"""Choices of tools that harmony refused up to 0.31.

0.12 takes ``auto`` only (400), 0.24 ``auto`` and ``none`` (501), 0.32 all of them. ``none`` becomes a request without tools.
A required or named call becomes ``auto``, a named one with that tool alone: the model may answer with words instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.requests.members import text_of, tools_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_ALL_SINCE: Final = (0, 32)
_NONE_SINCE: Final = (0, 24)


class ToolChoices(RequestRepair):
    """Ask for less than a certain call."""

    __slots__ = ()

    name: ClassVar = "tool_choices"
    summary: ClassVar = "a required or named `tool_choice`, which old harmony refuses, becomes `auto`; for `none` the tools go"
    lossless: ClassVar = False

    def step(self, facts: Facts) -> Step:
        """Return LOSSY on harmony before 0.32, and NEVER where upstream takes every choice."""
        return Step.LOSSY if facts.harmony and not facts.is_since(_ALL_SINCE) else Step.NEVER

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request with a choice that harmony takes."""
        choice = body.get("tool_choice")
        if choice == "none":
            return None if facts.is_since(_NONE_SINCE) else _without(body, ("tools", "tool_choice"))
        if choice in (None, "auto"):
            return None
        if not isinstance(choice, dict):
            return _without(body, ("tool_choice",)) if choice == "required" else None
        return Repaired({**body, "tools": _chosen(tools_of(body), choice), "tool_choice": "auto"})


def _without(body: Body, members: tuple[str, ...]) -> Repaired:
    return Repaired({member: value for member, value in body.items() if member not in members})


def _chosen(tools: list[Any], choice: Body) -> list[Any]:
    """Return the tools that a choice names; all of them if it names none that is there."""
    allowed = choice.get("tools")
    named = allowed if choice.get("type") == "allowed_tools" and isinstance(allowed, list) else [choice]
    wanted = {(type_of(one), text_of(one.get("name"))) for one in named if isinstance(one, dict)}
    chosen = [tool for tool in tools if (type_of(tool), _name(tool)) in wanted]
    return chosen or tools


def _name(tool: Any) -> str:
    return text_of(tool.get("name")) if isinstance(tool, dict) else ""
