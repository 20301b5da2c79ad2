"""Thoughts in the middle of the text (C25), and the closing tag that a parser left there (C36).

vLLM's parsers of reasoning know the thoughts that an answer begins with. What a model thinks later comes as text, tags and
all, and is shown: ``Part one. <think>``, a line end, thoughts, ``</think>``, and the rest. It leaves as thinking if it has the
form of the templates (``texts.thought_spans``), in a message that has had thinking. From the opening tag on, text waits for
the closing one; without that it leaves as it came. A closing tag on a line of its own goes, in the text behind the thoughts
that it ends. A stop ends a text only if no more of it comes, as for the third station: until then it waits behind the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import IDLE, delta_type, said_by, saying, says_nothing
from vllm_sse_proxy.families.texts.passing_text import PassingText
from vllm_sse_proxy.families.texts.signs import has_sign
from vllm_sse_proxy.families.texts.thought_spans import SIGNS, Kind, Spans, ThoughtSpans, spread
from vllm_sse_proxy.stream.repair import HOLD, PASS, Released, Repair, Verdict
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import BlockView, MessageView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event

_DELTAS: Final = {Kind.TEXT: grammar.TEXT_DELTA, Kind.THOUGHT: grammar.THINKING_DELTA}


class LaterThoughts(Repair):
    """Make thinking of thoughts in the middle of a text."""

    __slots__ = ("_before", "_block", "_is_off", "_is_stopped", "_known", "_spans", "_thinks")

    name: ClassVar = "later_thoughts"
    summary: ClassVar = (
        "what a model thinks in the middle of its answer is thinking; no tag of thinking is left"
    )
    fixes: ClassVar = ("C25", "C36")
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._is_off = "block_kinds" in context.disabled  # which starts the blocks
        self._thinks = False
        """whether the message has had thinking"""
        self._block = ""
        """type of the block before the text"""
        self._before: BlockView | None = None
        """the block that was open when the last one was started: it may still be, where the start waits"""
        self._spans: ThoughtSpans | None = None
        self._known = 0
        """how many characters of the first delta that is held are known: text"""
        self._is_stopped = False
        """whether a stop came behind the text; more of it may follow"""

    def watches(self, type_: str, view: MessageView) -> str | None:  # noqa: ARG002 - there is one type of deltas
        """Watch for tags, and for code."""
        return SIGNS if self._thinks and not self._is_off else ""

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:
        """Hold text from an opening tag on; return it as thinking once the closing one has come."""
        type_ = event.type
        if self.held and says_nothing(event):
            return PASS
        if type_ == grammar.BLOCK_DELTA and delta_type(event) == grammar.THINKING_DELTA:
            self._block = grammar.THINKING  # whose start may have been lost
            self._thinks = True
        if type_ == grammar.BLOCK_DELTA and not self.held:
            if not self._thinks or self._is_off or delta_type(event) != grammar.TEXT_DELTA:
                return None
            words = said_by(event)
            return self._take(event, words, view) if has_sign(words, SIGNS) else None
        if type_ == grammar.BLOCK_DELTA and delta_type(event) == grammar.TEXT_DELTA and said_by(event):
            return self._take(event, said_by(event), view)
        if type_ in IDLE and not (self._is_stopped and type_ != grammar.MESSAGE_START):
            return PASS
        if type_ == grammar.BLOCK_STOP and self._spans is not None:
            self._is_stopped = True
            return HOLD if self.held else None
        if type_ == grammar.BLOCK_START:
            self._note_start(event)
            self._before = view.open
        self._spans = None
        self._known = 0
        self._is_stopped = False
        return None

    def take(self) -> list[Event]:
        """Return what is held, stops that came too early behind the text, and hold nothing."""
        return sorted(super().take(), key=_is_stop)

    def _note_start(self, event: Event) -> None:
        content = event.body.get("content_block")
        kind = content.get("type") if type(content) is dict else None
        if kind != grammar.TEXT:
            self._block = kind if type(kind) is str else ""
        self._thinks = self._thinks or kind == grammar.THINKING

    def _take(self, event: Event, words: str, view: MessageView) -> Sequence[Event] | Verdict | None:
        if self._spans is None:
            self._spans = ThoughtSpans(takes_closing=self._block == grammar.THINKING)
            self._block = grammar.TEXT
        if not self.held:  # the engine may have let go what waited: there was too much of it
            self._spans.give_up()
            self._known = 0
        found = self._spans.feed(words, is_line_blank=self._is_line_blank(view.open))
        is_full = len(self.held) >= MAX_HELD_EVENTS
        if not found and self._spans.is_waiting and not is_full:
            return HOLD
        if self._known:
            found = [(Kind.TEXT, self._known), *((kind, self._known + end) for kind, end in found)]
        waited = self.take()
        held = [*(each for each in waited if not _is_stop(each)), event]
        stops = [each for each in waited if _is_stop(each)]
        if any(kind is not Kind.TEXT for kind, _ in found):
            return self._made(held, found, stops)
        if is_full:
            self._spans.give_up()
        passing: list[Event] = []
        end = found[-1][1] if found else 0
        while held and (not self._spans.is_waiting or len(said_by(held[0])) <= end):
            passing.append(held.pop(0))
            end -= len(said_by(passing[-1]))
        self._known = max(0, end)
        if held:
            self.held = [*held, *stops]
        else:
            passing += stops
        return None if passing == [event] else Released(passing)

    def _is_line_blank(self, block: BlockView | None) -> bool:
        """Return whether the last line of the text is, as far as it has left; no text has, if another block is still open."""
        if block is None or block is self._before or block.type != grammar.TEXT:
            return True
        return block.text.is_line_blank if isinstance(block.text, PassingText) else True

    def _made(self, held: list[Event], spans: Spans, stops: list[Event]) -> list[Event]:
        """Return the deltas with their words sorted; hold what of the last is not known.

        :param stops: what came too early, and goes behind them.
        """
        made: list[Event] = []
        self._known = 0
        for each, own in zip(held, spread(spans, [len(said_by(each)) for each in held]), strict=True):
            words, end = said_by(each), own[-1][2]
            for kind, start, behind in own:
                if kind in _DELTAS:
                    is_whole = kind is Kind.TEXT and behind - start == len(words)
                    made.append(each if is_whole else saying(each, _DELTAS[kind], words[start:behind]))
            if end < len(words):
                self.held.append(saying(each, grammar.TEXT_DELTA, words[end:]))
        (self.held or made).extend(stops)
        return made


def _is_stop(event: Event) -> bool:
    return event.type == grammar.BLOCK_STOP
