"""Tools in namespaces.

Codex puts its sub-agents and every MCP server into a tool ``{"type": "namespace", "tools": […]}``; the Agents SDK has
namespaces too. Harmony refuses them on every release, 0.12 on both paths, and from 0.13 to 0.25 the simple path shows the
model *one* function without parameters in their place. From 0.26 it joins the names, and this repair joins them as it does;
there it is needed only for what vLLM drops (custom tools in a namespace), and for Codex's namespace ``functions``, whose tools
are called by their bare names.

Each tool of a namespace becomes a tool of its own, ``namespace__name``, in place and in order. A call comes back under its
namespace and name: Codex knows no joined name. The description of the namespace is lost, as it is in vLLM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.requests.members import text_of, tools_of, type_of
from vllm_sse_proxy.families.responses.requests.tools import (
    DEFAULT_NAMESPACE,
    ConvertedTool,
    NamePool,
    ToolKind,
    changed_choice,
    joined_name,
    names_of,
)

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_JOINED_BY_VLLM_SINCE: Final = (0, 26)
_CALLS: Final = frozenset({"function_call", "custom_tool_call"})


class NamespaceTools(RequestRepair):
    """Give each tool of a namespace a name of its own."""

    __slots__ = ()

    name: ClassVar = "namespace_tools"
    summary: ClassVar = (
        "a tool in a `namespace` becomes a tool `namespace__name`, and its calls come back under both names"
    )
    lossless: ClassVar = True
    first: ClassVar = (
        "if upstream is known to be older than 0.26: it would show the model one function without parameters"
    )

    def step(self, facts: Facts) -> Step:
        """Return FIRST where a namespace is misread."""
        return Step.FIRST if facts.is_before(_JOINED_BY_VLLM_SINCE) else Step.LOSSLESS

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request without namespaces; None if it has none, or vLLM joins the names itself."""
        if not self.concerns(body, facts):
            return None
        by_vllm = facts.harmony is False and facts.is_since(_JOINED_BY_VLLM_SINCE)
        if by_vllm and all(_is_read_by_vllm(tool) for tool in tools_of(body)):
            return None
        names = _JoinedNames(tools_of(body))
        changed: Body = dict(body)
        if "tools" in body:
            changed["tools"] = names.tools
        items = body.get("input")
        if isinstance(items, list):
            changed["input"] = [names.item(item) for item in items]
        if "tool_choice" in body:
            changed["tool_choice"] = changed_choice(body["tool_choice"], names.choice)
        return Repaired(changed, tuple(names.converted))

    def concerns(self, body: Body, facts: Facts) -> bool:  # noqa: ARG002 - namespaces are the feature
        """Return whether a tool is, or a call names, a namespace."""
        for tool in tools_of(body):
            if isinstance(tool, dict) and tool.get("type") == "namespace":
                return True
        items = body.get("input")
        if not isinstance(items, list):
            return False
        for item in items:
            if isinstance(item, dict) and isinstance(item.get("namespace"), str) and type_of(item) in _CALLS:
                return True
        return False


def _is_read_by_vllm(tool: Any) -> bool:
    """Return whether vLLM shows the model all of a tool: of a namespace it shows the functions only."""
    if type_of(tool) != "namespace":
        return True
    inner = tool.get("tools")
    functions = all(type_of(one) == "function" for one in inner) if isinstance(inner, list) else True
    return functions and tool.get("name") != DEFAULT_NAMESPACE


class _JoinedNames:
    """The tools of a request without namespaces, and what became of the names.

    :ivar tools: in the order of the request.
    :ivar converted: those that were in a namespace.
    """

    __slots__ = ("_own", "_pool", "_sent", "converted", "tools")

    def __init__(self, tools: list[Any]) -> None:
        self.tools: list[Any] = []
        self.converted: list[ConvertedTool] = []
        self._own = set(names_of(tools))
        self._pool = NamePool(self._own)
        self._sent: dict[str, dict[str, str]] = {}
        """name → namespace → what upstream is sent for it"""
        for tool in tools:
            if type_of(tool) == "namespace":
                self._take_apart(tool)
            else:
                self.tools.append(tool)

    def item(self, item: Any) -> Any:
        """Return an item of the history under the joined name."""
        namespace = item.get("namespace") if isinstance(item, dict) else None
        if not isinstance(namespace, str) or type_of(item) not in _CALLS:
            return item
        kept = {member: value for member, value in item.items() if member != "namespace"}
        name = text_of(item.get("name"))
        if namespace and name:
            kept["name"] = self._sent.get(name, {}).get(namespace) or joined_name(namespace, name)
        return kept

    def choice(self, choice: Body) -> Body | None:
        """Return a named choice under the joined name; None if it means no tool of a namespace, or more than one."""
        name, namespace = text_of(choice.get("name")), choice.get("namespace")
        known = self._sent.get(name, {})
        if isinstance(namespace, str):
            sent = known.get(namespace)
        elif name in self._own or len(known) != 1:
            return None
        else:
            sent = next(iter(known.values()))
        if sent is None:
            return None
        return {**{member: value for member, value in choice.items() if member != "namespace"}, "name": sent}

    def _take_apart(self, namespace: Body) -> None:
        """Put the tools of a namespace in its place. The same tool twice is one; one without a name can never be called."""
        inner = namespace.get("tools")
        prefix = text_of(namespace.get("name"))
        for tool in inner if isinstance(inner, list) else ():
            name = text_of(tool.get("name")) if isinstance(tool, dict) else ""
            known = self._sent.setdefault(name, {})
            if not name or prefix in known:
                continue
            sent = known[prefix] = self._pool.take(joined_name(prefix, name))
            self.tools.append({**tool, "name": sent})
            outer = "" if sent == name else prefix
            self.converted.append(ConvertedTool(sent, sent, ToolKind.FUNCTION, name, outer))
