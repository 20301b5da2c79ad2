"""Terminal events whose type does not say what ``response.status`` says (R15, R02, R48).

Up to 0.32 a truncated response ends with ``response.completed``: gateways report ``finish_reason: stop`` for half an
answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.grammar import STATUSES_OF, TERMINAL_OF_STATUS
from vllm_sse_proxy.families.responses.proof import is_half
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

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
        type_ = TERMINAL_OF_STATUS.get(status, event.type) if isinstance(status, str) else event.type
        if type_ == grammar.COMPLETED and (
            any(item.item.get("status") == "incomplete" for item in view.items) or _ends_in_half(response)
        ):
            type_ = grammar.INCOMPLETE  # upstream said so of an item: the answer is not whole
        changes: Body = {}
        if not isinstance(status, str) or status not in STATUSES_OF[type_]:
            changes["status"] = type_.rpartition(".")[2]
        if type_ == grammar.FAILED and not response.get("error"):
            what = "was cancelled" if status == "cancelled" else "failed"
            changes["error"] = {"code": "server_error", "message": f"The response {what}."}
        details = response.get("incomplete_details")
        if type_ == grammar.INCOMPLETE and not (
            isinstance(details, dict) and isinstance(details.get("reason"), str)
        ):
            changes["incomplete_details"] = {"reason": "max_output_tokens"}  # the only one that vLLM has
        if type_ == event.type and not changes:
            return None
        return [event.renamed(type_, response={**response, **changes})]


def _ends_in_half(response: Mapping[str, Any]) -> bool:
    """Tell whether the last item of the final output is a half one (R48); the client may not have been told of it yet."""
    output = response.get("output")
    last = output[-1] if isinstance(output, list) and output else None
    return isinstance(last, dict) and is_half(last, response)
