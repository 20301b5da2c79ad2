"""Items that exist only in the terminal event (R03, R09e, R10, R20, R21).

A cut harmony call, a preamble, the answer that a step with several tokens swallowed: in ``response.output``, never
streamed. The AI SDK and Codex never look there ("empty answer", "the tool is never run").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.grammar import item_kind
from vllm_sse_proxy.families.responses.proof import Proof, is_half
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView


class UntoldItems(Repair):
    """Tell the whole life of every item that only the terminal event shows."""

    __slots__ = ()

    name: ClassVar = "untold_items"
    summary: ClassVar = "items that only the terminal event shows get their whole life before it"
    fixes: ClassVar = ("R03", "R09", "R10", "R17", "R20", "R21", "R37", "R45")
    phase: ClassVar = Phase.TERMINAL
    handles: ClassVar = grammar.TERMINAL

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Put the lives of untold items ahead of the terminal event."""
        if event.invented:
            return None
        response = event.body["response"]
        untold = [
            item
            for item in Proof(view.items, response.get("output")).untold
            if isinstance(item.get("type"), str) and _has_name(item)
        ]
        if not untold:
            return None
        cut = event.type != grammar.COMPLETED
        events: list[Event] = []
        for offset, item in enumerate(untold):
            last = offset == len(untold) - 1
            index = len(view.items) + offset
            status = synthesis.INCOMPLETE if (cut and last) or is_half(item, response) else None
            events += synthesis.life_of_item(index, self._named(item, index, view), status=status)
        return [*events, event]

    def _named(self, item: Body, index: int, view: ClientView) -> Body:
        """Return the item with an id that the client does not know yet, and a call with the call_id that it must have."""
        kind = item_kind(item.get("type"))
        seed = view.response_id or self.context.request.seed
        names: Body = {}
        id_, call_id = item.get("id"), item.get("call_id")
        if not isinstance(id_, str) or not id_ or id_ in view.by_id:
            names["id"] = synthesis.derive_id(kind.id_prefix, seed, index)
        if "call_id" in kind.required and not (isinstance(call_id, str) and call_id):
            names["call_id"] = synthesis.derive_id("call", seed, index)
        if kind.acts and kind.run is not None and not isinstance(item.get(kind.run.field), str):
            names[kind.run.field] = ""
        return {**item, **names} if names else item


def _has_name(item: Body) -> bool:
    """Tell whether a call that must have a name has one: names are never guessed."""
    name = item.get("name")
    return "name" not in item_kind(item.get("type")).required or (isinstance(name, str) and name != "")
