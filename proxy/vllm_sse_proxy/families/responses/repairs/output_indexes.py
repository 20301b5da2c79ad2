"""``output_index``: the place of the item among those that the client was told (R07, R22).

Harmony up to 0.13 numbers all done events one too high (R07); browser calls put two items on one index in every
release (R22). openai-python: "Received a content event for output index 1 before receiving its output item".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


class OutputIndexes(Repair):
    """Number the items 0, 1, 2 … as they are announced, and all their events alike."""

    __slots__ = ("_ours",)

    name: ClassVar = "output_indexes"
    summary: ClassVar = (
        "`output_index` counts the items as they were announced, the same in all events of an item"
    )
    fixes: ClassVar = ("R07", "R22", "F01")
    phase: ClassVar = Phase.IDENTITY
    handles: ClassVar = grammar.ITEM_EVENTS | {grammar.ITEM_ADDED, grammar.ITEM_DONE}
    needed: ClassVar = "inserted and dropped items shift the places of all later ones"

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._ours: dict[int, int] = {}
        """upstream's index → ours, for the events of shell calls, which name no item"""

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with our index; an item not announced yet takes the next one."""
        body, theirs = event.body, event.body.get("output_index")
        if event.type == grammar.ITEM_ADDED:
            told = view.by_id.get(body["item"].get("id"))
            ours = told.index if told is not None else len(view.items)
            if type(theirs) is int:
                self._ours[theirs] = ours
        elif event.type == grammar.ITEM_DONE:
            told = view.by_id.get(body["item"].get("id"))
            ours = told.index if told is not None else len(view.items)
        elif event.type in grammar.ITEM_ID_EVENTS:
            told = view.by_id.get(body["item_id"])
            ours = told.index if told is not None else len(view.items)
        else:
            ours = self._ours.get(theirs, len(view.items) - 1) if type(theirs) is int else len(view.items) - 1
        if ours == theirs and type(theirs) is int:
            return None
        return [event.having(output_index=ours)]
