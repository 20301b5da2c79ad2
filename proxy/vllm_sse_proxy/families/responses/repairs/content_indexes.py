"""``content_index`` and ``summary_index``: the place of the part in its item (R05, R06).

Up to 0.16 the index grows with every delta (R05); on the harmony path up to 0.24 it is not reset for the next item
(R06); the fork sends none. openai-python: ``IndexError: list index out of range``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair
from vllm_sse_proxy.families.responses.view import part_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
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
        wanted = [part for part in parts if part.run is run and not part.done]
        if event.type in grammar.RUN_OF_DONE and not wanted and named is not None and named.run is run:
            return named.index  # done once more
    elif event.type in _ADDED:
        again = named is not None and not named.closed and named.type == event.body["part"].get("type")
        again = again and named is not None and not named.text
        wanted = [named] if named is not None and again else []
    elif event.type in _DONE:
        wanted = [part for part in parts if not part.closed] or ([named] if named is not None else [])
    else:
        wanted = parts
    if named is not None and named in wanted:
        return named.index
    return wanted[-1].index if wanted else len(parts)


_ADDED = (grammar.PART_ADDED, grammar.SUMMARY_ADDED)
_DONE = (grammar.PART_DONE, grammar.SUMMARY_DONE)
