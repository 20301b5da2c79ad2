"""Terminal events whose type does not say what ``response.status`` says (R15, R02, R48).

Up to 0.32 a truncated response ends with ``response.completed``: gateways report ``finish_reason: stop`` for half an
answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.families.responses.grammar import STATUSES_OF
from vllm_sse_proxy.families.responses.outcome import ends_in_half, hit_token_limit, outcome_of
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView


class TerminalTypes(Repair):
    """Give the terminal event the type of its status; a status that no terminal event has becomes that of the type."""

    __slots__ = ()

    name: ClassVar = "terminal_types"
    summary: ClassVar = "the terminal event's type agrees with `response.status`"
    fixes: ClassVar = ("R15", "R02", "R48")
    phase: ClassVar = Phase.TERMINAL
    handles: ClassVar = grammar.TERMINAL

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with type and status in agreement, with the error or the reason that it implies."""
        response = event.body["response"]
        status = response.get("status")
        type_ = outcome_of(event)
        if type_ == grammar.COMPLETED and ends_in_half(
            response, view, match_final(view, response.get("output"))
        ):
            type_ = grammar.INCOMPLETE  # upstream said so of the last item: the answer is not whole
        changes: Body = {}
        if not isinstance(status, str) or status not in STATUSES_OF[type_]:
            changes["status"] = type_.rpartition(".")[2]
        if type_ == grammar.FAILED and not response.get("error"):
            changes["error"] = {"code": "server_error", "message": _what_happened(status)}
        details = response.get("incomplete_details")
        if type_ == grammar.INCOMPLETE and not (
            isinstance(details, dict) and isinstance(details.get("reason"), str)
        ):
            # No reason is made up: only usage that has reached its limit names one.
            changes["incomplete_details"] = (
                {"reason": "max_output_tokens"} if hit_token_limit(response) else None
            )
            if "incomplete_details" in response and details == changes["incomplete_details"]:
                del changes["incomplete_details"]
        if type_ == event.type and not changes:
            return None
        return [event.renamed(type_, response={**response, **changes})]


def _what_happened(status: object) -> str:
    """Return a sentence for a response that failed without an error."""
    if not isinstance(status, str) or status in (
        "",
        "failed",
        "completed",
        "incomplete",
        "in_progress",
        "queued",
    ):
        return "The response failed."
    return "The response was cancelled." if status == "cancelled" else f"The response ended as {status!r}."
