"""Items that upstream never announced (R09, R10, F01).

Without ``output_item.added`` openai-python raises, the AI SDK drops the text ("text part not found"), Codex logs
"OutputTextDelta without active item".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, item_fields, synthesis
from vllm_sse_proxy.families.responses.grammar import item_kind
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


class ItemOpenings(Repair):
    """Announce the item that an event implies; tell the whole life of one that only ever closes."""

    __slots__ = ()

    name: ClassVar = "item_openings"
    summary: ClassVar = "a missing `output_item.added` is told before the item's first event"
    fixes: ClassVar = ("R09", "R10", "R17", "F01")
    phase: ClassVar = Phase.LIFECYCLE
    handles: ClassVar = grammar.ITEM_EVENTS | {grammar.ITEM_DONE}

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Put the announcement ahead of the event.

        A call cannot be announced before its name is known, nor a list of tools before its server is, so pieces of
        unannounced ones are dropped here: the done item, or the terminal event, names them and holds all of them. The
        same goes for kinds of items that nothing here can make.
        """
        if event.type == grammar.ITEM_DONE:
            item = event.body["item"]
            if item["id"] in view.by_id:
                return None
            if item.get("name") == "" and "name" in item_kind(item["type"]).required:
                return []  # nobody can run a call without a name; the terminal event may know it
            return synthesis.life_of_item(len(view.items), item)
        if event.type not in grammar.ITEM_ID_EVENTS:  # a shell call's command: named by its index alone
            return None if 0 <= event.body["output_index"] < len(view.items) else []
        id_ = event.body["item_id"]
        if id_ in view.by_id:
            return None
        kind = grammar.KIND_OF_EVENT.get(event.type)
        if kind is None and event.type in (grammar.PART_ADDED, grammar.PART_DONE):
            run = grammar.RUN_OF_PART.get(event.body["part"].get("type", ""))
            kind = grammar.KIND_OF_EVENT.get(run.delta) if run is not None else None
        if kind is None or not item_fields.can_be_announced_by_id(kind):
            return []
        return [synthesis.item_added(len(view.items), synthesis.new_item(kind, id_)), event]
