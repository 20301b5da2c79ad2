"""Answers to requests that the proxy repaired: what was converted there is converted back here.

vLLM refuses tools in namespaces, custom tools, and tools that clients run themselves (:mod:`..requests`). After a refusal it
is sent functions instead, under names of their own. Codex accepts no such name, and no function call for a custom tool, so a
call gets the names, the type and the input back that the client knows, and each response object what the client had sent of
``tools``, ``tool_choice`` and so on.

The conversion comes with the request. For a background response, whose stream may be asked for later and through another
replica, it travels in ``metadata``, and is taken out of every response object.

A call that has no events for its arguments (``shell_call``, ``tool_search_call`` …) is announced empty, and closed with what
it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.custom_calls import CallNotes, custom_event
from vllm_sse_proxy.families.responses.requests.conversion import (
    KEY,
    NOTHING,
    Conversion,
    conversion_in,
)
from vllm_sse_proxy.families.responses.requests.tools import ToolKind
from vllm_sse_proxy.families.responses.tool_inputs import InputReader
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event

_ARGUMENTS: Final = grammar.FUNCTION_ARGUMENTS
_SILENT: Final = "silent"
"""Noted of a call that has no events for its arguments."""


class ConvertedCalls(Repair):
    """Convert back what request repairs have converted."""

    __slots__ = ("_conversion", "_notes", "_reads")

    name: ClassVar = "converted_calls"
    summary: ClassVar = (
        "what a request repair converted is converted back: names, types and inputs of calls, and the echo"
    )
    fixes: ClassVar = ("R50", "R51")
    handles: ClassVar = frozenset({*grammar.OF_ITEMS, _ARGUMENTS.delta, _ARGUMENTS.done, *grammar.LIFECYCLE})
    needed: ClassVar = "the request repairs rely on it"

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        given = context.request.conversion
        self._conversion: Conversion = given if isinstance(given, Conversion) else NOTHING
        self._notes = CallNotes()
        """an input's reader for the call of a custom tool, _SILENT, or None"""
        self._reads = False
        """whether any call is that of a custom tool, or silent"""

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - the request says it all
        """Return the event as the client expects it."""
        if event.type in grammar.LIFECYCLE:
            return self._restore(event)
        conversion = self._conversion
        if not conversion:
            return None
        if event.type == grammar.ITEM_ADDED:
            return self._announce(event, conversion)
        if event.type == grammar.ITEM_DONE:
            return self._close(event, conversion)
        noted = self._notes.of(event)
        if noted == _SILENT:
            return []
        if isinstance(noted, InputReader):
            return custom_event(event, noted)
        tool = conversion.tool(event.body.get("name"))
        return (
            [event.having(name=tool.name)] if tool is not None and tool.name != event.body["name"] else None
        )

    def watches(self, type_: str, view: ClientView) -> str | None:  # noqa: ARG002 - it has seen the announcements
        """Watch the arguments of every call while one of them is none of a function."""
        return None if self._reads and type_ == _ARGUMENTS.delta else ""

    def _restore(self, event: Event) -> Sequence[Event] | None:
        response: Any = event.body.get("response")
        if not isinstance(response, dict):
            return None
        metadata = response.get("metadata")
        travels = isinstance(metadata, dict) and KEY in metadata
        if travels and not self._conversion:
            self._conversion = conversion_in(response) or NOTHING
        if not travels and not self._conversion:
            return None
        restored = self._conversion.restored_response(response)
        return None if restored is response else [event.having(response=restored)]

    def _announce(self, event: Event, conversion: Conversion) -> Sequence[Event] | None:
        item: Any = event.body.get("item")
        if not isinstance(item, dict):
            return None
        is_call = item.get("type") == grammar.FUNCTION_CALL.type and not item.get("namespace")
        tool = conversion.tool(item.get("name")) if is_call else None
        kind = ToolKind.FUNCTION if tool is None else tool.kind
        self._reads = self._reads or kind is not ToolKind.FUNCTION
        if kind is ToolKind.FUNCTION:
            self._notes.note(event, None)
        elif kind is ToolKind.CUSTOM:
            self._notes.note(event, InputReader())
        else:
            self._notes.note(event, _SILENT)
        return _with_item(event, item, conversion.restored_item(item))

    def _close(self, event: Event, conversion: Conversion) -> Sequence[Event] | None:
        item: Any = event.body.get("item")
        if not isinstance(item, dict):
            return None
        return _with_item(event, item, conversion.restored_item(item))


def _with_item(event: Event, item: Body, restored: Body) -> Sequence[Event] | None:
    return None if restored is item else [event.having(item=restored)]
