"""Items that upstream never announced (R09, R10, F01).

Without ``output_item.added`` openai-python raises, the AI SDK drops the text ("text part not found"), Codex logs
"OutputTextDelta without active item".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, item_fields, synthesis
from vllm_sse_proxy.families.responses.grammar import Holder, item_kind
from vllm_sse_proxy.families.responses.repairs.base import MAX_TEXT_BYTES, Phase, Repair, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView


class ItemOpenings(Repair):
    """Announce the item that an event implies; tell the whole life of one that only ever closes."""

    __slots__ = ("_pieces", "_size")

    name: ClassVar = "item_openings"
    summary: ClassVar = "a missing `output_item.added` is told before the item's first event"
    fixes: ClassVar = ("R09", "R10", "R17", "F01")
    phase: ClassVar = Phase.LIFECYCLE
    handles: ClassVar = grammar.ITEM_EVENTS | {grammar.ITEM_DONE}

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._pieces: dict[str, list[str]] = {}
        """id of a call that cannot be announced yet → the arguments, or input, that came of it"""
        self._size = 0

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Put the announcement ahead of the event.

        A call cannot be announced before its name is known, nor a list of tools before its server is, so pieces of
        unannounced ones are dropped here: the done item, or the terminal event, names them and should hold all of them; a
        done item of a call that holds none gets them back. The same goes for kinds of items that nothing here can make.
        """
        if event.type == grammar.ITEM_DONE:
            item = event.body["item"]
            if item["id"] in view.by_id:
                return None
            if item.get("name") == "" and "name" in item_kind(item["type"]).required:
                return []  # nobody can run a call without a name; the terminal event may know it
            item = self._with_pieces(item)
            life = synthesis.life_of_item(len(view.items), item)
            return [*life[:-1], event.having(item=life[-1].body["item"], output_index=len(view.items))]
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
            self._keep(event, id_)
            return []
        return [synthesis.item_added(len(view.items), synthesis.new_item(kind, id_)), event]

    def _keep(self, event: Event, id_: str) -> None:
        run = grammar.RUN_OF_EVENT.get(event.type)
        if run is None or run.holder is not Holder.ITEM or self._size > MAX_TEXT_BYTES:
            return
        piece = event.body.get("delta" if event.type == run.delta else run.done_field)
        if type(piece) is str and piece:
            self._size += len(piece)
            if event.type == run.delta:
                self._pieces.setdefault(id_, []).append(piece)
            else:
                self._pieces[id_] = [piece]

    def _with_pieces(self, item: Body) -> Body:
        """Return a done item with the arguments that came of it, if it has none that can be read."""
        pieces = self._pieces.pop(item["id"], None)
        run = item_kind(item["type"]).run
        if pieces is None or run is None:
            return item
        said, came = item.get(run.field), "".join(pieces)
        is_readable = said != "" and (not run.is_json or synthesis.is_json(str(said)))
        return (
            item
            if is_readable or (run.is_json and not synthesis.is_json(came))
            else {**item, run.field: came}
        )
