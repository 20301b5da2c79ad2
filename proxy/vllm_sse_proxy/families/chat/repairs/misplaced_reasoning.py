"""Tags of thinking that a parser should have taken out (C25, C36), and answers that came as reasoning.

All of it needs evidence. Content is looked at only in a choice that has had reasoning, so that a parser is at work: a server
without one, whose operator wants ``<think>`` in the content, is left alone.

- Reasoning that begins with the opening tag leaves without it.
- Content that begins with the opening tag is reasoning up to the closing one.
- Closing tags on lines of their own, without any other tag before them, are the ends of the reasoning before them, and go.
- If the request turned thinking off, and a choice stops with reasoning alone, that was the answer (0.19): it comes again as
  content. Models that think all the same, and answer then, are left alone.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import CHAT_CHOICE_TYPES, REASONING, piece_of
from vllm_sse_proxy.families.chat.reasons import reason_of
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.families.chat.texts import (
    content_of,
    is_silent,
    keep_behind,
    reasoning_of,
    release_before,
    remainder_of,
    with_texts,
)
from vllm_sse_proxy.families.chat.view import MOST_CHOICES
from vllm_sse_proxy.families.chunks import FINISH, OVER, TEXT, choice_of, index_of
from vllm_sse_proxy.families.markup import (
    CLOSING_TAGS,
    OPENING_TAGS,
    THOUGHT_MARKERS,
    behind_openings,
    left_opening,
    partial_marker,
)
from vllm_sse_proxy.families.texts.signs import has_sign
from vllm_sse_proxy.stream.repair import Released, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatChoiceView, ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.repair import Verdict

_TAG: Final = re.compile("|".join(map(re.escape, THOUGHT_MARKERS)))
_SIGNS: Final = "<["
"""What tags begin with."""

Texts = list[tuple[str, str]]


class _Phase(Enum):
    """What the content of a choice may still hold."""

    ANYTHING = "anything"
    THOUGHTS = "thoughts"
    """It began with an opening tag."""
    TEXT = "text"
    """Nothing that is looked for."""


class _Choice:
    """What is known of a choice.

    :ivar held: chunks with the beginning of what may be a tag.
    :ivar known: how many characters of the first of them stand before that.
    :ivar name: the member in which that came.
    :ivar has_reasoned: whether reasoning has begun, with or without a tag.
    :ivar thoughts: the reasoning, where there should be none.
    """

    __slots__ = ("has_reasoned", "held", "known", "name", "phase", "thoughts")

    def __init__(self) -> None:
        self.held: list[Event] = []
        self.known = 0
        self.name = ""
        self.phase = _Phase.ANYTHING
        self.has_reasoned = False
        self.thoughts: list[str] = []

    def take(self) -> list[Event]:
        """Return what is held, and hold nothing."""
        held, self.held = self.held, []
        self.known = 0
        return held

    def answer(self) -> str:
        """Return the reasoning as the answer that it was."""
        text = "".join(self.thoughts).strip()
        return text[max(0, left_opening(text)) :].lstrip()


class MisplacedReasoning(Repair):
    """Put reasoning where it belongs, without its tags."""

    __slots__ = ("_choices", "_request")

    name: ClassVar = "misplaced_reasoning"
    summary: ClassVar = (
        "tags of thinking go, and what they enclose is reasoning; with thinking off there is none"
    )
    fixes: ClassVar = ("C25", "C36")
    handles: ClassVar = CHAT_CHOICE_TYPES | OVER

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._request = ChatRequest.of(context)
        self._choices: dict[int, _Choice] = {}

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Return the chunk with its texts in their places."""
        if event.type in OVER:
            return release_before(event, [each for known in self._choices.values() for each in known.take()])
        index = index_of(choice_of(event))
        known = self._choices.get(index)
        if is_silent(event):
            return None if known is None else keep_behind(event, known.held)
        content, reasoning = content_of(event), reasoning_of(event)
        if known is None:
            if not reasoning and view.choice(index).is_blank(REASONING):
                return None
            known = self._choices[index] = _Choice()
        if self._request.has_thinking_off:
            known.thoughts.append(reasoning)
            if self._is_answer(event, view.choice(index), content):
                texts = [(REASONING, reasoning)] if reasoning else []
                return with_texts(event, [*texts, ("content", known.answer())])
        if self._request.keeps_tokens:
            return None
        if (
            not known.held
            and known.phase is not _Phase.THOUGHTS
            and not has_sign(reasoning or content, _SIGNS)
        ):
            return None
        if not view.may_wait(index):
            return None
        return self._sorted(event, known, view.choice(index), content, reasoning)

    def watches(self, type_: str, view: ChatView) -> str | None:  # noqa: ARG002 - texts alone
        """Watch for tags; see everything while a piece of one is held."""
        if type_ != TEXT:
            return ""
        if len(self._choices) > MOST_CHOICES or any(
            known.held or known.phase is _Phase.THOUGHTS for known in self._choices.values()
        ):
            return None
        return None if self._request.has_thinking_off else _SIGNS

    def _is_answer(self, event: Event, seen: ChatChoiceView, content: str) -> bool:
        """Return whether a choice is finished by itself, with nothing but reasoning."""
        is_stop = event.type == FINISH and reason_of(event) == "stop"
        return (
            is_stop
            and content == ""
            and seen.is_blank("content")
            and not seen.calls
            and piece_of(event) is None
        )

    def _sorted(
        self, event: Event, known: _Choice, seen: ChatChoiceView, content: str, reasoning: str
    ) -> Sequence[Event] | Verdict | None:
        """Return the chunk with its text sorted, or hold its end."""
        name = REASONING if reasoning else "content"
        text = reasoning or content
        before: list[Event] = []
        if known.held and (not text or known.name != name):
            before = known.take()
        if not text:
            return Released([*before, event]) if before else None
        skipped = known.known
        held = known.take()
        whole = "".join(reasoning_of(each) or content_of(each) for each in held) + text
        begun, rest = whole[:skipped], whole[skipped:]
        texts, left = (
            self._reasoning(rest, known, seen)
            if name == REASONING
            else self._content(rest, begun, known, seen)
        )
        kind = REASONING if known.phase is _Phase.THOUGHTS else name
        if left and event.type == FINISH:
            texts, left = _joined([*texts, (kind, left)]), ""
        known.name = name
        is_same = all(each == name for each, _ in texts) and "".join(part for _, part in texts) + left == rest
        if is_same:
            passing = [*before, *_passing(known, [*held, event], len(whole) - len(left))]
            return None if passing == [event] else Released(passing)
        if left:
            known.held = [remainder_of(event, kind, left)]
        if begun:
            texts = _joined([(name, begun), *texts])
        return [*before, *with_texts(event, texts)]

    def _reasoning(self, text: str, known: _Choice, seen: ChatChoiceView) -> tuple[Texts, str]:
        """Return reasoning without the tags that it begins with, and what must wait."""
        if known.has_reasoned or not seen.is_blank(REASONING):
            known.has_reasoned = True
            return [(REASONING, text)], ""
        text, is_open = behind_openings(text)
        if is_open:
            return [], text
        known.has_reasoned = text.strip() != ""
        return ([(REASONING, text)] if text else []), ""

    def _content(self, text: str, begun: str, known: _Choice, seen: ChatChoiceView) -> tuple[Texts, str]:
        """Return content with its thoughts as reasoning, and what must wait.

        :param begun: what stands before it in the chunks that waited.
        """
        if known.phase is _Phase.TEXT:
            return [("content", text)], ""
        if known.phase is _Phase.ANYTHING and seen.is_blank("content") and not begun.strip():
            end = left_opening(text)
            if end < 0:
                return [], text
            if end > 0:
                known.phase = _Phase.THOUGHTS
                text = text[end:]
        if known.phase is _Phase.THOUGHTS:
            return self._thoughts(text, known)
        return self._closed(text, begun, known, seen)

    def _thoughts(self, text: str, known: _Choice) -> tuple[Texts, str]:
        """Return thoughts up to the closing tag as reasoning."""
        at, tag = _first(text, CLOSING_TAGS)
        if at >= 0:
            known.phase = _Phase.TEXT
            parts = [(REASONING, text[:at]), ("content", text[at + len(tag) :])]
            return [part for part in parts if part[1]], ""
        end = partial_marker(text, CLOSING_TAGS)
        return ([(REASONING, text[:end])] if end else []), text[end:]

    def _closed(self, text: str, begun: str, known: _Choice, seen: ChatChoiceView) -> tuple[Texts, str]:
        """Return content without closing tags that begin a line, up to any other tag."""
        is_blank = seen.text("content").is_line_blank
        if begun:
            is_blank = _is_line_blank(begun, is_blank=is_blank)
        kept: list[str] = []
        at = 0
        for tag in _TAG.finditer(text):
            is_blank = _is_line_blank(text[at : tag.start()], is_blank=is_blank)
            if tag.group() in OPENING_TAGS or not is_blank:
                known.phase = _Phase.TEXT
                return [("content", "".join([*kept, text[at:]]))], ""
            kept.append(text[at : tag.start()])
            at = tag.end()
        end = max(at, partial_marker(text, THOUGHT_MARKERS))
        whole = "".join([*kept, text[at:end]])
        return ([("content", whole)] if whole else []), text[end:]


def _is_line_blank(text: str, *, is_blank: bool) -> bool:
    """Return whether the last line is blank behind a text.

    :param is_blank: whether it was before that.
    """
    _, line_end, last = text.rpartition("\n")
    return (line_end != "" or is_blank) and not last.strip()


def _passing(known: _Choice, events: list[Event], end: int) -> list[Event]:
    """Return chunks up to the one in which a tag may begin; hold the rest.

    :param end: how many characters of the text of all of them need not wait.
    """
    for place, event in enumerate(events):
        size = len(reasoning_of(event) or content_of(event))
        if size > end:
            known.held, known.known = events[place:], end
            return events[:place]
        end -= size
    return events


def _first(text: str, tags: tuple[str, ...]) -> tuple[int, str]:
    """Return where the first of some tags stands in a text, and which it is; -1 if none does."""
    found = [(at, tag) for tag in tags if (at := text.find(tag)) >= 0]
    return min(found) if found else (-1, "")


def _joined(texts: Texts) -> Texts:
    """Return texts with neighbours of one name joined."""
    joined: Texts = []
    for name, text in texts:
        if joined and joined[-1][0] == name:
            joined[-1] = (name, joined[-1][1] + text)
        else:
            joined.append((name, text))
    return joined
