"""Closings of calls with unreadable arguments, held until the terminal event (correction ``unreadable_calls``).

The terminal event may have the arguments. The closings of the calls after such a one wait with it, since clients run calls in
the order in which they close. What the outcome does not confirm is closed as incomplete, or stays open (ADR 11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses import agreement, grammar, item_objects
from vllm_sse_proxy.families.responses.events import item_id_of
from vllm_sse_proxy.families.responses.item_fields import INCOMPLETE
from vllm_sse_proxy.families.responses.outcome import can_be_read
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

if TYPE_CHECKING:
    from vllm_sse_proxy.families.responses.final_match import FinalMatch
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.exit import Exit

_NAME: Final = "unreadable_calls"


class UnreadableCalls:
    """Let closings of calls wait, from the first call with unreadable arguments on."""

    __slots__ = ("_calls", "_exit", "_off", "_view", "_waiting")

    def __init__(self, context: StreamContext, view: ClientView, exit_: Exit) -> None:
        self._off = context.disabled
        self._view = view
        self._exit = exit_
        self._waiting: list[Event] = []
        self._calls: dict[str, bool] = {}
        """ids of those calls → whether the arguments of the call are unreadable"""

    def waits(self, item: ItemView) -> bool:
        """Return whether a closing of an item waits."""
        return item.id in self._calls

    def may_close(self, item: ItemView, account: Body | None) -> bool:
        """Return whether an item may be closed from its account: nothing of it waits, or for what the account has."""
        is_unreadable = self._calls.get(item.id)
        return is_unreadable is None or (is_unreadable and can_be_read(account))

    def end(self, event: Event, item: ItemView) -> None:
        """Emit the closing of a text or an item, unless it closes a call with unreadable arguments."""
        if item.own is None or not item.kind.acts or _NAME in self._off:
            self._exit.emit(event)
            return
        waiting = self._waiting
        is_unreadable = _is_unreadable(event, item)
        if not waiting and not is_unreadable:
            self._exit.emit(event)
            return
        is_last = event.type == grammar.ITEM_DONE and not is_unreadable
        if is_last and len(waiting) == 1 and item_id_of(waiting[0]) == item.id:
            self._settle(event, item)
            return
        waiting.append(event)
        self._calls[item.id] = is_unreadable
        note_arguments(event, item)
        if len(waiting) > MAX_HELD_EVENTS:
            for closing in self._take_waiting():
                self._exit.emit(closing)

    def _settle(self, done: Event, item: ItemView) -> None:
        """Release the closing of a call's text with what its done item has, since nothing else is held."""
        (closing,) = self._take_waiting()
        run = item.kind.run
        said = done.body["item"].get(run.field) if run is not None else None
        if run is not None and closing.body.get(run.done_field) != said:
            self._exit.correct(_NAME)
            closing = closing.having(**{run.done_field: said})
        self._exit.emit(closing)
        self._exit.emit(done)

    def release(self, outcome: str) -> None:
        """Release held closings of calls that the outcome confirms; if the response fails, the calls stay open (ADR 11)."""
        corrected = False
        for closing in self._take_waiting():
            item = self._view.by_id[item_id_of(closing)]
            if item.closed:
                corrected = True  # closed from the final output, with arguments
            elif outcome == grammar.COMPLETED or not _is_unreadable(closing, item):
                self._exit.emit(self._true_to_text(closing, item))
            else:
                corrected = True
                if outcome == grammar.INCOMPLETE and item.kind is grammar.FUNCTION_CALL:
                    self._exit.emit(_as_incomplete(self._true_to_text(closing, item)))
        if corrected:
            self._exit.correct(_NAME)

    def _true_to_text(self, closing: Event, item: ItemView) -> Event:
        """Return a held closing as it is emitted: a done item agrees with the closing of its text, which came before it."""
        if closing.type != grammar.ITEM_DONE or "done_items" in self._off:
            return closing
        said = closing.body["item"]
        done = item_objects.done_item(item, said, text_is_open=False)
        return closing if done is said else closing.having(item=done)

    def forget_unclosed(self) -> None:
        """Forget held closings of texts whose done item never came: such a call is as open as any other."""
        done = {item_id_of(closing): None for closing in self._waiting if closing.type == grammar.ITEM_DONE}
        self._waiting = [closing for closing in self._waiting if item_id_of(closing) in done]
        self._calls = {id_: known for id_, known in self._calls.items() if id_ in done}

    def _take_waiting(self) -> list[Event]:
        """Return what waits, and forget it; of closings that upstream sent again the last, in the place of the first."""
        latest = {(closing.type, item_id_of(closing)): closing for closing in self._waiting}
        self._waiting = []
        self._calls.clear()
        return list(latest.values())

    def ends_in_open_call(self, match: FinalMatch) -> bool:
        """Return whether the last item stays open, or waits to be closed as incomplete.

        A custom tool's call that stays open may be half: nobody knows whether its input is whole.
        """
        item = self._view.items[-1] if self._view.items else None
        if item is None or item.closed or not match.is_last(item):
            return False
        if item.id not in self._calls:
            return item.kind is grammar.CUSTOM_CALL
        return any(
            closing.type == grammar.ITEM_DONE
            and closing.body["item"]["id"] == item.id
            and closing.body["item"].get("status") == INCOMPLETE
            for closing in self._waiting
        )


def note_arguments(closing: Event, item: ItemView) -> None:
    """Remember what the closing of a call says that is not emitted yet: it is surer than its deltas."""
    said = _arguments_in(closing, item) if item.kind.acts else None
    if item.own is not None and type(said) is str and said:
        item.own.waiting = said


def _is_unreadable(event: Event, item: ItemView) -> bool:
    """Return whether a closing calls a call complete but leaves it without readable arguments."""
    if event.type == grammar.ITEM_DONE and event.body["item"].get("status") == INCOMPLETE:
        return False  # upstream itself reports it
    said = _arguments_in(event, item)
    if item.kind is grammar.FUNCTION_CALL:
        return not agreement.are_arguments(str(said or ""))
    # Any input can be read; but if no delta of it came, it may have been lost.
    return said in ("", None) and (item.own is None or item.own.last is None)


def _arguments_in(closing: Event, item: ItemView) -> object:
    """Return the arguments, or the input, in the closing of a call or of its text."""
    run = item.kind.run
    holder: Body = closing.body["item"] if closing.type == grammar.ITEM_DONE else closing.body
    return holder.get(run.field) if run is not None else None


def _as_incomplete(event: Event) -> Event:
    if event.type != grammar.ITEM_DONE:
        return event
    return event.having(item={**event.body["item"], "status": INCOMPLETE})
