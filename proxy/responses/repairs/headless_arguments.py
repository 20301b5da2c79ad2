"""Arguments of a call without their beginning (R12).

The harmony path of vLLM 0.11.1 to 0.13 drops the first delta of a call's arguments: ``: "Par``, ``is"}``, then a done event
with ``{"city": "Paris"}``. LangChain and pydantic-ai join the deltas alone, and refuse or lose the call.

Nothing can be put before a delta that was told. But the arguments of a function are a JSON object: deltas that do not begin as
one are of no use to anybody until the done event, so they wait for it, and all of it is told as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from proxy.responses import grammar
from proxy.responses.events import END
from proxy.responses.proof import Proof
from proxy.responses.repairs.base import HOLD, MAX_HELD_DELTAS, Moved, Phase, Repair, StreamContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.responses.events import Event
    from proxy.responses.view import ClientView, ItemView

_RUN: Final = grammar.FUNCTION_ARGUMENTS


class HeadlessArguments(Repair):
    """Tell arguments whose first delta was lost when the whole of them is known."""

    name: ClassVar = "headless_arguments"
    summary: ClassVar = "arguments of a call whose first delta was lost are told whole, in one delta"
    fixes: ClassVar = ("R12",)
    phase: ClassVar = Phase.IDENTITY
    handles: ClassVar = frozenset(
        {_RUN.delta, _RUN.done, grammar.ITEM_DONE, *grammar.TERMINAL, grammar.ERROR, END}
    )
    reads_deltas: ClassVar = True

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._begun: set[str] = set()
        """ids of the calls that were begun as a JSON object, or are over"""
        self._held: dict[str, list[Event]] = {}

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Hold deltas that do not begin an object; release them, whole, with what closes them."""
        if event.type == _RUN.delta:
            return self._take(event, view)
        if event.type in (_RUN.done, grammar.ITEM_DONE):
            closing = event.body if event.type == _RUN.done else event.body["item"]
            id_ = str(event.body["item_id"] if event.type == _RUN.done else closing.get("id"))
            if id_ not in view.by_id:
                return None
            if event.type == grammar.ITEM_DONE:
                self._begun.add(id_)
            wholes = {id_: closing.get(_RUN.done_field)} if id_ in self._held else {}
        else:
            wholes = dict.fromkeys(self._held)
            if event.type in grammar.TERMINAL and wholes:
                accounts = Proof(view.items, event.body["response"].get("output")).accounts
                wholes = {id_: _arguments_of(view.by_id.get(id_), accounts) for id_ in wholes}
        if not wholes:
            return None
        told = [self._release(id_, whole) for id_, whole in wholes.items()]
        events = (*(one for deltas, _ in told for one in deltas), event)
        return list(events) if any(mended for _, mended in told) else Moved(events)

    def _take(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        id_, delta = event.body["item_id"], event.body["delta"]
        if id_ in self._begun or not delta or id_ not in view.by_id:
            return None  # what is told of a call before its announcement is dropped, and begins nothing
        if id_ not in self._held and delta.lstrip()[:1] in ("", "{"):
            self._begun.add(id_)
            return None
        held = self._held.setdefault(id_, [])
        held.append(event)
        return HOLD if len(held) <= MAX_HELD_DELTAS else Moved(self._release(id_, None)[0])

    def _release(self, id_: str, whole: object) -> tuple[list[Event], bool]:
        """Return what is held of a call, and whether the beginning that was lost is in it."""
        held = self._held.pop(id_)
        self._begun.add(id_)
        told = "".join(event.body["delta"] for event in held)
        if isinstance(whole, str) and told in whole and not whole.startswith(told):
            return [held[0].having(delta=whole)], True
        return held, False


def _arguments_of(item: ItemView | None, accounts: Mapping[int, Mapping[str, Any]]) -> object:
    account = accounts.get(item.index) if item is not None else None
    return None if account is None else account.get(_RUN.done_field)
