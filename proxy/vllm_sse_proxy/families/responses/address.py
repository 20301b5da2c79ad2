"""The second station: which item, and which part of it, an event is about, by the client's own names.

Upstream's names cannot be relied on. Ids are empty up to 0.10.2 (R13), three different ones for one call (R12, harmony up
to 0.23), or missing (the fork, llama.cpp); done events carry the next item's index (R07), two items share one (R22), and
the index of a part grows with every delta (R05) or goes on in the next item (R06). Clients insist on them: openai-node
requires one non-empty id in every event of an item, openai-python raises ``IndexError``.

The client keeps the first id that it was sent. What upstream calls the item later is remembered as another name for it. Items
and parts are counted as they were announced, so their places follow from the client's view.

From here on an event of a known type has what it is about: an item or a part with a type, a whole text, a response. One that
lacks it (where the repairs of shapes are switched off) is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses import agreement, grammar, item_fields, response_objects
from vllm_sse_proxy.families.responses.events import is_typed_object
from vllm_sse_proxy.families.responses.grammar import Holder, item_kind
from vllm_sse_proxy.families.responses.ids import derive_id
from vllm_sse_proxy.families.responses.item_texts import emitted_length, emitted_text, text_of
from vllm_sse_proxy.families.responses.view import part_at
from vllm_sse_proxy.stream.event import END

if TYPE_CHECKING:
    from vllm_sse_proxy.families.responses.grammar import ItemKind, TextRun
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView, PartView
    from vllm_sse_proxy.stream.context import Seen, StreamContext
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.exit import Exit

_PARTS: Final = frozenset({grammar.PART_ADDED, grammar.PART_DONE})


class Addresser:
    """The second station of one stream."""

    def __init__(self, context: StreamContext, view: ClientView, exit_: Exit) -> None:
        self._context = context
        self._view = view
        self._exit = exit_
        self._names: dict[str, str] = {}
        """upstream's id → the client's"""
        self._unannounced: Seen = {}
        """ids of items of which something came before their announcement"""
        self._call_ids: dict[str, str] = {}
        """upstream's ``call_id`` → the client's, where another call has it"""
        self._places: dict[int, str] = {}
        """upstream's output_index → the client's id of the item last announced there"""
        self._named: Seen = {}
        """the client's ids of items of which upstream has sent something under the id that it announced"""
        self._nameless: Seen = {}
        """the client's ids of items that were announced without an id, and of which nothing has come yet"""
        self._indexes: dict[int, int] = {}
        """upstream's output_index → the client's, for the events of shell calls, which name no item"""
        self._closed: Seen = {}
        """the client's ids of items that upstream has closed; their closings may not have been emitted yet"""
        self._closed_first: Seen = {}
        """ids of items that upstream closed, complete, before it announced them"""
        self._closed_parts: dict[tuple[str, str, int], None] = {}
        """parts that upstream has closed, as id of the item, name of the index, index; their closings may be held"""

    def address(self, event: Event) -> Event | None:
        """Return the event under the client's names; None if it belongs to no item, or lacks its subject."""
        type_ = event.type
        if type_ in _SUBJECTS and not _has_subject(event):  # where the repairs of shapes are switched off
            if type_ not in grammar.TERMINAL:
                self._exit.drop("item_ids", event)
                return None
            response = response_objects.response_so_far(self._view, self._context.request)
            event = event.having(response={**response, "status": type_.rpartition(".")[2]})
        if type_ in grammar.LIFECYCLE:
            event = self._name_response(event)
        named = self._name_item(event)
        if named is None:
            self._exit.drop("item_ids", event)
            return None
        if named is not event:
            self._exit.correct("item_ids")
        if type_ in grammar.ITEM_EVENTS or type_ in grammar.OF_ITEMS:
            named = self._index_item(named)
            if type_ in grammar.PART_EVENTS or type_ in grammar.SUMMARY_EVENTS:
                named = self._index_part(named)
                if type_ == grammar.ANNOTATION_ADDED and "annotations" not in self._context.disabled:
                    return self._index_annotation(named)
        return named

    def _name_response(self, event: Event) -> Event:
        """Keep the response's id that the client was sent first."""
        response, id_ = event.body["response"], self._view.response_id
        if id_ is None or response.get("id") == id_ or "response_ids" in self._context.disabled:
            return event
        self._exit.correct("response_ids")
        return event.having(response={**response, "id": id_})

    # ------------------------------------------------------------------------------------------------------------------ items

    def _name_item(self, event: Event) -> Event | None:
        """Return the event with the client's id of its item; None if it closes another item than it names."""
        type_, body, view = event.type, event.body, self._view
        if "item_id" in body and type_ in grammar.EVENT_FIELDS and type_ not in grammar.ITEM_ID_EVENTS:
            event = event.without("item_id")  # a field that this type of event does not have
            body = event.body
        if type_ == grammar.ITEM_ADDED:
            return self._announce(event)
        if type_ == grammar.ITEM_DONE:
            return self._close(event)
        if type_ not in grammar.ITEM_ID_EVENTS:  # where vendors' events name an item, it is by upstream's id
            return self._translate(event) if "item_id" in body and type_ is not END else event
        id_ = body.get("item_id")
        if self._nameless and (there := self._nameless_place(event)) is not None:
            return self._adopt(event, there.id)
        if type(id_) is str:
            known = self._names.get(id_)
            item = view.by_id.get(known) if known is not None else None
            if item is not None and _closes_another(event, item, view):
                return None
            if item is not None and (item.id in self._closed_first or _fits(item, event)):
                if known != id_:
                    return event.having(item_id=known)
                self._named[item.id] = None
                return event
        item = self._find(event)
        return self._adopt(event, item.id if item is not None else self._new_id(event))

    def _announce(self, event: Event) -> Event:
        item = event.body["item"]
        id_ = item.get("id")
        known = self._view.by_id.get(id_) if isinstance(id_, str) else None
        if known is not None and known.type == item["type"] and self._comes_again(event, known):
            self._learn(event, id_, known.id)
            return event
        again = self._announced_call(item) or self._begun_there(event, item)
        if again is not None:
            self._learn(event, id_, again.id)
            return event.having(item={**item, "id": again.id})
        is_new = isinstance(id_, str) and id_ != "" and known is None
        names = {} if is_new else {"id": self._derive(item_kind(item["type"]))}
        if not id_:
            self._nameless[names["id"]] = None
        self._learn(event, id_, names.get("id", id_))
        if self._is_of_another_call(item):
            names["call_id"] = self._own_call_id(item["call_id"])
        return event.having(item={**item, **names}) if names else event

    def _begun_there(self, event: Event, item: Body) -> ItemView | None:
        """Return the item that an announcement without an id means: one in its place of which something came before."""
        if not self._unannounced or item.get("id"):
            return None
        there = self._view.by_id.get(self._place(event) or "")
        is_it = there is not None and there.id in self._unannounced and not there.closed
        return there if there is not None and is_it and there.type == item["type"] else None

    def _nameless_place(self, event: Event) -> ItemView | None:
        """Return the item in the event's place that was announced without an id: the first id that comes there is its own.

        Whatever other item had it before: an id that is said of two items names the one whose place is said, too.
        """
        there = self._view.by_id.get(self._place(event) or "")
        if there is None or there.closed or there.id not in self._nameless or not _fits(there, event):
            return None
        del self._nameless[there.id]
        return there

    def _is_of_another_call(self, item: Body) -> bool:
        """Return whether another call has the ``call_id`` of this one: the answer to one would be taken for the other's."""
        call_id = item.get("call_id")
        call = self._view.by_call_id.get(call_id) if type(call_id) is str else None
        return call is not None and grammar.has_call_id(call.type) and grammar.has_call_id(item["type"])

    def _own_call_id(self, call_id: str) -> str:
        own = derive_id("call", self._seed, len(self._view.items))
        self._call_ids[call_id] = own
        return own

    def _announced_call(self, item: Body) -> ItemView | None:
        """Return the call that is announced once more under another id, before anything has come of it."""
        call_id = item.get("call_id")
        call = self._view.by_call_id.get(call_id) if isinstance(call_id, str) and call_id else None
        if call is None or call.closed or call.own is None or call.own.length:
            return None
        is_same = call.type == item["type"] and call.item.get("name") == item.get("name")
        return call if is_same else None

    def _comes_again(self, event: Event, known: ItemView) -> bool:
        """Return whether an announcement is of an item that was announced: in its place, while open, or after its end."""
        if known.id in self._closed_first:
            return True
        return not known.closed and (known.id not in self._closed or self._place(event) == known.id)

    def _close(self, event: Event) -> Event | None:
        item, view = event.body["item"], self._view
        known = self._find_closing(event, item)
        if known is not None and _is_spurious_done(item, known, view):
            return None
        id_ = item.get("id")
        if known is not None:
            wanted = known.id
            self._closed[wanted] = None
        elif isinstance(id_, str) and id_ and id_ not in view.by_id:
            wanted = id_
            if text_of(item) or item_kind(item["type"]).run is not None:
                self._closed_first[id_] = None
        else:
            wanted = self._derive(item_kind(item["type"]))
        if id_ == wanted and not _STRAYS & item.keys():
            return event
        return event.having(item={**{k: v for k, v in item.items() if k not in _STRAYS}, "id": wanted})

    def _find_closing(self, event: Event, item: Body) -> ItemView | None:
        """Return the announced item that a done item is, by the surest sign first."""
        view = self._view
        named = next(
            (
                known
                for id_ in (item.get("id"), item.get("item_id"))
                if isinstance(id_, str) and (known := view.by_id.get(self._names.get(id_, id_))) is not None
            ),
            None,
        )
        if named is not None and named.type == item["type"]:
            return named
        call_id = item.get("call_id")
        if isinstance(call_id, str) and call_id:
            known = view.by_call_id.get(self._call_ids.get(call_id, call_id))
            if known is not None and known.type == item["type"]:
                return known
        there = view.by_id.get(self._place(event) or "")
        if there is not None and not there.closed and there.type == item["type"]:
            return there
        if named is not None:
            return named  # announced as one type, closed as another (0.20.2): it is the announced one
        found = next((known for known in view.youngest() if known.type == item["type"]), None)
        if found is None:
            return _closed_without_upstream(item, view)
        return None if self._is_of_another(event, item.get("id"), found) else found

    def _find(self, event: Event) -> ItemView | None:
        """Return the open item that an event with an unknown id means: the one at its index, else the youngest that fits."""
        there = self._view.by_id.get(self._place(event) or "")
        if there is not None and not there.closed and _fits(there, event):
            return there
        found = next((item for item in self._view.youngest() if _fits(item, event)), None)
        id_ = event.body.get("item_id")
        return None if found is not None and self._is_of_another(event, id_, found) else found

    def _is_of_another(self, event: Event, id_: object, item: ItemView) -> bool:
        """Return whether an event is of an item whose announcement was lost, and not of the open one.

        It has an id and a place of its own, and upstream has named the open item rightly before. Its arguments would run the
        open call twice, or with what was asked of another (issue 12, K5); its part, if no such part can be in the open item,
        would be read as something else. An empty part that closes is nobody's (R36).
        """
        if item.own is None:
            part = event.body["part"] if event.type in _PARTS else None
            if part is None or part["type"] in item.kind.parts or not part.get("text"):
                return False
        index = event.body.get("output_index")
        return (
            item.id in self._named
            and type(id_) is str
            and id_ != ""
            and type(index) is int
            and self._places.get(index) != item.id
        )

    def _adopt(self, event: Event, wanted: str) -> Event:
        id_ = event.body.get("item_id")
        self._learn(event, id_, wanted)
        return event if id_ == wanted else event.having(item_id=wanted)

    def _translate(self, event: Event) -> Event:
        id_ = event.body["item_id"]
        known = self._names.get(id_, id_) if isinstance(id_, str) else id_
        return event if known == id_ else event.having(item_id=known)

    def _new_id(self, event: Event) -> str:
        """Return the id of an item that upstream never announced."""
        id_ = event.body.get("item_id")
        if not isinstance(id_, str) or not id_ or id_ in self._view.by_id:
            id_ = self._derive(grammar.KIND_OF_EVENT.get(event.type, grammar.MESSAGE))
        self._unannounced[id_] = None
        return id_

    def _derive(self, kind: ItemKind) -> str:
        return derive_id(kind.id_prefix, self._seed, len(self._view.items))

    @property
    def _seed(self) -> str:
        return self._view.response_id or self._context.request.seed

    def _place(self, event: Event) -> str | None:
        index = event.body.get("output_index")
        return self._places.get(index) if type(index) is int else None

    def _learn(self, event: Event, id_: object, wanted: str) -> None:
        if isinstance(id_, str) and id_:
            self._names[id_] = wanted
        index = event.body.get("output_index")
        if type(index) is int:
            self._places[index] = wanted

    # ---------------------------------------------------------------------------------------------------------------- indexes

    def _index_item(self, event: Event) -> Event:
        """Return the event with the place of its item; an item that is not announced yet takes the next one."""
        body, view = event.body, self._view
        theirs = body.get("output_index")
        if event.type in grammar.OF_ITEMS:
            item = view.by_id.get(body["item"]["id"])
            ours = item.index if item is not None else len(view.items)
            if event.type == grammar.ITEM_ADDED and type(theirs) is int:
                self._indexes[theirs] = ours
        elif event.type in grammar.ITEM_ID_EVENTS:
            item = view.by_id.get(body["item_id"])
            ours = item.index if item is not None else len(view.items)
        else:
            ours = (
                self._indexes.get(theirs, len(view.items) - 1) if type(theirs) is int else len(view.items) - 1
            )
        if ours == theirs and type(theirs) is int:
            return event
        self._exit.correct("output_indexes")
        return event.having(output_index=ours)

    def _index_part(self, event: Event) -> Event:
        """Return the event with the place of its part in the item."""
        field = "summary_index" if event.type in grammar.SUMMARY_EVENTS else "content_index"
        theirs = event.body.get(field)
        item = self._view.by_id.get(event.body["item_id"])
        last = len(item.parts_of(event)) - 1 if item is not None else -1
        if (
            last >= 0
            and theirs == last + 1
            and event.type in grammar.RUN_OF_EVENT
            and (event.body["item_id"], field, last) in self._closed_parts
        ):
            ours = last + 1  # the announcement of this part is lost or late; the last one needs no more
        else:
            ours = _index_of_part(event, theirs, item)
        if event.type in grammar.PARTS_DONE:
            self._closed_parts[event.body["item_id"], field, ours] = None
        if ours == theirs and type(theirs) is int:
            return event
        self._exit.correct("content_indexes")
        return event.having_member(field, ours)

    def _index_annotation(self, event: Event) -> Event | None:
        """Return the event with the place of its annotation in the part, and a whole one; None for one without an annotation.

        Gateways leave ``annotation_index`` out, count over the whole response, or say 0 each time: a client that keeps a list
        then overwrites what it has. Typed clients refuse an event whose annotation is not an object (issue 12, K10).
        """
        body = event.body
        annotation = body.get("annotation")
        if type(annotation) is not dict:
            self._exit.drop("annotations", event)
            return None
        item = self._view.by_id.get(body["item_id"])
        part = part_at(item.parts, body["content_index"]) if item is not None else None
        index = len(part.annotations) if part is not None else 0
        changes: Body = {}
        theirs = body.get("annotation_index")
        if (
            type(theirs) is int and theirs != index
        ):  # one that was not a number is 0 by now (`missing_fields`)
            changes["annotation_index"] = index
        whole = item_fields.whole_annotation(annotation)
        if whole is not annotation:
            changes["annotation"] = whole
        if not changes:
            return event
        self._exit.correct("annotations")
        return event.having(**changes)


