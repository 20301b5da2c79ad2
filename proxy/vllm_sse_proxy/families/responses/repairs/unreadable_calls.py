"""Calls that upstream closes with arguments that nobody can read: none, or some that are not JSON (R19).

From 0.18 to 0.22 the last piece of a call's arguments, or all of them, may be in the terminal event only. That can be any
call of several, so its closing waits for the terminal event, whatever comes between. So do the closings of the calls behind
it, since clients run calls in the order in which they close.

If the final output has the arguments, the call is closed with them (``missing_closings``). If not, it is closed as upstream
closed it; but when the response fails, it stays open, for clients run what is closed (docs/adr/0011-cut-calls.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.moved import HOLD, Moved
from vllm_sse_proxy.families.responses.outcome import outcome_of
from vllm_sse_proxy.families.responses.repairs.base import MAX_HELD_DELTAS, Phase, Repair, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView

_ENDS: Final = frozenset({*grammar.TERMINAL, grammar.ERROR})
_TEXT_DONE: Final = frozenset({grammar.FUNCTION_ARGUMENTS.done, grammar.CUSTOM_INPUT.done})


class UnreadableCalls(Repair):
    """Let the closing of a call that nobody can read wait for the terminal event, which may have its arguments."""

    __slots__ = ("_held",)

    name: ClassVar = "unreadable_calls"
    summary: ClassVar = (
        "a call closed without readable arguments waits for the terminal event, which may have them"
    )
    fixes: ClassVar = ("R19",)
    phase: ClassVar = Phase.TERMINAL
    handles: ClassVar = frozenset({*_TEXT_DONE, grammar.ITEM_DONE, *_ENDS})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._held: list[Event] = []
        """closings of calls, from the first that nobody can read on"""

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Hold such a closing, and those of calls behind it; release them before the end."""
        held = self._held
        if event.type in _ENDS:
            return self._end(event, view) if held else None
        item = view.by_id.get(_id_of(event))
        if item is None or item.own is None or not item.kind.acts or event.invented:
            return None
        is_unreadable = _is_unreadable(event, item)
        if not held and not is_unreadable:
            return None
        if (
            event.type == grammar.ITEM_DONE
            and not is_unreadable
            and len(held) == 1
            and _id_of(held[0]) == item.id
        ):
            return self._settle(event, item)
        held.append(event)
        self.context.held_calls[item.id] = is_unreadable
        return HOLD if len(held) <= MAX_HELD_DELTAS else Moved(self._release())

    def _settle(self, done: Event, item: ItemView) -> Sequence[Event]:
        """Release the closing of a call's text with what its done item has, since nothing else waits."""
        (held,) = self._release()
        run = item.kind.run
        said = done.body["item"].get(run.field) if run is not None else None
        if run is None or held.body.get(run.done_field) == said:
            return Moved((held, done))
        return [held.having(**{run.done_field: said}), done]

    def _release(self) -> list[Event]:
        held, self._held = self._held, []
        self.context.held_calls.clear()
        return held

    def _end(self, end: Event, view: ClientView) -> Sequence[Event]:
        outcome = outcome_of(end) if end.type in grammar.TERMINAL else grammar.FAILED
        events: list[Event] = []
        held = self._release()
        for event in held:
            item = view.by_id[_id_of(event)]
            if item.closed:
                continue  # closed from the final output, with arguments
            if outcome == grammar.COMPLETED or not _is_unreadable(event, item):
                events.append(event)
            elif outcome == grammar.INCOMPLETE and item.kind is grammar.FUNCTION_CALL:
                events.append(_as_incomplete(event))
        is_whole = len(events) == len(held) and all(map(_is, events, held))
        events.append(end)
        return Moved(events) if is_whole else events


def _id_of(event: Event) -> str:
    id_: str = event.body["item"]["id"] if event.type == grammar.ITEM_DONE else event.body["item_id"]
    return id_


def _is(one: object, other: object) -> bool:
    return one is other


def _as_incomplete(event: Event) -> Event:
    if event.type != grammar.ITEM_DONE:
        return event
    return event.having(item={**event.body["item"], "status": synthesis.INCOMPLETE})


def _is_unreadable(event: Event, item: ItemView) -> bool:
    """Return whether a closing says of a call that it is whole, but leaves it without arguments that can be read."""
    run = item.kind.run
    holder = event.body
    if event.type == grammar.ITEM_DONE:
        holder = event.body["item"]
        if holder.get("status") == synthesis.INCOMPLETE:
            return False  # upstream says so itself
    said = holder.get(run.field) if run is not None else None
    return said in ("", None) or (item.kind is grammar.FUNCTION_CALL and not synthesis.is_json(str(said)))
