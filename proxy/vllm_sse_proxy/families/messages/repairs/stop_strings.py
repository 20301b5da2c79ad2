"""Stop sequences that stand in the text that they ended (C41).

vLLM takes them out of a text, but not on gpt-oss's path (0.17, 0.32): text and thinking end with the sequence, and with what
else came in the same step. ``message_delta`` names it from 0.29 on, so what is to go is certain. Older releases say
``end_turn`` and have no ``stop_sequence`` (A14): a text that ends with one then was ended by it, and the reason is set right.

Deltas wait only while their end may be the beginning of a sequence. A whole one waits for what follows: more text shows that
it ended nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import IDLE, delta_of, delta_type, said_by, saying
from vllm_sse_proxy.families.messages.request import stops_of
from vllm_sse_proxy.families.messages.results import reason_of
from vllm_sse_proxy.families.texts.signs import has_sign
from vllm_sse_proxy.families.texts.stop_strings import begun_at, holds_stop, settled_by, signs_of
from vllm_sse_proxy.stream.repair import HOLD, PASS, Released, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event


class StopStrings(Repair):
    """Let a text end before the stop sequence that ended it."""

    __slots__ = ("_has_stop", "_signs", "_stops", "_text")

    name: ClassVar = "stop_strings"
    summary: ClassVar = "a text that a stop sequence of the request ended does not hold that sequence"
    fixes: ClassVar = ("A14", "C41")
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._stops = stops_of(context.request)
        self._signs = signs_of(self._stops)
        self._text = ""
        """that of the deltas that are held"""
        self._has_stop = False

    def watches(self, type_: str, view: MessageView) -> str | None:  # noqa: ARG002 - there is one type of deltas
        """Watch for what stop sequences begin with."""
        return self._signs

    def settled(self, waiting: str, words: str, type_: str, view: MessageView) -> int:  # noqa: ARG002 - there is one type of deltas
        """Return where a stop sequence may begin at the end of a text."""
        return settled_by(waiting + words, self._stops)

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:  # noqa: ARG002 - the text says it all
        """Hold what may be a stop sequence, and cut the text at one when the message ends."""
        if not self._stops:
            return None
        words = said_by(event)
        if words and (self.held or has_sign(words, self._signs)):
            return self._take(event, words)
        if not self.held:
            return None
        if event.type in IDLE:
            return PASS
        if event.type == grammar.BLOCK_STOP or delta_type(event) == grammar.SIGNATURE_DELTA:
            return HOLD
        return self._finish(event) if event.type == grammar.MESSAGE_DELTA else None

    def _take(self, event: Event, words: str) -> Verdict | None:
        """Hold a delta if a stop sequence stands in the text, or may begin at its end; let go what need not wait."""
        held = self.take()
        passing: list[Event] = []
        if held and (self._has_stop or delta_type(held[-1]) != delta_type(event)):
            held, passing = [], held  # another text, or one that goes on behind the sequence
        self._text = "".join(map(said_by, held)) + words
        self._has_stop = holds_stop(self._text, self._stops)
        held.append(event)
        end = 0 if self._has_stop else begun_at(self._text, self._stops)
        while held and len(said_by(held[0])) <= end:
            passing.append(held.pop(0))
            end -= len(said_by(passing[-1]))
        self.held = held
        return None if passing == [event] else Released(passing)

    def _finish(self, event: Event) -> Sequence[Event] | None:
        """Return what is held without the stop sequence, and the end of the message; None if none ended it."""
        delta, text = delta_of(event), "".join(map(said_by, self.held))
        reason, stop = reason_of(event), delta.get("stop_sequence")
        if reason == grammar.END_TURN and "stop_sequence" not in delta:
            stop = next((one for one in self._stops if text.endswith(one)), None)
            event = event.having(delta={**delta, "stop_reason": grammar.STOP_SEQUENCE, "stop_sequence": stop})
        elif reason != grammar.STOP_SEQUENCE or stop not in self._stops:
            return None
        at = text.find(stop) if type(stop) is str else -1
        if at < 0:
            return None
        made: list[Event] = []
        for each in self.take():
            words = said_by(each)
            if len(words) <= max(0, at):
                made.append(each)
            elif at > 0:
                made.append(saying(each, delta_type(each), words[:at]))
            at -= len(words)
        return [*made, event]