_SUBJECTS: Final = {
    **dict.fromkeys(grammar.OF_ITEMS, "item"),
    **dict.fromkeys(grammar.OF_PARTS, "part"),
    **{run.done: run.done_field for run in grammar.TEXT_RUNS},
    **dict.fromkeys(grammar.LIFECYCLE, "response"),
}
"""Type of event → the field that holds what the event is about."""


def _has_subject(event: Event) -> bool:
    """Return whether an event holds its subject: an item or a part with a type, a whole text, or a response."""
    subject = event.body.get(_SUBJECTS[event.type])
    if event.type in grammar.RUN_OF_DONE:
        return type(subject) is str
    return type(subject) is dict if event.type in grammar.LIFECYCLE else is_typed_object(subject)


_STRAYS: Final = frozenset({"item_id", "output_index"})
"""Fields of events that vLLM leaves inside the items of function calls (R12, R14); no item has them."""


def _closed_without_upstream(done: Body, view: ClientView) -> ItemView | None:
    """Return the item that was closed before upstream did, if a done item says all that was emitted of it."""
    said = text_of(done)
    recent = [item for item in view.items[-_RECENT:] if item.closed and not item.is_closed_by_upstream]
    return next(
        (item for item in recent if said and item.type == done["type"] and emitted_text(item) == said), None
    )


