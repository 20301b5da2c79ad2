"""Calls that are streamed again under their ``call_id`` (R52).

Clients run a call when it closes, and answer it by its ``call_id``: a call that comes twice is run twice (issue 12, K5). A
call with the ``call_id`` and the name of one that came before is held until its arguments are whole. If they are the same, it
is that call again and is left out, whatever its item's id is; if the earlier call broke off in them, it goes on with the rest.
Otherwise it is another call, and gets a ``call_id`` of its own when it leaves
(:mod:`~vllm_sse_proxy.families.responses.address`): the answer to one would be taken for the other's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.agreement import are_arguments, canonical_json
from vllm_sse_proxy.families.responses.events import item_id_of, object_in
from vllm_sse_proxy.stream.event import COMMENT
from vllm_sse_proxy.stream.repair import HOLD, PASS, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView, ItemView, RunView
    from vllm_sse_proxy.stream.context import Seen, StreamContext
    from vllm_sse_proxy.stream.event import Event

_CALLS: Final = (grammar.FUNCTION_CALL.type, grammar.CUSTOM_CALL.type)
_RUNS: Final = (grammar.FUNCTION_ARGUMENTS, grammar.CUSTOM_INPUT)
_RUN_OF: Final = dict(zip(_CALLS, _RUNS, strict=True))
_DELTAS: Final = frozenset(run.delta for run in _RUNS)
_OF_A_CALL: Final = frozenset(type_ for run in _RUNS for type_ in (run.delta, run.done))


class RepeatedCalls(Repair):
    """Leave out a call that comes again."""

    __slots__ = ("_ended", "_left_out")

    name: ClassVar = "repeated_calls"
    summary: ClassVar = "a call that upstream streams again under its `call_id` is emitted once"
    fixes: ClassVar = ("R52",)
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._ended: Seen = {}
        """upstream's ids of the calls that it has closed"""
        self._left_out: Seen = {}
        """upstream's ids of the items that are left out"""

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | Verdict | None:
        """Hold a call that may be an earlier one; its closing shows whether it is."""
        type_ = event.type
        if type_ is COMMENT or type_ in grammar.OPENING:
            return PASS
        if not self.held:
            if type_ == grammar.ITEM_ADDED:
                return HOLD if self._earlier(event, view) is not None else None
            if type_ == grammar.ITEM_DONE and object_in(event.body, "item").get("type") in _CALLS:
                self._ended[item_id_of(event)] = None
            is_late = bool(self._left_out) and type_ in _OF_A_CALL and item_id_of(event) in self._left_out
            return [] if is_late else None
        if self._belongs(event, view):
            return HOLD
        if type_ == grammar.ITEM_DONE and self._is_closed_by(event, view):
            call = self._earlier(self.held[0], view)
            made = None if call is None or call.own is None else _once(call, call.own, self.held, event)
            if made is not None:
                self._leave_out()
            return made
        if type_ in grammar.TERMINAL and self._begins_again(view):
            self._leave_out()
            return [event]
        return None

    def _earlier(self, announcement: Event, view: ClientView) -> ItemView | None:
        """Return the call of the same ``call_id`` and name that another item was; None if there is none.

        A call without arguments so far, or of the same id and still open, is merely announced again, which the second station
        corrects.
        """
        item = object_in(announcement.body, "item")
        call_id: Any = item.get("call_id")
        call = view.by_call_id.get(call_id) if item.get("type") in _CALLS and type(call_id) is str else None
        if call is None or call.own is None or not (call.closed or call.own.length):
            return None
        if call.id == item.get("id") and call.id not in self._ended:
            return None
        return call if (call.type, call.item.get("name")) == (item["type"], item.get("name")) else None

    def _begins_again(self, view: ClientView) -> bool:
        """Return whether a call that broke off has nothing but the beginning of an earlier one that is whole."""
        call = self._earlier(self.held[0], view)
        own = call.own.text if call is not None and call.own is not None else ""
        return are_arguments(own) and own.startswith(_pieces(self.held))

    def _belongs(self, event: Event, view: ClientView) -> bool:
        """Return whether an event announces the held call again, or is of a call that the client does not know."""
        id_ = item_id_of(event)
        is_named = id_ == item_id_of(self.held[0])
        if event.type == grammar.ITEM_ADDED:
            return is_named and id_ != ""
        return event.type in _OF_A_CALL and (is_named or id_ not in view.by_id)

    def _leave_out(self) -> None:
        """Leave out what is held, and what comes of it later."""
        for event in self.take():
            id_ = item_id_of(event)
            if id_:
                self._left_out[id_] = None

    def _is_closed_by(self, done: Event, view: ClientView) -> bool:
        """Return whether a done item is the held call.

        It is if it has the ``call_id``, an id of the held events, or neither a known one nor another place: ids may change in
        the middle of a call (R12).
        """
        item, call_id = object_in(done.body, "item"), object_in(self.held[0].body, "item")["call_id"]
        if item.get("call_id") == call_id:
            return True
        id_ = item_id_of(done)
        if any(item_id_of(event) == id_ for event in self.held):
            return id_ != ""
        is_known = id_ in view.by_id or item.get("call_id") in view.by_call_id
        return not is_known and done.body.get("output_index") == self.held[0].body.get("output_index")


def _pieces(held: Sequence[Event]) -> str:
    """Return the arguments, or the input, in the deltas of a call."""
    pieces = [event.body.get("delta") for event in held if event.type in _DELTAS]
    return "".join([piece for piece in pieces if type(piece) is str])


def _once(call: ItemView, sent: RunView, held: Sequence[Event], done: Event) -> list[Event] | None:
    """Return what of a call that is whole now an earlier one lacks; None if they ask for different things.

    That is nothing, or the rest of a call in whose middle the sender began again.

    :param sent: what was emitted of the earlier one's arguments.
    """
    run = _RUN_OF[call.type]
    item = object_in(done.body, "item")
    said = item.get(run.field)
    if type(said) is not str or not said:
        said = _pieces(held)
    own = sent.text
    if said == own or (run.is_json and canonical_json(said) == canonical_json(own) is not None):
        return []
    if call.closed or sent.done or not said.startswith(own):
        return None
    made = [event.having(item_id=call.id) for event in held if event.type in (run.delta, run.done)]
    first = made[0] if made and made[0].type == run.delta else None
    rest = [] if first is None else [first.having(delta=said[len(own) :])]
    closing = done.having(item={**item, "id": call.id, run.field: said})
    return [*rest, *(event for event in made if event.type == run.done), closing]
