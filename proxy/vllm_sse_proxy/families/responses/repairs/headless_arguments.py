"""Arguments of a call without their beginning (R12).

The harmony path of vLLM 0.11.1 to 0.13 drops the first delta of a call's arguments: ``: "Par``, ``is"}``, then a done event
with ``{"city": "Paris"}``. LangChain and pydantic-ai join the deltas alone, and refuse or lose the call.

Nothing can be put before a delta that was told. But the arguments of a function are a JSON object: deltas that do not begin as
one are of no use to anybody until the done event, so they wait for it, and all of it is told as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.families.responses.moved import HOLD, Moved
from vllm_sse_proxy.families.responses.repairs.base import MAX_HELD_DELTAS, Phase, Repair, Seen, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView

_RUN: Final = grammar.FUNCTION_ARGUMENTS


class HeadlessArguments(Repair):
    """Tell arguments whose first delta was lost when the whole of them is known."""

    __slots__ = ("_begun", "_held")

    name: ClassVar = "headless_arguments"
    summary: ClassVar = "arguments of a call whose first delta was lost are told whole, in one delta"
    fixes: ClassVar = ("R12",)
    phase: ClassVar = Phase.IDENTITY
    handles: ClassVar = None
    holds: ClassVar = True

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._begun: Seen = {}
        """ids of the calls whose first delta was told"""
        self._held: list[Event] = []
        """deltas of one call, with nothing else between them"""

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Hold deltas that do not begin an object; release them, whole, with what closes them."""
        held = self._held
        if (
            event.type == _RUN.delta
            and type(event.body.get("delta")) is str
            and self._is_headless(event, view)
        ):
            held.append(event)
            if len(held) <= MAX_HELD_DELTAS:
                return HOLD
            return Moved(self._release())
        if (
            not held or event.type in grammar.OPENING
        ):  # the beginning of the response, told late, ends no call
            return None
        whole = _whole_of(held[0].body["item_id"], event, view)
        self._release()
        told = "".join(one.body["delta"] for one in held)
        if isinstance(whole, str) and told in whole and not whole.startswith(told):
            return [held[0].having(delta=whole), event]
        return Moved((*held, event))

    def _is_headless(self, event: Event, view: ClientView) -> bool:
        """Tell whether a delta goes on with those that are held, or is the first of a call and begins no object."""
        id_ = event.body["item_id"]
        if self._held:
            return bool(self._held[0].body["item_id"] == id_)
        item = view.by_id.get(id_)
        if id_ in self._begun or item is None or item.closed:
            return False  # what is told of a call before its announcement is dropped, and begins nothing
        if event.body["delta"].lstrip()[:1] in ("", "{"):
            self._begun[id_] = None
            return False
        return True

    def _release(self) -> list[Event]:
        held, self._held = self._held, []
        self._begun[held[0].body["item_id"]] = None
        return held


def _whole_of(id_: str, event: Event, view: ClientView) -> object:
    """Return the arguments of a call as the event has them; None if it does not say."""
    if event.type == _RUN.done and event.body["item_id"] == id_:
        return event.body.get(_RUN.done_field)
    if event.type == grammar.ITEM_DONE and event.body["item"].get("id") == id_:
        return event.body["item"].get(_RUN.field)
    if event.type in grammar.TERMINAL:
        match = match_final(view, event.body["response"].get("output"))
        account = match.accounts.get(view.by_id[id_].index)
        return None if account is None else account.get(_RUN.field)
    return None