def _is_spurious_done(done: Body, item: ItemView, view: ClientView) -> bool:
    """Return whether a reasoning item or a call is closed as a message that is empty, or repeats a recent text (R36, R49).

    The terminal event shows what the item really is; it is closed then. Complete arguments need no such proof, and calls are
    run in the order in which they close.
    """
    if item.closed or item.kind is grammar.MESSAGE or item_kind(done["type"]) is not grammar.MESSAGE:
        return False
    if item.own is not None and agreement.are_arguments(item.own.text):
        return False
    return _was_sent(text_of(done), view)


def _was_sent(said: object, view: ClientView) -> bool:
    """Return whether a text is empty, or repeats that of one of the items just before it (0.20.2 repeats the last message)."""
    if said == "":
        return True
    recent = [item for item in view.items[-_RECENT:] if item.kind in grammar.TEXT_KINDS]
    return type(said) is str and any(
        emitted_length(item) == len(said) and emitted_text(item) == said for item in recent
    )


_RECENT: Final = 8
"""Items before it whose text a wrong closing may repeat; vLLM repeats the last message."""


def _closes_another(event: Event, item: ItemView, view: ClientView) -> bool:
    """Return whether an event closes a text of another kind of item that is empty, or repeats a recent text (R36, R49)."""
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
    return said is not None and _was_sent(said, view)


