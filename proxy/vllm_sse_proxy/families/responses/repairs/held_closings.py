"""Closings that upstream sends too early (R16, R19).

Up to 0.32 a truncated answer's last item is closed as ``completed`` just before the terminal event says ``incomplete``
(R16); from 0.18 to 0.22 the last piece of a call's arguments is in the terminal event only, after the call was closed
without it (R19).

So the closings of an item (text done, part done, item done) wait for the next event. It follows at once: the next item,
or the terminal event, which shows what the item was. No delta is ever held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.final_match import match_final, text_of
from vllm_sse_proxy.families.responses.grammar import Holder, item_kind
from vllm_sse_proxy.families.responses.moved import HOLD, Moved
from vllm_sse_proxy.families.responses.outcome import is_cut_short, outcome_of
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair, StreamContext
from vllm_sse_proxy.families.responses.view import part_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView

_CLOSINGS: Final = frozenset(
    {*grammar.RUN_OF_DONE, grammar.PART_DONE, grammar.SUMMARY_DONE, grammar.ITEM_DONE}
)
_PART_DONE: Final = frozenset({grammar.PART_DONE, grammar.SUMMARY_DONE})
_CAN_BE_CUT: Final = (grammar.MESSAGE, grammar.REASONING, grammar.FUNCTION_CALL, grammar.CUSTOM_CALL)


class HeldClosings(Repair):
    """Emit an item's closings with the status and the text that the terminal event shows."""

    __slots__ = ("_held", "_places")

    name: ClassVar = "held_closings"
    summary: ClassVar = (
        "the last item closes with the status and the whole text that the terminal event proves"
    )
    fixes: ClassVar = ("R16", "R19")
    phase: ClassVar = Phase.LIFECYCLE
    handles: ClassVar = None
    holds: ClassVar = True

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._held: list[Event] = []
        self._places: dict[object, None] = {}
        """what the held closings close"""

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Hold a closing; release it with the next event, or let what the terminal event shows take its place."""
        held = self._held
        if event.type in _CLOSINGS and _closes_what_was_announced(event, view):
            return self._hold(event)
        if not held:
            return None
        if event.body.get("item_id") == _id_of(held[0]):
            if held[-1].type == grammar.ITEM_DONE or _is_confirmed(held, event, view):
                return []  # upstream has sent the whole already
            if event.type in grammar.RUN_OF_DELTA or event.type == grammar.ANNOTATION_ADDED:
                self._held = []  # the item goes on: what closed it was wrong, and comes when it is over
                return [event]
        self._held = []
        if event.type in grammar.TERMINAL:
            return _judge(held, event, view)
        return Moved((*held, event))

    def _hold(self, event: Event) -> Sequence[Event]:
        held = self._held
        if not held or _id_of(held[0]) != _id_of(event):
            self._held = [event]
            self._places = {_place_of(event): None}
            return Moved(held)
        if held[-1].type == grammar.ITEM_DONE or self._is_closed(event):
            return []
        if event.type == grammar.ITEM_DONE and any(_says_less(one, event.body["item"]) for one in held):
            self._held = [event]  # its parts are then closed with the texts that it has
            return []
        held.append(event)
        self._places[_place_of(event)] = None
        return HOLD

    def _is_closed(self, event: Event) -> bool:
        """Return whether a held closing says the same again, or closes the part whose text the event would close."""
        if _place_of(event) in self._places:
            return True
        run = grammar.RUN_OF_DONE.get(event.type)
        return run is not None and run.holder is not Holder.ITEM and _part_of(event) in self._places


def _judge(held: list[Event], terminal: Event, view: ClientView) -> Sequence[Event]:
    """Release what the terminal event confirms; drop what it corrects: the item is then closed from its account."""
    response = terminal.body["response"]
    item = view.by_id[_id_of(held[0])]
    match = match_final(view, response.get("output"))
    account = match.accounts.get(item.index)
    done = held[-1]
    if account is not None and any(_says_less(one, account) for one in held):
        return [terminal]
    if done.type != grammar.ITEM_DONE:
        return Moved((*held, terminal))
    if account is not None and _says_more(account, done.body["item"], item):
        return [terminal]
    # An item that was announced with a status is closed with one; OpenAI's reasoning items never have any.
    lacking = None if item.item.get("status") is not None else synthesis.COMPLETED
    cut = (
        outcome_of(terminal) == grammar.INCOMPLETE
        and item_kind(done.body["item"]["type"]) in _CAN_BE_CUT
        and match.is_last(item)  # of another one the closings came late, by other repairs
    )
    if (cut or (account is not None and is_cut_short(account, response))) and done.body["item"].get(
        "status"
    ) in (
        synthesis.COMPLETED,
        lacking,
    ):
        incomplete = done.having(item={**done.body["item"], "status": synthesis.INCOMPLETE})
        return [*held[:-1], incomplete, terminal]
    return Moved((*held, terminal))


def _id_of(event: Event) -> str:
    """Return the client's id of the item that a closing is of."""
    id_: str = event.body["item"]["id"] if event.type == grammar.ITEM_DONE else event.body["item_id"]
    return id_


