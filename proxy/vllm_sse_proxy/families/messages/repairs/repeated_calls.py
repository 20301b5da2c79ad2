"""Calls whose id came before: the same call once more, or another one (C17).

Clients answer a call by its id, and run what they get: a call that comes twice is run twice, and of two calls with one id one
has no answer. vLLM's ids are random, but for those that carry a number (kimi), so the same id mostly is the same call. Which
it is, its input shows: such a call is held until it is whole. Nobody watches a call grow.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import delta_of
from vllm_sse_proxy.stream.event import COMMENT
from vllm_sse_proxy.stream.repair import HOLD, PASS, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.context import Seen, StreamContext
    from vllm_sse_proxy.stream.event import Body, Event

_ID_DIGITS: Final = 24


class RepeatedCalls(Repair):
    """Leave out a call that comes again, and give another one with its id an id of its own."""

    __slots__ = ("_begun", "_index", "_number", "_open", "_seen")

    name: ClassVar = "repeated_calls"
    summary: ClassVar = "a call comes once, and no two calls have the same id"
    fixes: ClassVar = ("C17",)
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._number = 0
        """how many ids were given"""
        self._seen: Seen = {}
        """ids of the calls so far"""
        self._open = ""
        """id of the call that upstream has not stopped"""
        self._index: object = None
        """upstream's index of that call"""
        self._begun: tuple[str, object] = ("", None)
        """id and index of the last call that has begun, until it is stopped; other blocks may come in between"""

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:
        """Hold the call until it is whole; then drop it, or let it go under another id."""
        if not self.held:
            return self._look(event)
        if event.type in (COMMENT, grammar.PING):
            return PASS
        return HOLD if event.type == grammar.BLOCK_DELTA else self._decide(event, view)

    def _look(self, event: Event) -> Sequence[Event] | Verdict | None:
        """Look for the start of a call whose id came before."""
        index = event.body.get("index")
        is_late = type(index) is int and type(self._index) is int and index < self._index
        if event.type == grammar.BLOCK_STOP and not is_late:  # which is of a block before the call
            self._open = ""
        if event.type == grammar.BLOCK_STOP and (index == self._begun[1] or type(index) is not int):
            self._begun = ("", None)
        if event.type != grammar.BLOCK_START:
            return None
        id_ = _content(event).get("id")
        if type(id_) is str and id_ in self._seen:
            return [] if id_ == self._open else HOLD
        self._open, self._index = id_ if type(id_) is str else "", index
        if self._open:
            self._seen[self._open] = None
            self._begun = (self._open, index)
        return None

    def _decide(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict:
        """Decide about the call that is held, now that it is over."""
        start, *rest = self.take()
        looked = self._look(event) if event.type == grammar.BLOCK_START else None
        if _is_sent(start, rest, view):
            if event.type == grammar.BLOCK_STOP:
                return []
            return [event] if looked is None else looked
        more = _more_of_open(start, rest, view) if _content(start)["id"] == self._begun[0] else None
        if more is not None:
            return [*more, event if looked is None else self._renamed(event, view)]
        return [self._renamed(start, view), *rest, event if looked is None else self._renamed(event, view)]

    def _renamed(self, start: Event, view: MessageView) -> Event:
        self._number += 1
        seed = f"{view.id}\0{_content(start)['id']}\0{self._number}"
        id_ = f"toolu_{hashlib.sha256(seed.encode('utf-8', 'replace')).hexdigest()[:_ID_DIGITS]}"
        return start.having(content_block={**_content(start), "id": id_})


def _content(event: Event) -> Body:
    content = event.body.get("content_block")
    return content if type(content) is dict else {}


def _more_of_open(start: Event, deltas: Sequence[Event], view: MessageView) -> list[Event] | None:
    """Return what is new of the open call, if it has begun again before its input was whole; None if it is another call."""
    content, call = _content(start), view.open
    if call is None or call.input is None or call is not view.calls.get(content["id"]):
        return None
    sent, text = call.input.text, _input_in(deltas)
    if call.name != content.get("name") or not deltas or not text.startswith(sent):
        return None
    last = deltas[-1]
    return [last.having(delta={**delta_of(last), "partial_json": text[len(sent) :]})]


def _input_in(deltas: Sequence[Event]) -> str:
    pieces = (delta_of(delta).get("partial_json") for delta in deltas)
    return "".join([piece for piece in pieces if type(piece) is str])


def _is_sent(start: Event, deltas: Sequence[Event], view: MessageView) -> bool:
    """Return whether the client has been sent a call with this id, this name and this input."""
    content = _content(start)
    call = view.calls.get(content["id"])
    if call is None or call.input is None or call.name != content.get("name"):
        return False
    return call.input.text == _input_in(deltas)
