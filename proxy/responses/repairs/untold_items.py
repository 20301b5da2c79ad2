"""Items that exist only in the terminal event (R03, R09e, R10, R20, R21).

A cut harmony call, a preamble, the answer that a step with several tokens swallowed: in ``response.output``, never
streamed. The AI SDK and Codex never look there ("empty answer", "the tool is never run").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from proxy.responses import grammar, synthesis
from proxy.responses.grammar import item_kind
from proxy.responses.proof import Proof, is_half
from proxy.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.responses.events import Body, Event
    from proxy.responses.view import ClientView


class UntoldItems(Repair):
    """Tell the whole life of every item that only the terminal event shows."""

    __slots__ = ()

    name: ClassVar = "untold_items"
    summary: ClassVar = "items that only the terminal event shows get their whole life before it"
    fixes: ClassVar = ("R03", "R09", "R10", "R17", "R20", "R21", "R37", "R45")
    phase: ClassVar = Phase.TERMINAL
    handles: ClassVar = grammar.TERMINAL

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Put the lives of untold items ahead of the terminal event."""
        response = event.body["response"]
        untold = [
            item
            for item in Proof(view.items, response.get("output")).untold
            if isinstance(item.get("type"), str)
        ]
        if not untold:
            return None
        cut = event.type != grammar.COMPLETED
        events: list[Event] = []
        for offset, item in enumerate(untold):
            last = offset == len(untold) - 1
            index = len(view.items) + offset
            status = synthesis.INCOMPLETE if (cut and last) or is_half(item, response) else None
            events += synthesis.life_of_item(index, self._named(item, index, view), status=status)
        return [*events, event]

    def _named(self, item: Body, index: int, view: ClientView) -> Body:
        """Return the item with an id that the client does not know yet."""
        id_ = item.get("id")
        if isinstance(id_, str) and id_ and id_ not in view.by_id:
            return item
        kind = item_kind(item.get("type"))
        return {
            **item,
            "id": synthesis.derive_id(kind.id_prefix, view.response_id or self.context.request.seed, index),
        }
