"""Done items that contradict what was streamed of them (R10, R11, R12, R17, R35).

Codex takes messages and calls from ``output_item.done`` alone; openai-python refuses one whose id, type or call_id
changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


class DoneItems(Repair):
    """Make the done item the sum of what was streamed of it."""

    __slots__ = ()

    name: ClassVar = "done_items"
    summary: ClassVar = "`output_item.done` has the type, names, texts and parts that were streamed"
    fixes: ClassVar = ("R10", "R11", "R12", "R17", "R35")
    phase: ClassVar = Phase.CONTENT
    handles: ClassVar = frozenset({grammar.ITEM_DONE})

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with the streamed item."""
        said = event.body["item"]
        item = view.by_id.get(said["id"])
        status = said.get("status") if item is not None else None
        # An item that was announced with a status has one at its end; OpenAI's reasoning items never have any.
        lacks_status = item is not None and item.item.get("status") is not None and status is None
        if item is None or (synthesis.is_as_told(item, said) and not lacks_status):
            return None
        known = status if status in (synthesis.COMPLETED, synthesis.INCOMPLETE) else synthesis.COMPLETED
        told = synthesis.told_item(item, status=known, proven=said)
        run = item.kind.run
        if run is not None and item.id in self.context.held_calls and run.field in said:
            told[run.field] = said[run.field]  # its text is not closed yet: the item may be what settles it
        return [event.having(item=told)]
