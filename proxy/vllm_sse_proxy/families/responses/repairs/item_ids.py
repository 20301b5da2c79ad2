"""Which item an event belongs to, whatever upstream calls it (R07, R08, R11 to R13, R36, R49).

Ids are empty up to 0.10.2 (R13), three different ones for one call (R12, harmony up to 0.23), or missing (the fork,
llama.cpp); openai-node requires one non-empty id in every event of an item, openai-python refuses a done item with
another one.

The client keeps the first id it was told. What upstream calls the item later is remembered as another name for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.events import END, is_typed_object
from vllm_sse_proxy.families.responses.final_match import emitted_length, emitted_text, text_of
from vllm_sse_proxy.families.responses.grammar import Holder, item_kind
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair, Seen, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.grammar import ItemKind
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView

_PART_EVENTS = frozenset({grammar.PART_ADDED, grammar.PART_DONE})
_PART_KINDS = (grammar.MESSAGE, grammar.REASONING)


class ItemIds(Repair):
    """Give every event of an item the one id that the client knows it by."""

    __slots__ = ("_closed", "_closed_first", "_names", "_places")

    name: ClassVar = "item_ids"
    summary: ClassVar = "`item_id` and `item.id` are non-empty, unique and the same in all events of an item"
    fixes: ClassVar = ("R07", "R08", "R11", "R12", "R13", "R36", "R49", "F01")
    phase: ClassVar = Phase.IDENTITY
    handles: ClassVar = None
    needed: ClassVar = "every repair after it finds an item by the id that it gives"

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._names: dict[str, str] = {}
        """upstream's id → the client's"""
        self._places: dict[int, str] = {}
        """upstream's output_index → the client's id of the item last announced there"""
        self._closed: Seen = {}
        """the client's ids of items that upstream has closed; the client may not have heard of it yet"""
        self._closed_first: Seen = {}
        """ids of items that upstream closed, with all that they say, before it announced them"""

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with the client's id."""
        type_, body = event.type, event.body
        if type_ in _SUBJECTS and not _has_subject(event):  # where the repairs of shapes are switched off
            return self._without_subject(event, view)
        if "item_id" in body and type_ in grammar.EVENT_FIELDS and type_ not in grammar.ITEM_ID_EVENTS:
            stripped = event.without("item_id")  # a field that this type of event does not have
            return self.mend(stripped, view) or [stripped]
        if type_ == grammar.ITEM_ADDED:
            return self._announce(event, view)
        if type_ == grammar.ITEM_DONE:
            return self._close(event, view)
        if type_ not in grammar.ITEM_ID_EVENTS:
            return (
                self._translate(event) if "item_id" in body and type_ is not END else None
            )  # vendors' events
        id_ = body.get("item_id")
        if type(id_) is str:
            known = self._names.get(id_)
            item = view.by_id.get(known) if known is not None else None
            if item is not None and _closes_another(event, item, view):
                return []
            if item is not None and (item.id in self._closed_first or _fits(item, event)):
                return None if known == id_ else [event.having(item_id=known)]
        item = self._find(event, view)
        return self._adopt(event, item.id if item is not None else self._new_id(event, view))

    def _without_subject(self, event: Event, view: ClientView) -> Sequence[Event]:
        """Drop an event that lacks what it is about; at the end of the response, the client knows it."""
        if event.type not in grammar.TERMINAL:
            return []
        response = synthesis.response_so_far(view, self.context.request)
        return [event.having(response={**response, "status": event.type.rpartition(".")[2]})]

    def _announce(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        item = event.body["item"]
        id_ = item.get("id")
        told = view.by_id.get(id_) if isinstance(id_, str) else None
        if told is not None and told.type == item["type"] and self._comes_again(event, told):
            self._learn(event, id_, told.id)
            return None
        if isinstance(id_, str) and id_ and told is None:
            self._learn(event, id_, id_)
            return None
        new = self._derive(item_kind(item["type"]), view)
        self._learn(event, id_, new)
        return [event.having(item={**item, "id": new})]

    def _comes_again(self, event: Event, told: ItemView) -> bool:
        """Return whether an announcement is of an item that was announced: in its place, while open, or after its end."""
        if told.id in self._closed_first:
            return True
        return not told.closed and (told.id not in self._closed or self._place(event) == told.id)

    def _close(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        item = event.body["item"]
        told = self._find_closing(event, item, view)
        if told is not None and _is_no_closing(item, told, view):
            return []
        id_ = item.get("id")
        if told is not None:
            wanted = told.id
            self._closed[wanted] = None
        elif isinstance(id_, str) and id_ and id_ not in view.by_id:
            wanted = id_
            if text_of(item) or item_kind(item["type"]).run is not None:
                self._closed_first[id_] = None
        else:
            wanted = self._derive(item_kind(item["type"]), view)
        if id_ == wanted and not _STRAYS & item.keys():
            return None
        return [event.having(item={**{k: v for k, v in item.items() if k not in _STRAYS}, "id": wanted})]

    def _find_closing(self, event: Event, item: Body, view: ClientView) -> ItemView | None:
        """Return the told item that a done item is, by the surest sign first."""
        named = next(
            (
                told
                for id_ in (item.get("id"), item.get("item_id"))
                if isinstance(id_, str) and (told := view.by_id.get(self._names.get(id_, id_))) is not None
            ),
            None,
        )
        if named is not None and named.type == item["type"]:
            return named
        call_id = item.get("call_id")
        if isinstance(call_id, str) and call_id:
            told = view.by_call_id.get(call_id)
            if told is not None and told.type == item["type"]:
                return told
        there = view.by_id.get(self._place(event) or "")
        if there is not None and not there.closed and there.type == item["type"]:
            return there
        if named is not None:
            return named  # announced as one type, closed as another (0.20.2): it is the announced one
        return next((told for told in view.youngest() if told.type == item["type"]), None)

    def _find(self, event: Event, view: ClientView) -> ItemView | None:
        """Return the open item that an event with an unknown id means: the one at its index, else the youngest that fits."""
        there = view.by_id.get(self._place(event) or "")
        if there is not None and not there.closed and _fits(there, event):
            return there
        return next((item for item in view.youngest() if _fits(item, event)), None)

    def _adopt(self, event: Event, wanted: str) -> Sequence[Event] | None:
        id_ = event.body.get("item_id")
        self._learn(event, id_, wanted)
        return None if id_ == wanted else [event.having(item_id=wanted)]

    def _translate(self, event: Event) -> Sequence[Event] | None:
        id_ = event.body["item_id"]
        known = self._names.get(id_, id_) if isinstance(id_, str) else id_
        return None if known == id_ else [event.having(item_id=known)]

    def _new_id(self, event: Event, view: ClientView) -> str:
        """Return the id of an item that upstream never announced."""
        id_ = event.body.get("item_id")
        if isinstance(id_, str) and id_ and id_ not in view.by_id:
            return id_
        return self._derive(grammar.KIND_OF_EVENT.get(event.type, grammar.MESSAGE), view)

    def _derive(self, kind: ItemKind, view: ClientView) -> str:
        return synthesis.derive_id(
            kind.id_prefix, view.response_id or self.context.request.seed, len(view.items)
        )

    def _place(self, event: Event) -> str | None:
        index = event.body.get("output_index")
        return self._places.get(index) if type(index) is int else None

    def _learn(self, event: Event, id_: object, wanted: str) -> None:
        if isinstance(id_, str) and id_:
            self._names[id_] = wanted
        index = event.body.get("output_index")
        if type(index) is int:
            self._places[index] = wanted


_SUBJECTS = {
    **dict.fromkeys((grammar.ITEM_ADDED, grammar.ITEM_DONE), "item"),
    **dict.fromkeys((*_PART_EVENTS, grammar.SUMMARY_ADDED, grammar.SUMMARY_DONE), "part"),
    **{run.done: run.done_field for run in grammar.TEXT_RUNS},
    **dict.fromkeys(grammar.LIFECYCLE, "response"),
}
"""Type of event → the field that holds what the event is about."""


def _has_subject(event: Event) -> bool:
    """Return whether an event holds what it is about: an item or a part of some type, a whole text, or a response."""
    subject = event.body.get(_SUBJECTS[event.type])
    if event.type in grammar.LIFECYCLE:
        return type(subject) is dict
    return type(subject) is str if event.type in grammar.RUN_OF_DONE else is_typed_object(subject)


_STRAYS = frozenset({"item_id", "output_index"})
"""Fields of events that vLLM leaves inside the items of function calls (R12, R14); no item has them."""


def _is_no_closing(done: Body, item: ItemView, view: ClientView) -> bool:
    """Tell whether a reasoning item or a call is closed as a message that says nothing, or what was told before (R36, R49).

    What the item really is, the terminal event proves: then it is closed. Arguments that are whole need no proof, and calls
    are run in the order in which they close.
    """
    if item.closed or item.kind is grammar.MESSAGE or item_kind(done["type"]) is not grammar.MESSAGE:
        return False
    if item.own is not None and synthesis.is_json(item.own.text):
        return False
    return _was_told(text_of(done), view)


def _was_told(said: object, view: ClientView) -> bool:
    """Return whether a text says nothing, or what one of the items just before has said (0.20.2 repeats the last message)."""
    if said == "":
        return True
    recent = [item for item in view.items[-_RECENT:] if item.kind in _PART_KINDS]
    return type(said) is str and any(
        emitted_length(item) == len(said) and emitted_text(item) == said for item in recent
    )


_RECENT: Final = 8
"""Items before it whose text a wrong closing may repeat; vLLM repeats the last message."""


def _closes_another(event: Event, item: ItemView, view: ClientView) -> bool:
    """Tell whether a text of another kind of item is closed that says nothing, or what was told before (R36, R49)."""
    if event.type == grammar.PART_DONE:
        part = event.body["part"]
        said = part.get("text") if part["type"] not in item.kind.parts else None
    else:
        run = grammar.RUN_OF_DONE.get(event.type)
        foreign = (
            run is not None
            and run.holder is not Holder.ITEM
            and grammar.KIND_OF_EVENT.get(event.type) is not item.kind
        )
        said = event.body[run.done_field] if run is not None and foreign else None
    return said is not None and _was_told(said, view)


def _fits(item: ItemView, event: Event) -> bool:
    """Tell whether the event can be meant for this item; a closed one takes no more text, only what is dropped as late."""
    kind = grammar.KIND_OF_EVENT.get(event.type)
    if kind is None:
        return item.kind in _PART_KINDS if event.type in _PART_EVENTS else True
    if kind is not item.kind:
        return False
    if not item.closed:
        return True
    run = grammar.RUN_OF_DELTA.get(event.type)
    return run is None or run.holder is Holder.ITEM or event.body.get("delta") == ""
