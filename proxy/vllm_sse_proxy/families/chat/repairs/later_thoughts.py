"""Thoughts in the middle of the content (C25): ``Part one. <think>``, a line end, thoughts, ``</think>``, and the rest.

vLLM's parsers of reasoning know the thoughts that an answer begins with. What a model thinks later comes as content, tags and
all, and is shown. It leaves as reasoning if it has the form of the templates (``texts.thought_spans``), in a choice that has
had reasoning: so a parser is at work, and the operator does not want tags. From the opening tag on, content waits for the
closing one; without that it leaves as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.chat.chunks import CHAT_CHOICE_TYPES, REASONING
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.families.chat.texts import (
    content_of,
    emptied,
    is_silent,
    keep_behind,
    reasoning_of,
    release_before,
    remainder_of,
    with_texts,
)
from vllm_sse_proxy.families.chat.view import MOST_CHOICES
from vllm_sse_proxy.families.chunks import FINISH, OVER, TEXT, choice_of, index_of
from vllm_sse_proxy.families.texts.signs import has_sign
from vllm_sse_proxy.families.texts.thought_spans import SIGNS, Kind, Spans, ThoughtSpans, spread
from vllm_sse_proxy.stream.repair import Released, Repair
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatChoiceView, ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.repair import Verdict

_NAMES = {Kind.TEXT: "content", Kind.THOUGHT: REASONING}


class _Choice:
    """The content of a choice that has had reasoning.

    :ivar held: the chunks of what is not known yet.
    :ivar known: how many characters of the first of them are known: text.
    """

    __slots__ = ("held", "known", "spans")

    def __init__(self) -> None:
        self.held: list[Event] = []
        self.known = 0
        self.spans = ThoughtSpans()

    def feed(self, text: str, *, is_line_blank: bool) -> Spans:
        """Add a piece; return the known spans of all chunks that are held, and the piece."""
        spans = self.spans.feed(text, is_line_blank=is_line_blank)
        if not self.known:
            return spans
        return [(Kind.TEXT, self.known), *((kind, self.known + end) for kind, end in spans)]

    def take(self) -> list[Event]:
        """Return what is held, as it came, and hold nothing."""
        held, self.held = self.held, []
        self.known = 0
        self.spans.give_up()
        return held


class LaterThoughts(Repair):
    """Make reasoning of thoughts in the middle of the content."""

    __slots__ = ("_choices", "_request")

    name: ClassVar = "later_thoughts"
    summary: ClassVar = "what a model thinks in the middle of its answer is reasoning, without tags"
    fixes: ClassVar = ("C25",)
    handles: ClassVar = CHAT_CHOICE_TYPES | OVER

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._request = ChatRequest.of(context)
        self._choices: dict[int, _Choice] = {}

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Hold content from an opening tag on; return it as reasoning once the closing one has come."""
        if event.type in OVER:
            return release_before(
                event, [each for choice in self._choices.values() for each in choice.take()]
            )
        index = index_of(choice_of(event))
        choice = self._choices.get(index)
        if is_silent(event):
            return None if choice is None else keep_behind(event, choice.held)
        if choice is None:
            if self._request.keeps_tokens or view.choice(index).is_blank(REASONING):
                return None
            choice = self._choices[index] = _Choice()
        text = content_of(event)
        if not choice.held and not has_sign(text, SIGNS):
            return None
        if text and not reasoning_of(event):
            return self._sorted(event, choice, text, view.choice(index))
        return Released([*choice.take(), event]) if choice.held else None

    def watches(self, type_: str, view: ChatView) -> str | None:  # noqa: ARG002 - texts alone
        """Watch for tags, and for code; see everything while something waits."""
        if type_ != TEXT:
            return ""
        if len(self._choices) > MOST_CHOICES or any(choice.held for choice in self._choices.values()):
            return None
        return SIGNS

    def _sorted(
        self, event: Event, choice: _Choice, text: str, seen: ChatChoiceView
    ) -> Sequence[Event] | Verdict | None:
        spans = choice.feed(text, is_line_blank=seen.text("content").is_line_blank)
        choice.held.append(event)
        if event.type == FINISH:
            choice.spans.give_up()
        if any(kind is not Kind.TEXT for kind, _ in spans):
            return self._made(choice, spans)
        if len(choice.held) > MAX_HELD_EVENTS:
            choice.spans.give_up()
        passing = choice.take() if not choice.spans.is_waiting else _known(choice, spans)
        return None if passing == [event] else Released(passing)

    def _made(self, choice: _Choice, spans: Spans) -> list[Event]:
        """Return the chunks with their content sorted; hold what of the last is not known, if it can still be a thought."""
        made: list[Event] = []
        held, choice.held, choice.known = choice.held, [], 0
        sizes = [len(content_of(each)) for each in held]
        if not choice.spans.is_waiting and spans[-1][1] < sum(sizes):
            spans = [*spans, (Kind.TEXT, sum(sizes))]
        for each, own in zip(held, spread(spans, sizes), strict=True):
            if not own:  # it says nothing
                made.append(each)
                continue
            text, end = content_of(each), own[-1][2]
            texts = [(_NAMES[kind], text[start:behind]) for kind, start, behind in own if kind in _NAMES]
            made += [each] if texts == [("content", text)] else with_texts(each, texts) or emptied(each)
            if end < len(text):
                choice.held.append(remainder_of(each, "content", text[end:]))
        return made


def _known(choice: _Choice, spans: Spans) -> list[Event]:
    """Take and return the chunks of which all is known: text."""
    end = spans[-1][1] if spans else 0
    passing: list[Event] = []
    while choice.held and len(content_of(choice.held[0])) <= end:
        passing.append(choice.held.pop(0))
        end -= len(content_of(passing[-1]))
    choice.known = end
    return passing