def _fits(item: ItemView, event: Event) -> bool:
    """Return whether the event can belong to this item; a closed one takes only events that are dropped as late."""
    kind = grammar.KIND_OF_EVENT.get(event.type)
    if kind is None:
        return item.kind in grammar.TEXT_KINDS if event.type in _PARTS else True
    if kind is not item.kind:
        return False
    if not item.closed:
        return True
    run = grammar.RUN_OF_DELTA.get(event.type)
    return run is None or run.holder is Holder.ITEM or event.body.get("delta") == ""


def _index_of_part(event: Event, theirs: object, item: ItemView | None) -> int:
    """Return the index of the part that an event is of: the one that it names if that can be, else the likeliest."""
    parts = item.parts_of(event) if item is not None else []
    named = part_at(parts, theirs)
    run = grammar.RUN_OF_EVENT.get(event.type)
    if run is not None:
        return _index_of_text(event, run, named, parts, is_next=theirs == len(parts))
    if event.type in grammar.PARTS_ADDED:
        if type(theirs) is not int and parts:  # a part is closed before the next one
            named = parts[-1]
        again = named is not None and not named.closed and _announces(event, named, item)
        return named.index if named is not None and again else len(parts)
    if event.type in grammar.PARTS_DONE:
        if named is not None and not named.closed:
            return named.index
        for part in reversed(parts[-_PARTS_AT_ONCE:]):
            if not part.closed:
                return part.index
    if named is not None:
        return named.index
    return parts[-1].index if parts and event.type not in grammar.PARTS_DONE else len(parts)


def _announces(event: Event, part: PartView, item: ItemView | None) -> bool:
    """Return whether an announcement can be of this part: it has its type, or one that its item cannot have (R25)."""
    type_ = event.body["part"].get("type")
    return type_ == part.type or (
        item is not None and event.type == grammar.PART_ADDED and type_ not in item.kind.parts
    )


def _index_of_text(
    event: Event, run: TextRun, named: PartView | None, parts: list[PartView], *, is_next: bool
) -> int:
    if named is not None and named.run is run and not named.done:
        return named.index
    # The youngest that goes on: a part is closed before the next one, so it is the last or none.
    for part in reversed(parts[-_PARTS_AT_ONCE:]):
        if part.run is run and not part.done:
            return part.index
    if event.type in grammar.RUN_OF_DONE:  # done once more?
        if named is not None and named.run is run:
            return named.index
        said = event.body[run.done_field]
        for part in reversed([] if is_next else parts[-_PARTS_AT_ONCE:]):
            if part.run is run and part.length == len(said) and part.text == said:
                return part.index
    return len(parts)


_PARTS_AT_ONCE: Final = 8
"""Parts among which an event that names none that fits finds its own; in a real stream only the last one is open."""