def _closes_what_was_announced(event: Event, view: ClientView) -> bool:
    """Return whether the client knows item and part; else the closing opens them first, and may not wait."""
    item = view.by_id.get(_id_of(event))
    if item is None or event.type == grammar.ITEM_DONE:
        return item is not None
    run = grammar.RUN_OF_DONE.get(event.type)
    if run is not None and run.holder is Holder.ITEM:
        return item.own is not None
    summary = event.type in grammar.SUMMARY_EVENTS
    return part_at(item.summaries if summary else item.parts, _part_index(event)) is not None


def _place_of(event: Event) -> object:
    """Return what a closing closes: two with the same place are the same closing."""
    return _part_of(event) if event.type in _PART_DONE else (event.type, False, _part_index(event))


def _part_of(event: Event) -> object:
    return ("part", event.type in grammar.SUMMARY_EVENTS, _part_index(event))


def _says_less(closing: Event, account: Body) -> bool:
    """Return whether a text's done event holds only the beginning, or nothing, of what an account of its item has."""
    run = grammar.RUN_OF_DONE.get(closing.type)
    if run is None:
        return False
    holder: object = account
    if run.holder is not Holder.ITEM:
        parts = account.get("summary" if run.holder is Holder.SUMMARY else "content")
        index = _part_index(closing)
        holder = (
            parts[index] if type(parts) is list and type(index) is int and 0 <= index < len(parts) else None
        )
    said = closing.body[run.done_field]
    if type(holder) is not dict or (run.is_json and said and synthesis.is_json(said)):
        return False  # what can be read is whole
    return bool(synthesis.tail(said, holder.get(run.field)))


def _is_confirmed(held: list[Event], delta: Event, view: ClientView) -> bool:
    """Return whether a held closing says that the text of a delta's part is whole without the delta.

    An empty one says nothing: it is no reason to lose the text that comes after it.
    """
    run = grammar.RUN_OF_DELTA.get(delta.type)
    index = _part_index(delta)
    done = next(
        (one for one in held if run is not None and one.type == run.done and _part_index(one) == index), None
    )
    if run is None or done is None:
        return False
    text = view.by_id[delta.body["item_id"]].text_at(run, index)
    return text is not None and text.text != "" and done.body[run.done_field] == text.text


def _part_index(event: Event) -> object:
    """Return which part an event is of; None for those that have none, whatever fields they carry."""
    if event.type not in grammar.PART_EVENTS and event.type not in grammar.SUMMARY_EVENTS:
        return None
    return event.body.get("summary_index" if event.type in grammar.SUMMARY_EVENTS else "content_index")


def _says_more(account: Body, done: Body, item: ItemView) -> bool:
    """Return whether the final item holds more than the done item: more text, or arguments that can be read."""
    if done["type"] != account.get("type"):
        return False
    kind = item_kind(done["type"])
    run = kind.run
    if run is None:
        adds_summary = bool(account.get("summary")) and not done.get("summary") and not item.summaries
        return adds_summary or bool(synthesis.tail(text_of(done), text_of(account)))
    said, final = done.get(run.field), account.get(run.field)
    if type(said) is not str or type(final) is not str:
        return False
    if run.is_json:
        # Those that were emitted stand, if they can be read (issue 12, K6); a brace too many makes them unreadable (R49).
        return not synthesis.is_json(said) and synthesis.is_json(final)
    streamed = item.own.text if item.own is not None else ""
    return bool(synthesis.tail(final, streamed) or synthesis.tail(said, final))
