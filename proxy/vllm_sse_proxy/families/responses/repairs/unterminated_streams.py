"""Streams that stop without a terminal event (R01, R29, F01).

Codex: "stream closed before response.completed"; openai-python's raw loop ends silently, as if the answer were whole;
opencode sends the request again in a tight loop. The terminal event must come, and must not claim what did not happen
(protocol.md, "Terminal rule").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.ending import REPORTS, BodyEnd
from vllm_sse_proxy.families.responses.events import END, invented
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


class UnterminatedStreams(Repair):
    """Tell the terminal event that upstream's ending proves."""

    __slots__ = ()

    name: ClassVar = "unterminated_streams"
    summary: ClassVar = (
        "a stream without a terminal event ends as `response.failed`, or as completed if all of it is there"
    )
    fixes: ClassVar = ("R01", "R02", "R29", "R44", "F01")
    phase: ClassVar = Phase.TERMINAL
    handles: ClassVar = frozenset({END})

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the terminal event; by now every item is closed, but for a call that was cut."""
        response = synthesis.response_so_far(view, self.context.request)
        response = {**response, "output": synthesis.items_so_far(view)}
        if view.error is not None:
            return [synthesis.failed(response, view.error.get("error") or view.error), event]
        if _is_whole(view, event):
            return [synthesis.lifecycle(grammar.COMPLETED, response, status=synthesis.COMPLETED), event]
        code, message = REPORTS[event.body["end"]]
        body = synthesis.error_body(code=code, message=message, error_type="server_error")
        return [invented(grammar.ERROR, **body), synthesis.failed(response, body["error"]), event]


def _is_whole(view: ClientView, end: Event) -> bool:
    """Tell whether all of the response is there: upstream said so, or it ended cleanly after closing every item itself.

    Half a frame at the end may be the beginning of ``response.failed``: then nothing is proven.
    """
    if end.body["said_done"] and end.body["end"] in (BodyEnd.EOF, BodyEnd.IDLE_TIMEOUT):
        return view.heard
    closed = bool(view.items) and all(
        item.closed and item.item.get("status") != synthesis.INCOMPLETE for item in view.items
    )
    return end.body["end"] is BodyEnd.EOF and closed and not end.body["half"]
