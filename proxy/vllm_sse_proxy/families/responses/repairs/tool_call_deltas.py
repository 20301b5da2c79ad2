r"""The fork's own form of a streamed call: ``response.tool_call.delta`` in three shapes (F01).

    {"delta": {"content": [{"type": "tool_call", "id": ..., "name": ..., "arguments": ...}]}}
    {"delta": "[{\"type\": \"tool_call\", ...}]"}
    {"delta": {"content": ["[{\"type\": \"tool_call\"", ...]}}     later pieces are bare slices of the same text

The fork sends them beside the protocol's own events for the same call, which clients understand. So the pieces are
gathered, and a call is emitted only if, at the end, no such call has been emitted.
"""

from __future__ import annotations

import re
from json import JSONDecoder
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import construct, grammar, item_fields
from vllm_sse_proxy.families.responses.call_texts import names_of
from vllm_sse_proxy.families.responses.ids import derive_id
from vllm_sse_proxy.stream.event import END
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event


class ToolCallDeltas(Repair):
    """Emit calls that were streamed only in the fork's form as the protocol's events."""

    __slots__ = ("_calls", "_slices")

    name: ClassVar = "tool_call_deltas"
    summary: ClassVar = "`response.tool_call.delta` becomes `function_call` events, or goes if they came too"
    fixes: ClassVar = ("F01",)
    handles: ClassVar = frozenset({grammar.TOOL_CALL_DELTA, *grammar.TERMINAL, grammar.ERROR, END})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._calls: dict[str, _Call] = {}
        """by their call_ids"""
        self._slices: list[str] = []

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Gather a delta; at the end, send what the client has not been sent."""
        if event.type == grammar.TOOL_CALL_DELTA:
            self._gather(event.body.get("delta"))
            return []
        if not self._calls and not self._slices:
            return None
        self._read_slices()
        known = _known_calls(view)
        unsent = [
            call for call in self._calls.values() if call.call_id not in known and call.name not in known
        ]
        self._calls.clear()
        events: list[Event] = []
        for offset, call in enumerate(unsent):
            index = len(view.items) + offset
            id_ = derive_id("fc", view.response_id or self.context.request.seed, index)
            events += construct.life_of_item(index, {**call.item(), "id": id_})
        return [*events, event] if events else None

    def _gather(self, delta: object) -> None:
        if isinstance(delta, dict):
            delta = delta.get("content")
        for piece in delta if isinstance(delta, list) else [delta]:
            if isinstance(piece, dict):
                self._add(piece)
            elif isinstance(piece, str):
                self._slices.append(piece)

    def _add(self, piece: dict[str, Any]) -> None:
        key = piece.get("call_id") or piece.get("id")
        name, arguments = piece.get("name"), piece.get("arguments")
        if not isinstance(key, str) or not isinstance(name, str):
            return
        call = self._calls.setdefault(key, _Call(key, name))
        if isinstance(arguments, str):
            call.add(arguments)

    def _read_slices(self) -> None:
        """Read the joined slices as far as they are JSON: one list (or one call) after another; the last may lack its end."""
        text = "".join(self._slices).strip()
        self._slices.clear()
        at = 0
        while at < len(text):
            try:
                value, end = _DECODER.raw_decode(text, at)
            except (ValueError, RecursionError):
                if text.endswith("]") or text[at] != "[":
                    return
                text += "]"
                continue
            space = _SPACE.match(text, end)
            at = space.end() if space is not None else end
            for call in value if isinstance(value, list) else [value]:
                if isinstance(call, dict):
                    self._add(call)


_DECODER: Final = JSONDecoder()
_SPACE: Final = re.compile(r"\s*")


class _Call:
    """A call as it was gathered."""

    __slots__ = ("_length", "_pieces", "call_id", "name")

    def __init__(self, call_id: str, name: str) -> None:
        self.call_id = call_id
        self.name = name
        self._pieces: list[str] = []
        self._length = 0

    def add(self, arguments: str) -> None:
        """Take a piece of the arguments: either the whole so far, or the next slice."""
        if len(arguments) >= self._length and arguments.startswith("".join(self._pieces)):
            self._pieces.clear()
            self._length = 0
        self._pieces.append(arguments)
        self._length += len(arguments)

    def item(self) -> Body:
        """Return the finished call, without an id."""
        return {
            "type": grammar.FUNCTION_CALL.type,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": "".join(self._pieces),
            "status": item_fields.COMPLETED,
        }


def _known_calls(view: ClientView) -> dict[object, None]:
    """Return the call_ids of the calls that the client was sent, and the names under which a model calls them."""
    known: dict[object, None] = {}
    for item in view.items:
        if item.kind is grammar.FUNCTION_CALL or item.kind is grammar.CUSTOM_CALL:
            names = (item.item.get("call_id"), *names_of(item.item))
            known.update(dict.fromkeys(name for name in names if isinstance(name, str)))
    return known
