"""Closings of an item, held until the next event shows whether they are right (correction ``held_closings``).

Text done, part done and item done of one item wait together. What follows at once is the next item, or the terminal event, or
more of the same item: then its closing came too early, and is emitted when the item is over. The terminal event shows what the
item was. A closing that says less than that is dropped, so that the item is closed from its account (ADR 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses import agreement, grammar
from vllm_sse_proxy.families.responses.events import item_id_of
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.families.responses.grammar import Holder, item_kind
from vllm_sse_proxy.families.responses.item_fields import COMPLETED, INCOMPLETE
from vllm_sse_proxy.families.responses.item_texts import text_of, with_text_in_place
from vllm_sse_proxy.families.responses.outcome import is_cut_short, outcome_of
from vllm_sse_proxy.families.responses.unreadable_calls import note_arguments
from vllm_sse_proxy.families.responses.view import part_at, part_index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView, ItemView
    from vllm_sse_proxy.stream.context import Seen, StreamContext
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.exit import Exit

CLOSINGS: Final = frozenset({*grammar.RUN_OF_DONE, *grammar.PARTS_DONE, grammar.ITEM_DONE})
"""The events that may be held."""
_CAN_BE_CUT: Final = (*grammar.TEXT_KINDS, *grammar.CLIENT_CALLS)
_NAME: Final = "held_closings"


class HeldClosings:
    """Hold the closings of one item until the next event.

    :ivar held: the closings, in order.
    """

    __slots__ = ("_exit", "_off", "_places", "_view", "held")

    def __init__(self, context: StreamContext, view: ClientView, exit_: Exit) -> None:
        self._off = context.disabled
        self._view = view
        self._exit = exit_
        self.held: list[Event] = []
        self._places: Seen = {}
        """what they close"""

    def take(self, event: Event) -> Sequence[Event]:
        """Return the events that go on now; none for a closing that is held."""
        if event.type in CLOSINGS and self._closes_what_was_announced(event):
            return self._hold(event)
        return self._release_for(event) if self.held else (event,)

    def give_up(self) -> list[Event]:
        """Return what is held, and hold nothing."""
        held, self.held = self.held, []
        return held

    def _closes_what_was_announced(self, event: Event) -> bool:
        """Return whether item and part have been announced; otherwise the closing opens them, and must not be held."""
        if _NAME in self._off:
            return False
        item = self._view.by_id.get(item_id_of(event))
        if item is None or event.type == grammar.ITEM_DONE:
            return item is not None
        run = grammar.RUN_OF_DONE.get(event.type)
        if run is not None and run.holder is Holder.ITEM:
            return item.own is not None
        return part_at(item.parts_of(event), part_index(event)) is not None

    def _hold(self, event: Event) -> Sequence[Event]:
        """Hold a closing; return the closings of another item that were held."""
        held = self.held
        if not held or item_id_of(held[0]) != item_id_of(event):
            self.held = [event]
            self._places = {_place_of(event): None}
            return held
        if held[-1].type == grammar.ITEM_DONE or self._is_closed(event):
            self._exit.drop(_NAME, event)
        elif event.type == grammar.ITEM_DONE and any(_says_less(one, event.body["item"]) for one in held):
            self._exit.drop(_NAME, event)
            self.held = [event]  # its parts are then closed with its texts
        else:
            held.append(event)
            self._places[_place_of(event)] = None
        return ()

    def _is_closed(self, event: Event) -> bool:
        """Return whether an event repeats a held closing, or closes a text whose part has a held closing."""
        if _place_of(event) in self._places:
            return True
        run = grammar.RUN_OF_DONE.get(event.type)
        return run is not None and run.holder is not Holder.ITEM and _part_place_of(event) in self._places

    def _release_for(self, event: Event) -> Sequence[Event]:
        """Release or drop what is held, as the next event demands; return what goes on, the event itself behind it."""
        held = self.held
        if event.body.get("item_id") == item_id_of(held[0]):
            if held[-1].type == grammar.ITEM_DONE or self._is_confirmed(event):
                self._exit.drop(_NAME, event)  # upstream has sent the whole text already
                return ()
            if event.type in grammar.RUN_OF_DELTA or event.type == grammar.ANNOTATION_ADDED:
                self.held = []  # the item goes on: its closing came too early, and is emitted when the item is over
                self._exit.correct(_NAME)
                return (event,)
        self.held = []
        return (*(self._judged(held, event) if event.type in grammar.TERMINAL else held), event)

    def _is_confirmed(self, delta: Event) -> bool:
        """Return whether a held closing confirms that the text of a delta's part is complete without the delta.

        An empty closing confirms nothing, so the text that comes after it is kept.
        """
        run = grammar.RUN_OF_DELTA.get(delta.type)
        if run is None:
            return False
        index = part_index(delta)
        for closing in self.held:
            if closing.type == run.done and part_index(closing) == index:
                text = self._view.by_id[delta.body["item_id"]].text_at(run, index)
                return text is not None and text.text != "" and closing.body[run.done_field] == text.text
        return False

    def _judged(self, held: list[Event], terminal: Event) -> Sequence[Event]:
        """Return held closings that the terminal event confirms; none where the item must be closed from its account."""
        response = terminal.body["response"]
        item = self._view.by_id[item_id_of(held[0])]
        for closing in held:
            note_arguments(closing, item)
        account = match_final(self._view, response.get("output")).accounts.get(item.index)
        done = held[-1]
        if account is not None and (
            any(_says_less(one, account) for one in held)
            or (done.type == grammar.ITEM_DONE and _says_more(account, done.body["item"], item))
        ):
            self._exit.correct(_NAME)
            return ()
        if done.type == grammar.ITEM_DONE and self._was_cut(done, item, account, terminal):
            self._exit.correct(_NAME)
            held[-1] = done.having(item={**done.body["item"], "status": INCOMPLETE})
        return held

    def _was_cut(self, done: Event, item: ItemView, account: Body | None, terminal: Event) -> bool:
        """Return whether upstream closed an item as completed that was cut short according to the terminal event."""
        # An item that was announced with a status is closed with one; OpenAI's reasoning items never have any.
        lacking = None if item.item.get("status") is not None else COMPLETED
        if done.body["item"].get("status") not in (COMPLETED, lacking):
            return False
        response = terminal.body["response"]
        if account is not None and is_cut_short(account, response):
            return True
        return (
            (terminal.type if "terminal_types" in self._off else outcome_of(terminal)) == grammar.INCOMPLETE
            and item_kind(done.body["item"]["type"]) in _CAN_BE_CUT
            and match_final(self._view, response.get("output")).is_last(
                item
            )  # if it is another item, its closings came late
            and not any(other.item.get("status") == INCOMPLETE for other in self._view.items)
        )


def _place_of(event: Event) -> object:
    """Return what a closing closes: two closings of one place are the same closing."""
    return (
        _part_place_of(event) if event.type in grammar.PARTS_DONE else (event.type, False, part_index(event))
    )


def _part_place_of(event: Event) -> object:
    return ("part", event.type in grammar.SUMMARY_EVENTS, part_index(event))


def _says_less(closing: Event, account: Body) -> bool:
    """Return whether a text's done event is empty, or only the beginning of the text in an account of its item."""
    run = grammar.RUN_OF_DONE.get(closing.type)
    if run is None:
        return False
    holder: object = account
    if run.holder is not Holder.ITEM:
        parts = account.get("summary" if run.holder is Holder.SUMMARY else "content")
        index = part_index(closing)
        holder = (
            parts[index] if type(parts) is list and type(index) is int and 0 <= index < len(parts) else None
        )
    said = closing.body[run.done_field]
    if type(holder) is not dict or (run.is_json and said and agreement.are_arguments(said)):
        return False  # arguments that can be read are whole
    return bool(agreement.tail(said, holder.get(run.field)))


def _says_more(account: Body, done: Body, item: ItemView) -> bool:
    """Return whether the final item holds more than the done item: more text, or readable arguments."""
    if done["type"] != account.get("type"):
        return False
    kind = item_kind(done["type"])
    run = kind.run
    if run is None:
        account = with_text_in_place(account, item)
        adds_summary = bool(account.get("summary")) and not done.get("summary") and not item.summaries
        return adds_summary or bool(agreement.tail(text_of(done), text_of(account)))
    said, final = done.get(run.field), account.get(run.field)
    if type(said) is not str or type(final) is not str:
        return False
    if run.is_json:
        # Emitted arguments are kept if they can be read (issue 12, K6); a brace too many makes them unreadable (R49).
        return not agreement.are_arguments(said) and agreement.are_arguments(final)
    streamed = item.own.text if item.own is not None else ""
    return bool(agreement.tail(final, streamed) or agreement.tail(said, final))
