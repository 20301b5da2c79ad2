"""Tools of a request: their names, and those that upstream knows otherwise than the client."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.requests.document import Body, plain
from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SEPARATOR: Final = "__"
"""Between namespace and name: vLLM's own from 0.26 on its simple path, so the prompt is the same whoever joins them."""
DEFAULT_NAMESPACE: Final = "functions"
"""The namespace that all functions of a harmony prompt are in. Codex calls its tools there by their bare names."""
NAMED: Final = frozenset({"function", "custom"})
"""Types of tools that a call means by their ``name``."""


class ToolKind(StrEnum):
    """What the client takes a tool for, whatever upstream was sent."""

    FUNCTION = "function"
    CUSTOM = "custom"
    TOOL_SEARCH = "tool_search"
    SHELL = "shell"
    LOCAL_SHELL = "local_shell"
    APPLY_PATCH = "apply_patch"


@dataclass(frozen=True, slots=True)
class ConvertedTool:
    """A tool that upstream is sent under another name, or as another kind, than the client sent it.

    :ivar sent: its name in the body after the repair.
    :ivar was: its name in the body before the repair.
    :ivar kind: what the client takes it for.
    :ivar name: what the client calls it.
    :ivar namespace: the client's namespace; empty if it is in none.
    """

    sent: str
    was: str
    kind: ToolKind
    name: str
    namespace: str = ""

    def following(self, earlier: ConvertedTool) -> ConvertedTool:
        """Return what both conversions are together; ``earlier`` was applied first."""
        kind = earlier.kind if self.kind is ToolKind.FUNCTION else self.kind
        return ConvertedTool(self.sent, earlier.was, kind, earlier.name, earlier.namespace)


class NamePool:
    """Names that are taken, and new ones that are not."""

    __slots__ = ("_next", "_taken")

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Return this name, or ``name_2``, ``name_3`` … if it is taken; it is taken then."""
        free = name
        while free in self._taken:
            number = self._next.get(name, 2)
            self._next[name] = number + 1
            free = f"{name}_{number}"
        self._taken.add(free)
        return free


def joined_name(namespace: str, name: str) -> str:
    """Return the one name of a tool in a namespace."""
    return name if namespace in ("", DEFAULT_NAMESPACE) else f"{namespace}{SEPARATOR}{name}"


def merged_tools(tools: list[Any], more: Iterable[Any]) -> list[Any]:
    """Return these tools and those of the others that are not among them, by their names, or else by all that they say."""
    merged = list(tools)
    known = {_identity(tool) for tool in tools}
    for tool in more:
        identity = _identity(tool)
        if identity not in known:
            known.add(identity)
            merged.append(tool)
    return merged


def _identity(tool: Any) -> object:
    name = text_of(tool.get("name")) if type_of(tool) in NAMED else ""
    return name or plain(tool)


def names_of(tools: list[Any]) -> list[str]:
    """Return the names by which a call can mean these tools."""
    return [text_of(tool.get("name")) for tool in tools if type_of(tool) in NAMED]


def changed_choice(choice: Any, change: Callable[[Body], Body | None]) -> Any:
    """Return a ``tool_choice`` after a change of the tools that it names; the same object if none of them changes.

    :param change: returns what takes the place of one ``{"type": …}``; None leaves it.
    """
    if not isinstance(choice, dict):
        return choice
    allowed = choice.get("tools")
    if choice.get("type") != "allowed_tools" or not isinstance(allowed, list):
        return change(choice) or choice
    tools = [(change(tool) or tool) if isinstance(tool, dict) else tool for tool in allowed]
    same = all(new is old for new, old in zip(tools, allowed, strict=True))
    return choice if same else {**choice, "tools": tools}
