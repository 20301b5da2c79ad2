"""Calls in the text (C20): ``<tool_call>{"name": ..}</tool_call>`` as text, and ``end_turn``.

It happens where the parser does not fit the model, where a forced choice comes in the model's own format, where several tokens
come in one step. The agent then shows markup, and stops.

From the delta with a marker on, with a tool of the request behind it, text waits for the end of the message: only then it is
known whether the parser sent the call as well, in a block before it. If what waited consists of whole calls of tools of the
request, those that the parser did not send leave as calls; otherwise it leaves as it came. The start of a text block waits for
its first words, since there may be none but a call.

The closing marker of a call that stands alone at the end of the text goes, if no ``<`` stands before it in the message.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import (
    IDLE,
    block_start,
    block_stop,
    delta_of,
    delta_type,
    inserted,
    said_by,
    saying,
    says_nothing,
)
from vllm_sse_proxy.families.messages.request import may_call, schemas_of
from vllm_sse_proxy.families.messages.results import reason_of
from vllm_sse_proxy.families.texts.call_texts import (
    SIGNS,
    LeakedCall,
    find_call,
    find_closings,
    read_calls,
    unsent,
)
from vllm_sse_proxy.families.texts.passing_text import PassingText
from vllm_sse_proxy.families.texts.signs import has_sign
from vllm_sse_proxy.families.texts.tagged_calls import types_of
from vllm_sse_proxy.stream.repair import HOLD, PASS, Released, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event

_WHOLE: Final = frozenset({grammar.END_TURN, grammar.TOOL_USE})
"""Stop reasons of a message that has its end."""


class CallTexts(Repair):
    """Turn calls that came as text into calls."""

    __slots__ = ("_at", "_begins", "_is_on", "_is_opened", "_text", "_tools")

    name: ClassVar = "call_texts"
    summary: ClassVar = "a call of a tool of the request that came as text is a call"
    fixes: ClassVar = ("C20",)
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._tools = schemas_of(context)
        self._is_on = bool(self._tools) and may_call(context.request)
        self._text = ""
        """that of the deltas that are held"""
        self._at = 0
        """where in it a call may begin"""
        self._begins = False
        self._is_opened = False
        """whether the text has had a ``<``, which may have opened what is closed at its end"""

    def watches(self, type_: str, view: MessageView) -> str | None:  # noqa: ARG002 - there is one type of deltas
        """Watch for what calls begin with."""
        return SIGNS if self._is_on else ""

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:
        """Hold text that may be a call; at the end of the message, return the calls that it is."""
        if not self._is_on:
            return None
        type_ = event.type
        if type_ == grammar.BLOCK_START:
            return self._start(event)
        if type_ == grammar.BLOCK_DELTA and delta_type(event) == grammar.TEXT_DELTA:
            words = said_by(event)
            if self._text or has_sign(words, SIGNS):
                return self._take(event, words, view)
            return None
        if not self.held:
            return None
        if type_ in IDLE or says_nothing(event):
            return PASS
        if not self._text:
            return None
        if type_ == grammar.BLOCK_STOP:
            return HOLD
        made = self._made(event, view) if type_ == grammar.MESSAGE_DELTA else None
        self._forget()
        return made

    def _forget(self) -> None:
        self._is_opened = self._is_opened or "<" in self._text
        self._text = ""
        self._at = 0
        self._begins = False

    def _start(self, event: Event) -> Verdict | None:
        self._forget()
        content = event.body.get("content_block")
        if type(content) is dict and content.get("type") == grammar.TEXT:
            passing = self.take()
            self.held.append(event)
            return Released(passing)
        return None

    def _take(self, event: Event, words: str, view: MessageView) -> Verdict | None:
        """Let deltas pass up to the one in which a call may begin, and hold the rest."""
        if self._begins:
            self._text += words
            return HOLD
        held = [*self.take(), event]
        is_blank = _is_blank(held[0], view) and not self._text[: self._at].strip()
        at_start = is_blank and not view.has_calls  # JSON beside calls of the parser may be an answer
        self._text += words
        at, self._begins = find_call(self._text[self._at :], self._tools, at_start=at_start)
        self._at += at
        if not self._begins and not self._is_opened:
            self._at = min(self._at, find_closings(self._text)[0])
        passing: list[Event] = []
        while held and (self._at == len(self._text) or len(said_by(held[0])) <= self._at):
            passing.append(held.pop(0))
            said = said_by(passing[-1])
            self._is_opened = self._is_opened or "<" in said
            size = len(said)
            self._text = self._text[size:]
            self._at -= size
        while passing and not said_by(passing[-1]):
            held.insert(0, passing.pop())
        self.held = held
        return None if passing == [event] else Released(passing)

    def _made(self, event: Event, view: MessageView) -> list[Event] | None:
        """Return the calls that the held text consists of, and the end of the message; None if it is none."""
        at = self._at
        types = {name: types_of(schema) for name, schema in self._tools.items()}
        is_whole = reason_of(event) in _WHOLE
        calls = read_calls(self._text[at:], self._tools, types) if is_whole else []
        if not calls:
            at, are_whole = find_closings(self._text)
            if not are_whole or self._is_opened:
                return None
        held = self.take()
        deltas = [each for each in held if said_by(each)]
        stops = [each for each in held if each.type == grammar.BLOCK_STOP]
        index = deltas[0].body.get("index")
        number = index if type(index) is int else 0
        made: list[Event] = []
        if at or held[0] is deltas[0]:  # the block has left, or has words
            made += [each for each in held if each.type == grammar.BLOCK_START]
            if at:
                made.append(saying(deltas[0], grammar.TEXT_DELTA, self._text[:at]))
            made += stops
            number += 1
        sent = [(block.name, block.input.text) for block in view.blocks if block.input is not None]
        for place, call in enumerate(unsent(calls, sent)):
            made += _events_of(call, number + place, f"{view.id}/{len(view.blocks)}/{place}")
        if not calls:
            return [*made, event]
        delta = {**delta_of(event), "stop_reason": grammar.TOOL_USE}
        return [*made, event.having(delta=delta)]


def _is_blank(first: Event, view: MessageView) -> bool:
    """Return whether nothing of the block of a delta was sent but white space.

    :param first: the first event that is held.
    """
    if first.type == grammar.BLOCK_START or view.open is None:
        return True
    text = view.open.text
    return isinstance(text, PassingText) and text.is_blank


def _events_of(call: LeakedCall, index: int, seed: str) -> list[Event]:
    """Return a whole call; its id is made of the seed if the model wrote none."""
    digest = hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:24]
    content: dict[str, Any] = {
        "type": grammar.TOOL_USE,
        "id": call.id or f"toolu_{digest}",
        "name": call.name,
        "input": {},
    }
    delta = {"type": grammar.INPUT_DELTA, "partial_json": call.arguments}
    return [
        block_start(index, content),
        inserted(grammar.BLOCK_DELTA, index=index, delta=delta),
        block_stop(index),
    ]
