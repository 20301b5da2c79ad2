"""Items that exist only in the terminal event (R03, R09e, R10, R20, R21).

A cut harmony call, a preamble, the answer that a step with several tokens swallowed: in ``response.output``, never
streamed. The AI SDK and Codex never look there ("empty answer", "the tool is never run").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.families.responses.grammar import item_kind
from vllm_sse_proxy.families.responses.outcome import is_cut_short, outcome_of
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
            for item in match_final(view, response.get("output")).unsent
            if isinstance(item.get("type"), str) and _has_name(item)
        ]
        if not untold:
            return None
        cut = outcome_of(event) != grammar.COMPLETED
        events: list[Event] = []
        names: dict[str, None] = {}
        for offset, item in enumerate(untold):
            last = offset == len(untold) - 1
            index = len(view.items) + offset
            status = synthesis.INCOMPLETE if (cut and last) or is_cut_short(item, response) else None
            events += synthesis.life_of_item(index, self._named(item, index, view, names), status=status)
        return [*events, event]

    def _named(self, item: Body, index: int, view: ClientView, taken: dict[str, None]) -> Body:
        """Return the item with an id that the client does not know yet, and a call with a call_id of its own.

        :param taken: the ids and call_ids of the items before it that were not sent either.
        """
        kind = item_kind(item.get("type"))
        seed = view.response_id or self.context.request.seed
        names: Body = {}
        id_, call_id = item.get("id"), item.get("call_id")
        if not isinstance(id_, str) or not id_ or id_ in view.by_id or f"id {id_}" in taken:
            names["id"] = synthesis.derive_id(kind.id_prefix, seed, index)
        if "call_id" in kind.required and (
            not isinstance(call_id, str)
            or not call_id
            or call_id in view.by_call_id
            or f"call {call_id}" in taken
        ):
            names["call_id"] = synthesis.derive_id("call", seed, index)
        taken[f"id {id_}"] = taken[f"call {call_id}"] = None
        if kind.acts and kind.run is not None and not isinstance(item.get(kind.run.field), str):
            names[kind.run.field] = ""
        return {**item, **names} if names else item


def _has_name(item: Body) -> bool:
    """Tell whether a call that must have a name has one: names are never guessed."""
    name = item.get("name")
    return "name" not in item_kind(item.get("type")).required or (isinstance(name, str) and name != "")
