"""Calls whose id came before: the same call once more, or another one (P02).

Clients answer a call by its id, and run what they get: a call that comes twice is run twice, and of two calls with one id one
has no answer. vLLM's ids are random, but for those that carry a number (kimi), so the same id mostly is the same call. Which
it is, its input shows: such a call is held until it is whole. Nobody watches a call grow.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import delta_of
from vllm_sse_proxy.families.messages.view import InputText
from vllm_sse_proxy.stream.event import COMMENT
from vllm_sse_proxy.stream.repair import HOLD, PASS, Repair, Seen, StreamContext, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import BlockView, MessageView
    from vllm_sse_proxy.stream.event import Body, Event

_ID_DIGITS: Final = 24


class RepeatedCalls(Repair):
    """Leave out a call that comes again, and give another one with its id an id of its own."""

    __slots__ = ("_number", "_open", "_seen")

    name: ClassVar = "repeated_calls"
    summary: ClassVar = "a call comes once, and no two calls have the same id"
    fixes: ClassVar = ("P02",)
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._number = 0
        """how many ids were given"""
        self._seen: Seen = {}
        """ids of the calls so far"""
        self._open = ""
        """id of the call that upstream has not stopped"""

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:
        """Hold the call until it is whole; then drop it, or let it go under another id."""
        if self.held:
            return self._go_on(event, view)
        if event.type == grammar.BLOCK_STOP:
            self._open = ""
        if event.type != grammar.BLOCK_START:
            return None
        id_ = _content(event).get("id")
        is_open, self._open = id_ == self._open, id_ if type(id_) is str else ""
        if type(id_) is not str or id_ not in self._seen:
            if type(id_) is str:
                self._seen[id_] = None
            return None
        return [] if is_open else HOLD

    def _go_on(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:
        if event.type in (COMMENT, grammar.PING):
            return PASS
        if event.type == grammar.BLOCK_DELTA:
            return HOLD
        call, self._open = self.take(), ""
        is_stop = event.type == grammar.BLOCK_STOP
        if event.type not in (grammar.BLOCK_STOP, grammar.BLOCK_START, grammar.MESSAGE_DELTA):
            return [self._renamed(call[0], view), *call[1:], event]
        content = _content(call[0])
        earlier = view.calls.get(content["id"])
        said = "".join(piece for one in call[1:] if type(piece := delta_of(one).get("partial_json")) is str)
        if _is_same(earlier, content.get("name"), said):
            return [] if is_stop else [event]
        return [self._renamed(call[0], view), *call[1:], event]

    def _renamed(self, start: Event, view: MessageView) -> Event:
        self._number += 1
        seed = f"{view.id}\0{_content(start)['id']}\0{self._number}"
        id_ = f"toolu_{hashlib.sha256(seed.encode('utf-8', 'replace')).hexdigest()[:_ID_DIGITS]}"
        return start.having(content_block={**_content(start), "id": id_})


def _content(event: Event) -> Body:
    content = event.body.get("content_block")
    return content if type(content) is dict else {}


def _is_same(call: BlockView | None, name: object, said: str) -> bool:
    """Return whether a call of this name and input was sent."""
    return (
        call is not None and call.name == name and isinstance(call.text, InputText) and call.text.text == said
    )
