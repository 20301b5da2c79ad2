"""Events that come twice, or after their item, part or response is over.

Clients take the first: openai-python raises "Duplicate response output index", LlamaIndex loses the answer to any
event after ``response.completed``, LangChain shows a doubled text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.events import END
from vllm_sse_proxy.families.responses.grammar import Holder
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair
from vllm_sse_proxy.families.responses.view import part_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView


class LateEvents(Repair):
    """Drop what the client has heard already, or may not hear any more."""

    __slots__ = ()

    name: ClassVar = "late_events"
    summary: ClassVar = "duplicates, and events after the end of their item, part or response, are dropped"
    fixes: ClassVar = ("R08",)
    phase: ClassVar = Phase.LIFECYCLE
    handles: ClassVar = None
    needed: ClassVar = "what other repairs insert makes upstream's own event for it a second one"

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return nothing for a late event; what follows an error but is no ``response.failed`` ends the stream as failed."""
        type_, body = event.type, event.body
        if view.terminal is not None:
            return []
        if view.error is not None and type_ not in (grammar.FAILED, END):
            if type_ == grammar.ERROR:
                return []
            response = synthesis.response_so_far(view, self.context.request)
            return [synthesis.failed(response, view.error.get("error") or view.error)]
        if type_ in grammar.ITEM_ID_EVENTS:
            item = view.by_id.get(body["item_id"])
            return [] if item is not None and (item.closed or _is_late(event, item)) else None
        if type_ in grammar.ITEM_EVENTS:  # a shell call's command: named by its index alone
            index = body["output_index"]
            return [] if 0 <= index < len(view.items) and view.items[index].closed else None
        if type_ == grammar.ITEM_ADDED:
            return [] if body["item"].get("id") in view.by_id else None
        if type_ == grammar.ITEM_DONE:
            item = view.by_id.get(body["item"].get("id"))
            return [] if item is not None and item.closed else None
        return None


def _is_late(event: Event, item: ItemView) -> bool:
    type_, body = event.type, event.body
    run = grammar.RUN_OF_EVENT.get(type_)
    if run is not None and run.holder is Holder.ITEM:
        return item.own is not None and item.own.done
    if type_ not in grammar.PART_EVENTS and type_ not in grammar.SUMMARY_EVENTS:
        return _is_behind(type_, item)
    summary = type_ in grammar.SUMMARY_EVENTS
    part = part_at(
        item.summaries if summary else item.parts, body["summary_index" if summary else "content_index"]
    )
    if part is None:
        return False
    if type_ in (grammar.PART_DONE, grammar.SUMMARY_DONE):
        return part.closed
    if type_ in (grammar.PART_ADDED, grammar.SUMMARY_ADDED):
        return True
    return part.done


def _is_behind(type_: str, item: ItemView) -> bool:
    """Tell whether an event says of the item what it is past; OpenAI itself says mcp_call.in_progress twice."""
    order = (*item.kind.progress, *item.kind.finish)
    if type_ not in order:
        return False
    ahead = order[order.index(type_) + (type_ == "response.mcp_call.in_progress") :]
    return any(told in ahead for told in item.progress)
