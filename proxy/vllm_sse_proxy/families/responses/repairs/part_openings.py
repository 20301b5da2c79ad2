"""Parts that upstream never announced, or announced as the wrong type (R09, R25, F01).

Up to 0.16 a reasoning item opens with an ``output_text`` part (R25); Ollama sends summary text without its part.
Clients raise ("missing content at index 0") or show reasoning as the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.grammar import OUTPUT_TEXT, Holder
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView

_ADDED = (grammar.PART_ADDED, grammar.SUMMARY_ADDED)
_DONE = (grammar.PART_DONE, grammar.SUMMARY_DONE)


class PartOpenings(Repair):
    """Announce the part that an event implies, as the type that its item can hold; close the part before it."""

    __slots__ = ()

    name: ClassVar = "part_openings"
    summary: ClassVar = "a missing `content_part.added` is told, and a part has the type that its item holds"
    fixes: ClassVar = ("R09", "R25", "F01")
    phase: ClassVar = Phase.LIFECYCLE
    handles: ClassVar = grammar.PART_EVENTS | grammar.SUMMARY_EVENTS

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Put the announcement ahead of the event."""
        item = view.by_id.get(event.body["item_id"])
        if item is None:
            return None
        summary = event.type in grammar.SUMMARY_EVENTS
        parts = item.summaries if summary else item.parts
        index = event.body["summary_index" if summary else "content_index"]
        if index < len(parts):
            return _typed(event, item)
        if event.type in _ADDED:
            typed = _typed(event, item)
            closings = _close_open_parts(item)
            return [*closings, *(typed or [event])] if closings or typed else None
        if event.type in _DONE:
            typed = _typed(event, item)
            return [
                *_close_open_parts(item),
                *synthesis.life_of_part(item, (typed or [event])[0].body["part"]),
            ]
        run = grammar.RUN_OF_EVENT.get(event.type, OUTPUT_TEXT)
        return [*_close_open_parts(item), synthesis.part_added(item, run, index), event]


def _close_open_parts(item: ItemView) -> list[Event]:
    return [event for part in item.open_parts() for event in synthesis.close_part(item, part)]


def _typed(event: Event, item: ItemView) -> list[Event] | None:
    """Return the part event with a part of the type that the item holds; None if it is so."""
    if event.type not in (grammar.PART_ADDED, grammar.PART_DONE):
        return None
    part = event.body["part"]
    if not item.kind.parts or part["type"] in item.kind.parts:
        return None
    run = grammar.RUN_OF_PART[item.kind.parts[0]]
    told = grammar.RUN_OF_PART.get(part["type"])
    text = part.get(told.field) if told is not None and told.holder is Holder.PART else ""
    return [event.having(part={**synthesis.new_part(item.kind.parts[0]), run.field: text})]
