r"""The fork's own form of a streamed call: ``response.tool_call.delta`` in three shapes (F01).

    {"delta": {"content": [{"type": "tool_call", "id": ..., "name": ..., "arguments": ...}]}}
    {"delta": "[{\"type\": \"tool_call\", ...}]"}
    {"delta": {"content": ["[{\"type\": \"tool_call\"", ...]}}     later pieces are bare slices of the same text

The fork sends them beside the protocol's own events for the same call, which clients understand. So the pieces are
gathered, and a call is told only where, at the end, the client has heard of no such call.
"""

from __future__ import annotations

from json import JSONDecoder
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.events import END
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


class ToolCallDeltas(Repair):
    """Tell calls that were streamed only in the fork's form as the protocol's events."""

    __slots__ = ("_calls", "_slices")

    name: ClassVar = "tool_call_deltas"
    summary: ClassVar = "`response.tool_call.delta` becomes `function_call` events, or goes if they came too"
    fixes: ClassVar = ("F01",)
    phase: ClassVar = Phase.SHAPE
    handles: ClassVar = frozenset({grammar.TOOL_CALL_DELTA, *grammar.TERMINAL, grammar.ERROR, END})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._calls: dict[str, dict[str, Any]] = {}
        self._slices: list[str] = []

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Gather a delta; at the end, tell what the client has not heard."""
        if event.type == grammar.TOOL_CALL_DELTA:
            self._gather(event.body.get("delta"))
            return []
        if not self._calls and not self._slices:
            return None
        self._read_slices()
        untold = [call for call in self._calls.values() if not _is_told(call, view)]
        self._calls.clear()
        events: list[Event] = []
        for offset, call in enumerate(untold):
            index = len(view.items) + offset
            id_ = synthesis.derive_id("fc", view.response_id or self.context.request.seed, index)
            events += synthesis.life_of_item(index, {**call, "id": id_})
        return [*events, event] if events else None

    def _gather(self, delta: object) -> None:
        if isinstance(delta, dict):
            delta = delta.get("content")
        for piece in delta if isinstance(delta, list) else [delta]:
            if isinstance(piece, dict):
                self._add(piece)
            elif isinstance(piece, str):
                self._slices.append(piece)

    def _add(self, call: dict[str, Any]) -> None:
        key = call.get("call_id") or call.get("id")
        name, arguments = call.get("name"), call.get("arguments")
        if not isinstance(key, str) or not isinstance(name, str):
            return
        known = self._calls.setdefault(
            key,
            {"type": "function_call", "call_id": key, "name": name, "arguments": "", "status": "completed"},
        )
        if isinstance(arguments, str):  # either the whole so far, or the next slice
            told = known["arguments"]
            known["arguments"] = arguments if arguments.startswith(told) else told + arguments

    def _read_slices(self) -> None:
        """Read the joined slices as far as they are JSON: one list (or one call) after another; the last may lack its end."""
        text = "".join(self._slices).strip()
        self._slices.clear()
        while text:
            try:
                value, end = _DECODER.raw_decode(text)
            except (ValueError, RecursionError):
                if text.endswith("]") or not text.startswith("["):
                    return
                text += "]"
                continue
            text = text[end:].lstrip()
            for call in value if isinstance(value, list) else [value]:
                if isinstance(call, dict):
                    self._add(call)


_DECODER: Final = JSONDecoder()


def _is_told(call: dict[str, Any], view: ClientView) -> bool:
    return any(
        item.kind is grammar.FUNCTION_CALL
        and (item.item.get("call_id") == call["call_id"] or item.item.get("name") == call["name"])
        for item in view.items
    )
