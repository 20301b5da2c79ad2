"""Messages that are announced under another item's id, or that turn out to be reasoning (R08, R12, R17, R18).

vLLM 0.10.2 to 0.16 announce the message with the reasoning item's id and index and name the right ones in the next
event (R08); 0.10.2 to 0.20 announce a message when the first reasoning delta is empty (R18) or when one step holds
the end of the reasoning and the start of the answer (R17). Clients refuse the second ``output_item.added`` on one
index, and lose text whose type does not fit its item.

So a doubtful announcement waits for the next event of its item, which shows what it is. Doubtful is one whose id was
used before, and a message whose id lacks the ``msg_`` that every release from 0.32 and every other server gives it.
No delta is ever held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, item_objects
from vllm_sse_proxy.families.responses.events import object_in
from vllm_sse_proxy.families.responses.grammar import ItemKind, item_kind
from vllm_sse_proxy.families.responses.item_texts import text_of
from vllm_sse_proxy.stream.repair import HOLD, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import Seen, StreamContext
    from vllm_sse_proxy.stream.event import Event


class MisannouncedItems(Repair):
    """Announce an item under the id and as the kind that its first content shows."""

    __slots__ = ("_announced", "_changed", "_id", "_kind")

    name: ClassVar = "misannounced_items"
    summary: ClassVar = (
        "an announcement with a used id or the wrong type is held for one event, then corrected"
    )
    fixes: ClassVar = ("R08", "R12", "R17", "R18")
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._announced: Seen = {}
        self._changed = False
        self._id = ""
        self._kind: ItemKind = grammar.MESSAGE

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | Verdict | None:  # noqa: ARG002 - compares upstream with itself
        """Hold a doubtful announcement; release it, right, with the event that shows what it announces."""
        if not self.held:
            return self._consider(event) if event.type == grammar.ITEM_ADDED else None
        if event.type == grammar.ITEM_ADDED or not self._is_addressed(event):
            return self._release(event)
        if event.type == grammar.PART_ADDED:
            self._adopt(event)
            return HOLD
        if event.type == grammar.ITEM_DONE:
            return self._judge_by_item(event)
        if event.type == grammar.PART_DONE:
            part = object_in(event.body, "part")
            run = grammar.RUN_OF_PART.get(str(part.get("type")))
            kind = grammar.KIND_OF_EVENT.get(run.delta) if run is not None else None
            text = part.get(run.field) if run is not None else None
        else:
            run = grammar.RUN_OF_EVENT.get(event.type)
            kind = grammar.KIND_OF_EVENT.get(event.type)
            text = (
                event.body.get("delta" if event.type in grammar.RUN_OF_DELTA else run.done_field)
                if run is not None
                else None
            )
        self._adopt(event)
        if (
            kind is None
            or kind is self._kind
            or kind not in grammar.TEXT_KINDS
            or self._kind not in grammar.TEXT_KINDS
        ):
            return self._release(event)
        if not text:
            return []  # an empty text of another type: neither says what the item is, nor anything else
        return self._release_as(kind, event)

    def _consider(self, event: Event) -> Verdict | None:
        item = event.body.get("item")
        if not isinstance(item, dict):
            return None
        id_ = item.get("id")
        known = isinstance(id_, str) and id_ in self._announced
        kind = item_kind(item.get("type"))
        doubtful = known or (kind is grammar.MESSAGE and not str(id_).startswith(f"{kind.id_prefix}_"))
        if isinstance(id_, str) and id_:
            self._announced[id_] = None
        if not doubtful:
            return None
        self._changed = False
        self._id = id_ if isinstance(id_, str) and not known else ""
        self._kind = kind
        return HOLD

    def _is_addressed(self, event: Event) -> bool:
        """Return whether the event belongs to the held item: it names that item, or one that was never announced."""
        if event.type == grammar.ITEM_DONE:
            item = event.body.get("item")
            id_ = item.get("id") if isinstance(item, dict) else None
            return bool(self._id) and id_ == self._id
        if event.type not in grammar.ITEM_ID_EVENTS:
            return False
        id_ = event.body.get("item_id")
        if not isinstance(id_, str) or not id_:
            return True
        return id_ == self._id or id_ not in self._announced

    def _adopt(self, event: Event) -> None:
        """Take the id (and index) of an event that names the item otherwise than its announcement did."""
        id_ = event.body.get("item_id")
        if not isinstance(id_, str) or not id_ or id_ == self._id:
            return
        self._announced[id_] = None
        self._id = id_
        self._changed = True
        added = self.held[0]
        changes = {"item": {**added.body["item"], "id": id_}}
        if "output_index" in event.body:
            changes["output_index"] = event.body["output_index"]
        self.held[0] = added.having(**changes)

    def _release(self, event: Event) -> Sequence[Event] | None:
        return [*self.take(), event] if self._changed else None

    def _release_as(self, kind: ItemKind, event: Event) -> Sequence[Event]:
        """Announce the item as another kind, with a part of the type that the event needs."""
        held = self.take()
        announced = held[0].body["item"]
        item = item_objects.new_item(kind, self._id or str(announced.get("id") or ""))
        run = grammar.REASONING_TEXT if kind is grammar.REASONING else grammar.OUTPUT_TEXT
        part = item_objects.new_part(run.part_type or "")
        return [held[0].having(item=item), *(added.having(part=part) for added in held[1:]), event]

    def _judge_by_item(self, event: Event) -> Sequence[Event] | None:
        item = event.body["item"]
        kind = item_kind(item.get("type"))
        if kind is self._kind or kind not in grammar.TEXT_KINDS:
            return self._release(event)
        if text_of(item):
            return self._release_as(kind, event)
        self.held = []  # opened as one type, closed as another, and never said a word: no item at all
        return []
