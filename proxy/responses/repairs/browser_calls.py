"""A browser call told as two items (R22).

From 0.14 the harmony path streams ``browser.search`` as an ``mcp_call`` and again as a ``web_search_call``, up to 0.24 on
neighbouring indexes, from 0.25 on one; ``response.completed`` has the ``web_search_call`` only. Clients show two calls,
or refuse the second item on one index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from proxy.responses import grammar
from proxy.responses.repairs.base import Phase, Repair, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.responses.events import Event
    from proxy.responses.view import ClientView


class BrowserCalls(Repair):
    """Leave out the mcp_call: the web_search_call tells the same."""

    name: ClassVar = "browser_calls"
    summary: ClassVar = "a browser call that is streamed as `mcp_call` and as `web_search_call` is told once"
    fixes: ClassVar = ("R22",)
    phase: ClassVar = Phase.IDENTITY
    handles: ClassVar = frozenset(
        {
            grammar.ITEM_ADDED,
            grammar.ITEM_DONE,
            grammar.MCP_ARGUMENTS.delta,
            grammar.MCP_ARGUMENTS.done,
            *grammar.MCP_CALL.progress,
            *grammar.MCP_CALL.finish,
            "response.mcp_call.failed",
        }
    )

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._left_out: set[str] = set()
        """upstream's ids of the calls that are left out"""

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - upstream tells it twice
        """Drop every event of a browser's mcp_call."""
        item = event.body.get("item")
        if event.type not in (grammar.ITEM_ADDED, grammar.ITEM_DONE):
            id_ = event.body.get("item_id")
            return [] if isinstance(id_, str) and id_ in self._left_out else None
        if not isinstance(item, dict) or item.get("type") != grammar.MCP_CALL.type:
            return None
        if not str(item.get("name")).startswith("browser."):
            return None
        if isinstance(item.get("id"), str):
            self._left_out.add(item["id"])
        return []
