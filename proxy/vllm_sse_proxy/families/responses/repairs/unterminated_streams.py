"""Streams that stop without a terminal event (R01, R29, F01).

Codex: "stream closed before response.completed"; openai-python's raw loop ends silently, as if the answer were whole;
opencode sends the request again in a tight loop. The terminal event must come, and must not claim what did not happen.

A clean end of the body proves nothing: releases from 0.12 to 0.20 break off exactly between two items, after the reasoning.
Only upstream's own ``[DONE]`` is a word for a success, and only if upstream has closed every item, the last of them an answer
or a call (issue 12, K1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.ending import REPORTS
from vllm_sse_proxy.families.responses.events import END, invented
from vllm_sse_proxy.families.responses.outcome import is_whole
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


class UnterminatedStreams(Repair):
    """Emit the terminal event that upstream's ending proves."""

    __slots__ = ()

    name: ClassVar = "unterminated_streams"
    summary: ClassVar = (
        "a stream without a terminal event ends as `response.failed`, unless its `[DONE]` ends a whole answer"
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
        if event.body["said_done"] and not event.body["half"] and is_whole(view):
            return [synthesis.lifecycle(grammar.COMPLETED, response, status=synthesis.COMPLETED), event]
        code, message = REPORTS[event.body["end"]]
        body = synthesis.error_body(code=code, message=message, error_type="server_error")
        return [invented(grammar.ERROR, **body), synthesis.failed(response, body["error"]), event]
