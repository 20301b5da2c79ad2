"""The opening of a stream: ``response.created``, then ``response.in_progress``, once each, before anything else.

openai-python: "Expected to have received `response.created` before …"; the fork and gateways leave them out, or send
them with output already in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


class ResponseOpenings(Repair):
    """Tell the opening events that are missing, drop those that come again."""

    __slots__ = ()

    name: ClassVar = "response_openings"
    summary: ClassVar = "`response.created` and `response.in_progress` come first, once each"
    fixes: ClassVar = ("R09", "F01")
    phase: ClassVar = Phase.LIFECYCLE
    handles: ClassVar = None

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Put what is missing ahead of the event."""
        type_ = event.type
        if view.in_progress:
            return [] if type_ in grammar.OPENING else None
        missing: list[Event] = []
        if not view.created and type_ != grammar.CREATED:
            missing.append(synthesis.opening(grammar.CREATED, self._response(event, view)))
        if type_ not in grammar.OPENING:
            missing.append(synthesis.opening(grammar.IN_PROGRESS, self._response(event, view)))
            return [*missing, event]
        if (type_ == grammar.CREATED and view.created) or (type_ == grammar.QUEUED and view.queued):
            return []
        told = _as_opening(event)
        return None if told is None and not missing else [*missing, told or event]

    def _response(self, event: Event, view: ClientView) -> Mapping[str, Any]:
        own = event.body.get("response")
        if view.response is None and isinstance(own, dict) and own.get("id"):
            return synthesis.complete_response(own, view, self.context.request)
        return synthesis.response_so_far(view, self.context.request)


def _as_opening(event: Event) -> Event | None:
    """Return the event with a response that has not begun; None if it is so."""
    response, statuses = event.body["response"], grammar.STATUSES_OF[event.type]
    status = response.get("status")
    known = isinstance(status, str) and status in statuses
    if known and not response.get("output"):
        return None
    wanted = status if known else synthesis.IN_PROGRESS if synthesis.IN_PROGRESS in statuses else "queued"
    return event.having(response={**response, "status": wanted, "output": []})
