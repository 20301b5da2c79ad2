r"""Characters that were split over two deltas (issue 12, K9).

JSON made by JavaScript or Java may hold half a character: an emoji is two UTF-16 units there, and a server that cuts its text
between them sends ``"\ud83c"`` in one delta and ``"\udf0d"`` in the next. Half a character cannot be written as UTF-8:
serde, orjson and every other strict reader refuse the event, so the client loses both halves and whatever stood beside them.

So the first half waits for the next delta of its text. Where no other half comes, U+FFFD takes its place, unless what closes
the text says what the character was: then that leaves as one more delta (``done_texts``). Outside of deltas, a half without
the other becomes U+FFFD at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.grammar import Holder
from vllm_sse_proxy.stream.event import COMMENT, END, OPAQUE, Event
from vllm_sse_proxy.stream.payload import has_halves, may_hold_halves, whole_characters, with_whole_characters
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import StreamContext

_FIRST_HALVES: Final = (chr(0xD800), chr(0xDBFF))  # the compiler takes no halves in literals
_UNKNOWN: Final = "\ufffd"
_MOST_WAITING: Final = 64
"""Texts that may wait for a half at the same time; bounds the memory. More than a few are not streamed side by side."""
_KNOWN: Final = frozenset({*grammar.EVENT_FIELDS, COMMENT, OPAQUE, END})
_ADDED: Final = grammar.PARTS_ADDED | {grammar.ITEM_ADDED}


class SplitCharacters(Repair):
    """Join the halves of a character, and let none leave alone."""

    __slots__ = ("_waiting",)

    name: ClassVar = "split_characters"
    summary: ClassVar = "a character whose halves came in two deltas leaves once and whole"
    fixes: ClassVar = ("P01",)
    handles: ClassVar = frozenset(
        {*grammar.RUN_OF_EVENT, *grammar.OF_PARTS, *grammar.OF_ITEMS, *grammar.TERMINAL, grammar.ERROR, END}
    )

    @classmethod
    def is_asked_about(cls, type_: str) -> bool:
        """Return whether events of this type hold or close a text, or are a vendor's."""
        return type_ in cls.handles or type_ not in _KNOWN

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._waiting: dict[tuple[str, object], Event] = {}
        """type of the deltas and place of the item → the last delta of a text, with the first half of a character alone"""

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - a half is wrong in itself
        """Join, hold or replace a half in a delta; release what waits when its text is over."""
        if event.type in grammar.RUN_OF_DELTA:
            return self._join(event)
        if event.type not in _KNOWN:
            return _mend_vendors(event)
        if not self._waiting:
            return None
        over = [place for place in self._waiting if _is_over(place, event)]
        waiting = [self._waiting.pop(place) for place in over]
        if not waiting or _says_text(event):
            return None  # the text that closes it says what the character was
        return [*map(_without_other_half, waiting), event]

    def watches(self, type_: str, view: ClientView) -> str | None:  # noqa: ARG002 - any text may have a half that waits
        """Watch for nothing: a delta with halves is never rewritten. But what comes behind a half must be seen."""
        return None if self._waiting else ""

    def _join(self, event: Event) -> Sequence[Event] | None:
        delta = event.body.get("delta")
        if type(delta) is not str or not (self._waiting or has_halves(delta)):
            return None
        place = (event.type, _item_of(event))
        if delta == "":
            return None
        waiting = self._waiting.pop(place, None)
        if waiting is None and not has_halves(delta):
            return None
        text = delta if waiting is None else waiting.body["delta"] + delta
        if not _FIRST_HALVES[0] <= text[-1] <= _FIRST_HALVES[1]:
            return [event.having(delta=whole_characters(text))]
        self._waiting[place] = event.having(delta=text[-1])
        rest = whole_characters(text[:-1])
        leaving = [event.having(delta=rest)] if rest or event.body.get("logprobs") else []
        if len(self._waiting) > _MOST_WAITING:
            oldest = next(iter(self._waiting))
            leaving.insert(0, _without_other_half(self._waiting.pop(oldest)))
        return leaving


def _mend_vendors(event: Event) -> Sequence[Event] | None:
    if event.raw is not None and not may_hold_halves(event.raw):
        return None
    body = with_whole_characters(event.body)
    return None if body == event.body else [Event(event.type, body)]


def _without_other_half(waiting: Event) -> Event:
    """Return the delta that waited, with the sign for a character that nobody knows; its logprobs have left already."""
    return waiting.having(delta=_UNKNOWN, **({"logprobs": []} if "logprobs" in waiting.body else {}))


def _item_of(event: Event) -> object:
    """Return what distinguishes the item of an event from others: its index, or without one its id."""
    index = event.body.get("output_index")
    if type(index) is int:
        return index
    named = event.body.get("item") if event.type in grammar.OF_ITEMS else event.body
    id_ = (
        named.get("id" if event.type in grammar.OF_ITEMS else "item_id") if isinstance(named, dict) else None
    )
    return id_ if isinstance(id_, str) else None


def _is_over(place: tuple[str, object], event: Event) -> bool:
    """Return whether an event ends the text at a place, or all texts."""
    type_, item = place
    run = grammar.RUN_OF_DELTA[type_]
    if event.type in grammar.RUN_OF_DONE:
        return event.type == run.done and item == _item_of(event)
    if event.type in grammar.OF_ITEMS:
        return item == _item_of(event)
    if event.type in grammar.OF_PARTS:
        is_summary = event.type in grammar.SUMMARY_EVENTS
        return run.holder is (Holder.SUMMARY if is_summary else Holder.PART) and item == _item_of(event)
    return True


def _says_text(event: Event) -> bool:
    """Return whether an event that closes a text says what the whole of it is."""
    body = event.body
    run = grammar.RUN_OF_DONE.get(event.type)
    if run is not None:
        return bool(body.get(run.done_field))
    if event.type in grammar.TERMINAL:
        response = body.get("response")
        output = response.get("output") if isinstance(response, dict) else None
        return isinstance(output, list) and any(map(_holds_text, output))
    return event.type not in _ADDED and _holds_text(body.get("item", body.get("part")))


def _holds_text(node: object) -> bool:
    """Return whether an item or a part holds any text."""
    if not isinstance(node, dict):
        return False
    values = [node.get(name) for name in _TEXTS]
    return any(any(map(_holds_text, value)) if isinstance(value, list) else bool(value) for value in values)


_TEXTS: Final = ("content", "summary", *dict.fromkeys(run.field for run in grammar.TEXT_RUNS))
"""Members of items and parts that hold their text."""
