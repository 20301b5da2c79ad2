"""One response, one id (clients.md §0.1).

openai-python and openai-node raise "Lifecycle response identity changed." when a later lifecycle event names another
id; some gateways make a new one for every event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


class ResponseIds(Repair):
    """Keep the id that the client was told first."""

    __slots__ = ()

    name: ClassVar = "response_ids"
    summary: ClassVar = "`response.id` is the same in every event"
    fixes: ClassVar = ("P02",)
    phase: ClassVar = Phase.IDENTITY
    handles: ClassVar = grammar.LIFECYCLE

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with the first id."""
        response, id_ = event.body.get("response"), view.response_id
        if id_ is None or not isinstance(response, dict) or response.get("id") == id_:
            return None
        return [event.having(response={**response, "id": id_})]
