"""Calls whose name holds their namespace (``mcp__desk__list_apps``).

Codex sends the tools of each MCP server as a namespace, and runs a call only if ``name`` and ``namespace`` come back apart:
``unsupported call: mcp__desk__list_apps``. vLLM up to 0.25 knows no namespaces, so a model calls the name that it was shown
or made up; other servers and gateways join the two for the model and leave it so.

The response echoes the tools, so it says which namespace and which name are meant: a call gets them back in its items, in
``function_call_arguments.done`` and in the final output. A name that a tool has by itself, and one that could come from two
namespaces, stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.echo import echo_at
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.echo import Echo
    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Body, Event

_CALLS: Final = (grammar.FUNCTION_CALL.type, grammar.CUSTOM_CALL.type)


class NamespaceNames(Repair):
    """Give a call its namespace back."""

    __slots__ = ()

    name: ClassVar = "namespace_names"
    summary: ClassVar = (
        "a call under a flattened name (`mcp__desk__list_apps`) gets `name` and `namespace` back"
    )
    fixes: ClassVar = ("R50",)
    handles: ClassVar = frozenset({*grammar.OF_ITEMS, grammar.FUNCTION_ARGUMENTS.done, *grammar.TERMINAL})

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with name and namespace apart."""
        echo = echo_at(event, view)
        if not echo.has_namespaces:
            return None
        if event.type in grammar.TERMINAL:
            return _in_output(event, echo)
        if event.type == grammar.FUNCTION_ARGUMENTS.done:
            name = event.body.get("name")
            place = echo.place_of(name) if isinstance(name, str) else None
            return [event.having(name=place[1])] if place is not None and place[1] != name else None
        item = event.body.get("item")
        apart = _apart(item, echo)
        return None if apart is item else [event.having(item=apart)]


def _in_output(event: Event, echo: Echo) -> Sequence[Event] | None:
    response: Any = event.body.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    if not isinstance(output, list):
        return None
    apart = [_apart(item, echo) for item in output]
    if all(one is other for one, other in zip(apart, output, strict=True)):
        return None
    return [event.having(response={**response, "output": apart})]


def _apart(item: Any, echo: Echo) -> Any:
    """Return a call with its namespace; the item that was given if it has none, or has it already."""
    if not isinstance(item, dict) or item.get("type") not in _CALLS or item.get("namespace"):
        return item
    name = item.get("name")
    place = echo.place_of(name) if isinstance(name, str) else None
    if place is None:
        return item
    settled: Body = {**item, "name": place[1], "namespace": place[0]}
    return settled
