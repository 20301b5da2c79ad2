"""Closings that upstream tells too early (R16, R19).

Up to 0.32 a truncated answer's last item is closed as ``completed`` just before the terminal event says ``incomplete``
(R16); from 0.18 to 0.22 the last piece of a call's arguments is in the terminal event only, after the call was closed
without it (R19).

So the closings of an item (text done, part done, item done) wait for the next event. It follows at once: the next item,
or the terminal event, which proves what the item was. No delta is ever held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.grammar import Holder, item_kind
from vllm_sse_proxy.families.responses.moved import HOLD, Moved
from vllm_sse_proxy.families.responses.proof import Proof, is_half, text_of
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
    """Tell an item's closings with the status and the text that the terminal event proves."""

    __slots__ = ("_held",)

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

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Hold a closing; release it with the next event, or let the terminal event's proof take its place."""
        held = self._held
        if event.type in _CLOSINGS and _closes_what_was_told(event, view):
            return self._hold(event)
        if not held:
            return None
        if event.body.get("item_id") == _id_of(held[0]):
            if held[-1].type == grammar.ITEM_DONE or _is_confirmed(held, event, view):
                return []  # upstream has told the whole already
            if event.type in grammar.RUN_OF_DELTA or event.type == grammar.ANNOTATION_ADDED:
                self._held = []  # the item goes on: what closed it was wrong, and is told when it is over
                return [event]
        self._held = []
        if event.type in grammar.TERMINAL:
            return _judge(held, event, view)
        return Moved((*held, event))

    def _hold(self, event: Event) -> Sequence[Event]:
        held = self._held
        if not held or _id_of(held[0]) != _id_of(event):
            self._held = [event]
            return Moved(held)
        if held[-1].type == grammar.ITEM_DONE or any(_is_closed_by(one, event) for one in held):
            return []
        if event.type == grammar.ITEM_DONE and any(_says_less(one, event.body["item"]) for one in held):
            self._held = [event]  # its parts are then closed with the texts that it has
            return []
        held.append(event)
        return HOLD


def _judge(held: list[Event], terminal: Event, view: ClientView) -> Sequence[Event]:
    """Release what the terminal event confirms; drop what it corrects: the item is then closed from the proof."""
    response = terminal.body["response"]
    item = view.by_id.get(_id_of(held[0]))
    account = Proof(view.items, response.get("output")).accounts.get(item.index) if item is not None else None
    done = held[-1]
    if account is not None and any(_says_less(one, account) for one in held):
        return [terminal]
    if done.type != grammar.ITEM_DONE:
        return Moved((*held, terminal))
    if account is not None and _proves_more(account, done.body["item"], item):
        return [terminal]
    # An item that was announced with a status is closed with one; OpenAI's reasoning items never have any.
    lacking = None if item is not None and item.item.get("status") is not None else synthesis.COMPLETED
    cut = (
        synthesis.INCOMPLETE in (response.get("status"), terminal.type.rpartition(".")[2])
        and item_kind(done.body["item"]["type"]) in _CAN_BE_CUT
        and (
            item is None or item is view.items[-1]
        )  # of another one the closings came late, by other repairs
    )
    if (cut or (account is not None and is_half(account, response))) and done.body["item"].get("status") in (
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


def _closes_what_was_told(event: Event, view: ClientView) -> bool:
    """Tell whether item and part are known to the client; else the closing opens them first, and may not wait."""
    item = view.by_id.get(_id_of(event))
    if item is None or event.type == grammar.ITEM_DONE:
        return item is not None
    run = grammar.RUN_OF_DONE.get(event.type)
    if run is not None and run.holder is Holder.ITEM:
        return item.own is not None
    summary = event.type in grammar.SUMMARY_EVENTS
    return part_at(item.summaries if summary else item.parts, _part_index(event)) is not None


def _is_closed_by(held: Event, event: Event) -> bool:
    """Tell whether a held closing says the same again, or closes the part whose text the event would close."""
    if _part_index(held) != _part_index(event):
        return False
    return held.type == event.type or (held.type in _PART_DONE and event.type not in _PART_DONE)


def _says_less(closing: Event, done: Body) -> bool:
    """Tell whether a text's done event holds only the beginning, or nothing, of what the done item has."""
    run = grammar.RUN_OF_DONE.get(closing.type)
    if run is None:
        return False
    holder: object = done
    if run.holder is not Holder.ITEM:
        parts = done.get("summary" if run.holder is Holder.SUMMARY else "content")
        index = _part_index(closing)
        holder = (
            parts[index]
            if isinstance(parts, list) and type(index) is int and 0 <= index < len(parts)
            else None
        )
    return isinstance(holder, dict) and bool(
        synthesis.tail(closing.body[run.done_field], holder.get(run.field))
    )


def _is_confirmed(held: list[Event], delta: Event, view: ClientView) -> bool:
    """Tell whether a held closing says that the text of a delta's part is whole without the delta.

    An empty one says nothing: it is no reason to lose the text that comes after it.
    """
    run = grammar.RUN_OF_DELTA.get(delta.type)
    done = next((one for one in held if run is not None and one.type == run.done), None)
    if run is None or done is None or _part_index(done) != _part_index(delta):
        return False
    text = view.by_id[delta.body["item_id"]].text_at(run, _part_index(delta))
    return text is not None and text.text != "" and done.body[run.done_field] == text.text


def _part_index(event: Event) -> object:
    """Return which part an event is of; None for those that have none, whatever fields they carry."""
    if event.type not in grammar.PART_EVENTS and event.type not in grammar.SUMMARY_EVENTS:
        return None
    return event.body.get("summary_index" if event.type in grammar.SUMMARY_EVENTS else "content_index")


def _proves_more(account: Body, done: Body, item: ItemView | None) -> bool:
    """Tell whether the final item holds more text than the done item."""
    if done["type"] != account["type"]:
        return False
    run = item_kind(done["type"]).run
    if run is None:
        return bool(synthesis.tail(text_of(done), text_of(account)))
    told, said = done.get(run.field), account.get(run.field)
    if not isinstance(told, str) or not isinstance(said, str):
        return False
    streamed = item.own.text if item is not None and item.own is not None else ""
    too_much = synthesis.tail(said, streamed) != "" and synthesis.is_json(said)  # a brace (R49)
    return too_much or bool(synthesis.tail(told, said))
