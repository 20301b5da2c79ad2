"""Text that is sent twice: once under a private name, once under the protocol's (F01).

The fork sends ``response.reasoning.summary.delta`` beside ``response.reasoning_summary_text.delta`` with the same
text; a client that understands both would show every word twice once the names are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import Seen, StreamContext
    from vllm_sse_proxy.stream.event import Event


"""Where another item begins: an echo is of the same item (issue 12, K9)."""


class DoubledDeltas(Repair):
    """Drop the echo: text under one name that has come under the other already."""

    __slots__ = ("_ahead", "_begun")

    name: ClassVar = "doubled_deltas"
    summary: ClassVar = "text that comes under a private name and the protocol's is emitted once"
    fixes: ClassVar = ("F01",)
    handles: ClassVar = frozenset(
        {type_ for type_ in grammar.RUN_OF_DELTA if type_ in grammar.ALIASES.values()} | grammar.OF_ITEMS
    )

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._begun: Seen = {}
        """canonical types of the deltas that came under the protocol's name, while no private name was seen"""
        self._ahead: dict[str, tuple[str, str]] = {}
        """canonical type → the spelling that is ahead, and its text that the other one has not echoed yet"""

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Compare the texts under both names; emit once what both have brought."""
        type_, spelling, delta = event.type, event.body["type"], event.body.get("delta")
        if type_ in grammar.OF_ITEMS:
            self._begun.clear()
            self._ahead.clear()
            return None
        if type(delta) is not str:
            return None
        ahead = self._ahead.get(type_)
        if ahead is None:
            if spelling == type_:
                self._begun[type_] = None
                return None
            ahead = (type_, _last_delta(type_, view) if type_ in self._begun else "")
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

    def watches(self, type_: str, view: ClientView) -> str | None:  # noqa: ARG002 - it has seen the spellings
        """Watch for nothing under the protocol's name, and for everything from the first private name on."""
        return "" if type_ not in self._ahead else None


def _last_delta(type_: str, view: ClientView) -> str:
    """Return the last delta of this type that was emitted."""
    run = grammar.RUN_OF_DELTA[type_]
    for item in view.youngest():
        if item.kind is grammar.KIND_OF_EVENT.get(type_):
            text = item.text_at(run, len(item.holders(run)) - 1)
            return (text.last or "") if text is not None else ""
    return ""


_LONGEST_LEAD = 4096
"""Characters by which one spelling may run ahead of the other and still be recognised; bounds the memory."""
