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
from vllm_sse_proxy.families.responses.echo import Echo, Echoes
from vllm_sse_proxy.families.responses.events import dump_json
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair, StreamContext
from vllm_sse_proxy.families.responses.tool_inputs import InputReader, input_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView

_FROM: Final = grammar.FUNCTION_CALL
_TO: Final = grammar.CUSTOM_CALL
_ARGUMENTS: Final = grammar.FUNCTION_ARGUMENTS
_INPUT: Final = grammar.CUSTOM_INPUT


class CustomToolCalls(Repair):
    """Send the call of a custom tool as one."""

    __slots__ = ("_by_id", "_by_index", "_echoes", "_last")

    name: ClassVar = "custom_tool_calls"
    summary: ClassVar = 'a custom tool called as a function with `{"input": …}` becomes a `custom_tool_call`'
    fixes: ClassVar = ("R51",)
    phase: ClassVar = Phase.SHAPE
    handles: ClassVar = frozenset(
        {grammar.ITEM_ADDED, grammar.ITEM_DONE, _ARGUMENTS.delta, _ARGUMENTS.done, *grammar.TERMINAL}
    )

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._echoes = Echoes()
        self._by_id: dict[str, InputReader | None] = {}
        """upstream's ids of the calls that were announced; None for calls of functions"""
        self._by_index: dict[int, InputReader | None] = {}
        """the same by their places: up to 0.23 the events of one call have several ids (R12)"""
        self._last: InputReader | None = None
        """the call that was announced last"""

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event as that of a custom call, if it is of one."""
        echo = self._echoes.at(event, view)
        if not echo.has_customs:
            return None
        type_ = event.type
        if type_ in grammar.TERMINAL:
            return _in_output(event, echo)
        if type_ == grammar.ITEM_ADDED:
            return self._announce(event, echo)
        reader = self._reader_of(event)
        if type_ == grammar.ITEM_DONE:
            item: Any = event.body.get("item")
            return [event.having(item=_as_custom(item, reader))] if _is_custom(item, echo) else None
        if reader is None:
            return None
        if type_ == _ARGUMENTS.delta:
            piece = reader.read(str(event.body.get("delta")))
            return [event.renamed(_INPUT.delta, delta=piece, **_named(event))] if piece else []
        said = _input(event.body.get(_ARGUMENTS.done_field), reader)
        done = event.without(_ARGUMENTS.done_field, "name")
        return [done.renamed(_INPUT.done, **{_INPUT.done_field: said}, **_named(event))]

    def _announce(self, event: Event, echo: Echo) -> Sequence[Event] | None:
        item = event.body.get("item")
        if not isinstance(item, dict) or item.get("type") != _FROM.type:
            return None
        is_custom = _is_custom(item, echo)
        id_, index = item.get("id"), event.body.get("output_index")
        if not (
            isinstance(id_, str) and id_ in self._by_id
        ):  # one that is announced again has been read in part
            self._last = InputReader() if is_custom else None
            if isinstance(id_, str):
                self._by_id[id_] = self._last
            if type(index) is int:
                self._by_index[index] = self._last
        return [event.having(item=_as_custom(item, None))] if is_custom else None

    def _reader_of(self, event: Event) -> InputReader | None:
        """Return what reads the input of the call that an event is of; None for the call of a function."""
        body = event.body
        item, index = body.get("item"), body.get("output_index")
        id_ = item.get("id") if isinstance(item, dict) else body.get("item_id")
        if isinstance(id_, str) and id_ in self._by_id:
            return self._by_id[id_]
        return self._by_index.get(index) if type(index) is int else self._last


def _is_custom(item: Any, echo: Echo) -> bool:
    """Return whether an item calls a custom tool as a function."""
    if not isinstance(item, dict) or item.get("type") != _FROM.type:
        return False
    namespace, name = item.get("namespace"), item.get("name")
    return isinstance(name, str) and echo.is_custom(namespace if isinstance(namespace, str) else "", name)


def _in_output(event: Event, echo: Echo) -> Sequence[Event] | None:
    response: Any = event.body.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    if not isinstance(output, list):
        return None
    custom = [_as_custom(item, None) if _is_custom(item, echo) else item for item in output]
    if all(one is other for one, other in zip(custom, output, strict=True)):
        return None
    return [event.having(response={**response, "output": custom})]


def _as_custom(item: Body, reader: InputReader | None) -> Body:
    """Return a function call as the custom call that it is."""
    custom: Body = {name: value for name, value in item.items() if name != _ARGUMENTS.field}
    custom["type"] = _TO.type
    if "id" in item:
        custom["id"] = _renamed(item["id"])
    if _ARGUMENTS.field in item:
        custom[_INPUT.field] = _input(item[_ARGUMENTS.field], reader)
    return custom


def _input(arguments: Any, reader: InputReader | None) -> str:
    """Return the input that arguments have; for a done event without any, what its deltas left to be understood."""
    if arguments is not None and not isinstance(arguments, str):
        arguments = dump_json(arguments).decode()
    if not arguments:
        arguments = reader.unread if reader is not None and not reader.is_input else ""
    return input_of(arguments)


def _named(event: Event) -> Body:
    id_ = event.body.get("item_id")
    return {"item_id": _renamed(id_)} if isinstance(id_, str) else {}


def _renamed(id_: Any) -> Any:
    """Return the id of a function call as that of a custom call: some clients and servers look at what it begins with."""
    if not isinstance(id_, str) or not id_ or id_.startswith(f"{_TO.id_prefix}_"):
        return id_
    return f"{_TO.id_prefix}_{id_.removeprefix(f'{_FROM.id_prefix}_')}"
