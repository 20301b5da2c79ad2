"""Text told twice: once under a private name, once under the protocol's (F01).

The fork sends ``response.reasoning.summary.delta`` beside ``response.reasoning_summary_text.delta`` with the same
text; a client that understands both would show every word twice once the names are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


_BOUNDARIES: Final = frozenset({grammar.ITEM_ADDED, grammar.ITEM_DONE})
"""Where another item begins: an echo is of the same item (issue 12, K9)."""


class DoubledDeltas(Repair):
    """Drop the echo: text of one spelling that the other spelling has told already."""

    __slots__ = ("_ahead", "_last")

    name: ClassVar = "doubled_deltas"
    summary: ClassVar = "text that comes under a private name and the protocol's is told once"
    fixes: ClassVar = ("F01",)
    phase: ClassVar = Phase.SHAPE
    handles: ClassVar = frozenset(
        {type_ for type_ in grammar.RUN_OF_DELTA if type_ in grammar.ALIASES.values()} | _BOUNDARIES
    )
    reads_deltas: ClassVar = True

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._last: dict[str, str] = {}
        """canonical type → the last delta under the protocol's name, while no private name was seen"""
        self._ahead: dict[str, tuple[str, str]] = {}
        """canonical type → the spelling that is ahead, and its text that the other one has not echoed yet"""

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - compares upstream with itself
        """Compare the two spellings' texts; what both have told is told once."""
        type_, spelling, delta = event.type, event.body["type"], event.body.get("delta")
        if type_ in _BOUNDARIES:
            self._last.clear()
            self._ahead.clear()
            return None
        if type(delta) is not str:
            return None
        ahead = self._ahead.get(type_)
        if ahead is None:
            if spelling == type_:
                self._last[type_] = delta
                return None
            ahead = (type_, self._last.get(type_, ""))
        leader, lead = ahead
        if spelling == leader or not lead:
            self._ahead[type_] = (spelling, (lead + delta)[-_LONGEST_LEAD:])
            return None
        if lead.startswith(delta):
            self._ahead[type_] = (leader, lead[len(delta) :])
            return []
        if delta.startswith(lead):
            rest = delta[len(lead) :]
            self._ahead[type_] = (spelling, rest)
            return [event.having(delta=rest)]
        self._ahead[type_] = (spelling, "")  # different texts: no echo at all
        return None

    def signs(self, type_: str, spelling: str) -> str | None:
        """Wish to be asked as soon as there are two spellings."""
        return "" if spelling == type_ and type_ not in self._ahead else None

    def pass_by(self, type_: str, words: str) -> None:
        """Keep the last delta under the protocol's name."""
        self._last[type_] = words


_LONGEST_LEAD = 4096
"""Characters by which one spelling may run ahead of the other and still be recognised; bounds the memory."""
