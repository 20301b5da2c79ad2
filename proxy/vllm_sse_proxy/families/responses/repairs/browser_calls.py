"""A browser call that is sent as two items (R22).

From 0.14 the harmony path streams ``browser.search`` as an ``mcp_call``, and the same call as a ``web_search_call`` as well:
with a tool server that is streamed next, up to 0.24 on the neighbouring index, from 0.25 on the same; without one it stands
in ``response.completed`` only. Clients show two calls, or refuse the second item on one index.

So the ``mcp_call`` is held back until the next event of something else. A streamed ``web_search_call`` takes its place. Else
the ``mcp_call`` is emitted as it came, with all its arguments, and the search in the final output counts as the same call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.events import item_id_of
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.stream.event import COMMENT
from vllm_sse_proxy.stream.repair import HOLD, PASS, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import Seen, StreamContext
    from vllm_sse_proxy.stream.event import Event

_OF_A_CALL: Final = frozenset(
    {
        grammar.MCP_ARGUMENTS.delta,
        grammar.MCP_ARGUMENTS.done,
        *grammar.MCP_CALL.progress,
        *grammar.MCP_CALL.finish,
        "response.mcp_call.failed",
    }
)
_OF_A_SEARCH: Final = "response.web_search_call."
_SEARCH: Final = grammar.WEB_SEARCH_CALL.type


class BrowserCalls(Repair):
    """Leave out the mcp_call if a web_search_call stands for the same call."""

    __slots__ = ("_emitted", "_left_out", "_waiting")

    name: ClassVar = "browser_calls"
    summary: ClassVar = (
        "a browser call that upstream sends as `mcp_call` and as `web_search_call` is emitted once"
    )
    fixes: ClassVar = ("R22",)
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._left_out: Seen = {}
        """upstream's ids of the calls that are left out"""
        self._emitted: Seen = {}
        """upstream's ids of the calls that were emitted as mcp_call"""
        self._waiting: Seen = {}
        """upstream's ids of the calls whose events are held"""

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | Verdict | None:
        """Hold a browser's mcp_call; the next event of something else shows whether it is left out or emitted."""
        type_ = event.type
        if type_ is COMMENT or type_ in grammar.OPENING:
            return PASS
        if type_ in _OF_A_CALL or (type_ in grammar.OF_ITEMS and _is_browser_call(event)):
            id_ = item_id_of(event)
            if id_ in self._left_out:
                return []
            if self.held and not id_:
                return HOLD
            is_renamed = bool(self.held) and id_ not in view.by_id  # ids may change in its middle
            if id_ not in self._emitted and (type_ in grammar.OF_ITEMS or id_ in self._waiting or is_renamed):
                self._waiting[id_] = None
                return HOLD
        if type_ in grammar.TERMINAL and (self.held or self._emitted):
            return self._end(event, view)
        if self.held and _is_of_a_search(event):
            self._left_out.update(self._waiting)
            self._waiting = {}
            self.held = []
            return [event]
        return None

    def take(self) -> list[Event]:
        """Return what is held; those calls are then emitted."""
        self._emitted.update(self._waiting)
        self._waiting = {}
        return super().take()

    def _end(self, terminal: Event, view: ClientView) -> Sequence[Event] | None:
        """Emit the held calls, and take as many searches out of the final output as calls were emitted."""
        number = len(self._emitted) + len(self._waiting)
        response: Any = terminal.body.get("response")
        output: Any = response.get("output") if isinstance(response, dict) else None
        searches = [item for item in match_final(view, output).unsent if _type_of(item) == _SEARCH]
        again = searches[:number]
        if not again:
            return None
        gone = {id(item) for item in again}
        left = [item for item in output if id(item) not in gone and item not in again]
        return [*self.take(), terminal.having(response={**response, "output": left})]


def _type_of(item: object) -> object:
    return item.get("type") if isinstance(item, dict) else None


def _is_of_a_search(event: Event) -> bool:
    """Return whether an event is of a search: its announcement may be lost, or come late."""
    if event.type in grammar.OF_ITEMS:
        return _type_of(event.body.get("item")) == _SEARCH
    return event.type.startswith(_OF_A_SEARCH)


def _is_browser_call(event: Event) -> bool:
    item = event.body.get("item")
    return (
        isinstance(item, dict)
        and item.get("type") == grammar.MCP_CALL.type
        and str(item.get("name")).startswith("browser.")
    )
