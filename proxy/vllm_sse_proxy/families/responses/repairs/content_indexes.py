"""``content_index`` and ``summary_index``: the place of the part in its item (R05, R06).

Up to 0.16 the index grows with every delta (R05); on the harmony path up to 0.24 it is not reset for the next item
(R06); the fork sends none. openai-python: ``IndexError: list index out of range``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair
from vllm_sse_proxy.families.responses.view import part_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.grammar import TextRun
    from vllm_sse_proxy.families.responses.view import ClientView, PartView


class ContentIndexes(Repair):
    """Number the parts of an item 0, 1, 2 … as they are announced, and all their events alike."""

    __slots__ = ()

    name: ClassVar = "content_indexes"
    summary: ClassVar = (
        "`content_index` and `summary_index` count the parts of an item as they were announced"
    )
    fixes: ClassVar = ("R05", "R06", "F01")
    phase: ClassVar = Phase.IDENTITY
    handles: ClassVar = grammar.PART_EVENTS | grammar.SUMMARY_EVENTS
    needed: ClassVar = "every repair after it finds a part by the index that it gives"

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with our index."""
        summary = event.type in grammar.SUMMARY_EVENTS
        field = "summary_index" if summary else "content_index"
        theirs = event.body.get(field)
        item = view.by_id.get(event.body["item_id"])
        ours = _index(event, theirs, (item.summaries if summary else item.parts) if item is not None else [])
        if ours == theirs and type(theirs) is int:
            return None
        return [event.having(**{field: ours})]


def _index(event: Event, theirs: object, parts: list[PartView]) -> int:
    """Return the index of the part that an event is of: the one that it names if that can be, else the likeliest."""
    named = part_at(parts, theirs)
    run = grammar.RUN_OF_EVENT.get(event.type)
    if run is not None:
        return _index_of_text(event, run, named, parts)
    if event.type in _ADDED:
        again = named is not None and not named.closed and named.type == event.body["part"].get("type")
        return named.index if named is not None and again else len(parts)
    if event.type in _DONE:
        if named is not None and not named.closed:
            return named.index
        for part in reversed(parts[-_PARTS_AT_ONCE:]):
            if not part.closed:
                return part.index
    if named is not None:
        return named.index
    return parts[-1].index if parts and event.type not in _DONE else len(parts)


def _index_of_text(event: Event, run: TextRun, named: PartView | None, parts: list[PartView]) -> int:
    if named is not None and named.run is run and not named.done:
        return named.index
    # The youngest that goes on: a part is closed before the next one, so it is the last or none.
    for part in reversed(parts[-_PARTS_AT_ONCE:]):
        if part.run is run and not part.done:
            return part.index
    if event.type in grammar.RUN_OF_DONE and named is not None and named.run is run:
        return named.index  # done once more
    return len(parts)


_PARTS_AT_ONCE: Final = 8
"""Parts among which an event that names none that fits finds its own; in a real stream only the last one is open."""
_ADDED = (grammar.PART_ADDED, grammar.SUMMARY_ADDED)
_DONE = (grammar.PART_DONE, grammar.SUMMARY_DONE)
