"""Function calls that are sent to the client as calls of custom tools: items, ids and inputs.

Two repairs do so, for two reasons: :mod:`.repairs.custom_tool_calls` where the echoed tools say that a tool is a custom one,
and :mod:`.repairs.converted_calls` where the proxy itself had made a function of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.tool_inputs import InputReader, input_of
from vllm_sse_proxy.stream.event import dump_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.stream.event import Body, Event

_FROM: Final = grammar.FUNCTION_CALL
_TO: Final = grammar.CUSTOM_CALL
_ARGUMENTS: Final = grammar.FUNCTION_ARGUMENTS
_INPUT: Final = grammar.CUSTOM_INPUT


class CallNotes:
    """What a repair notes of each call of a stream, found again by whatever upstream calls it.

    Up to 0.23 the events of one call have several ids (R12), so the place of a call counts as well.
    """

    __slots__ = ("_by_id", "_by_index", "_last")

    def __init__(self) -> None:
        self._by_id: dict[str, Any] = {}
        self._by_index: dict[int, Any] = {}
        self._last: Any = None

    def note(self, event: Event, value: Any) -> None:
        """Note something of the call that an event announces; one that is announced again keeps what was noted first."""
        item: Any = event.body.get("item")
        id_ = item.get("id") if isinstance(item, dict) else None
        if isinstance(id_, str) and id_ in self._by_id:
            return
        self._last = value
        if isinstance(id_, str):
            self._by_id[id_] = value
        index = event.body.get("output_index")
        if type(index) is int:
            self._by_index[index] = value

    def of(self, event: Event) -> Any:
        """Return what was noted of the call that an event is of; of the last one if it does not say."""
        body = event.body
        item, index = body.get("item"), body.get("output_index")
        id_ = item.get("id") if isinstance(item, dict) else body.get("item_id")
        if isinstance(id_, str) and id_ in self._by_id:
            return self._by_id[id_]
        return self._by_index.get(index) if type(index) is int else self._last


def custom_event(event: Event, reader: InputReader) -> Sequence[Event]:
    """Return what becomes of a delta or of the done event of a function call's arguments.

    :param reader: has read the deltas before it.
    """
    if event.type == _ARGUMENTS.delta:
        piece = reader.read(str(event.body.get("delta")))
        return [event.renamed(_INPUT.delta, delta=piece, **_named(event))] if piece else []
    said = _input(event.body.get(_ARGUMENTS.done_field), reader)
    done = event.without(_ARGUMENTS.done_field, "name")
    return [done.renamed(_INPUT.done, **{_INPUT.done_field: said}, **_named(event))]


def custom_item(item: Body, reader: InputReader | None = None) -> Body:
    """Return a function call as the call of a custom tool.

    :param reader: has read its deltas; None where there were none.
    """
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
