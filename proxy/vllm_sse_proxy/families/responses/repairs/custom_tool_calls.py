"""Calls of custom tools that come as function calls (``{"input": "*** Begin Patch…"}``).

A custom tool takes text, not JSON. vLLM shows it to the model as a function with one string; what comes back is a
``function_call``, before 0.32 always, and later for tools in namespaces and behind gateways that convert the request. Codex
ends the turn over a function call of ``apply_patch``, and runs a ``custom_tool_call``.

The response echoes the tools, so it says which are custom. A call of one becomes a ``custom_tool_call``: in its items, its
deltas and done event (with the text that the JSON holds, see ``tool_inputs``), and in the final output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.custom_calls import CallNotes, custom_event, custom_item
from vllm_sse_proxy.families.responses.echo import Echo, echo_at
from vllm_sse_proxy.families.responses.tool_inputs import InputReader
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event

_ARGUMENTS: Final = grammar.FUNCTION_ARGUMENTS


class CustomToolCalls(Repair):
    """Send the call of a custom tool as one."""

    __slots__ = ("_readers", "_reads")

    name: ClassVar = "custom_tool_calls"
    summary: ClassVar = 'a custom tool called as a function with `{"input": …}` becomes a `custom_tool_call`'
    fixes: ClassVar = ("R51",)
    handles: ClassVar = frozenset({*grammar.OF_ITEMS, _ARGUMENTS.delta, _ARGUMENTS.done, *grammar.TERMINAL})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._readers = CallNotes()
        """what reads the input of a call; None for the call of a function"""
        self._reads = False
        """whether any of them is the call of a custom tool"""

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event as that of a custom call, if it is of one."""
        echo = echo_at(event, view)
        if not echo.has_customs:
            return None
        type_ = event.type
        if type_ in grammar.TERMINAL:
            return _in_output(event, echo)
        if type_ == grammar.ITEM_ADDED:
            return self._announce(event, echo)
        reader: InputReader | None = self._readers.of(event)
        if type_ == grammar.ITEM_DONE:
            item: Any = event.body.get("item")
            return [event.having(item=custom_item(item, reader))] if _is_custom(item, echo) else None
        return None if reader is None else custom_event(event, reader)

    def watches(self, type_: str, view: ClientView) -> str | None:  # noqa: ARG002 - it has seen the announcements
        """Watch the arguments of every call while one of them is a custom tool's."""
        return None if self._reads and type_ == _ARGUMENTS.delta else ""

    def _announce(self, event: Event, echo: Echo) -> Sequence[Event] | None:
        item = event.body.get("item")
        if not isinstance(item, dict) or item.get("type") != grammar.FUNCTION_CALL.type:
            return None
        is_custom = _is_custom(item, echo)
        self._reads = self._reads or is_custom
        self._readers.note(event, InputReader() if is_custom else None)
        return [event.having(item=custom_item(item))] if is_custom else None


def _is_custom(item: Any, echo: Echo) -> bool:
    """Return whether an item calls a custom tool as a function."""
    if not isinstance(item, dict) or item.get("type") != grammar.FUNCTION_CALL.type:
        return False
    namespace, name = item.get("namespace"), item.get("name")
    return isinstance(name, str) and echo.is_custom(namespace if isinstance(namespace, str) else "", name)


def _in_output(event: Event, echo: Echo) -> Sequence[Event] | None:
    response: Any = event.body.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    if not isinstance(output, list):
        return None
    custom = [custom_item(item) if _is_custom(item, echo) else item for item in output]
    if all(one is other for one, other in zip(custom, output, strict=True)):
        return None
    return [event.having(response={**response, "output": custom})]
