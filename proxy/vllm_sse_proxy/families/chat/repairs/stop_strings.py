"""Stop strings that stand in the text that they ended (C41).

vLLM takes them out of a text, but not on gpt-oss's path (0.17, 0.32): content and reasoning end with the string, and with what
else came in the same step. Clients that ask for ``stop`` count on not seeing it. ``stop_reason`` names the string, so what is
to go is certain; without that, and with ``include_stop_str_in_output``, nothing is looked for.

Chunks wait only while their end may be the beginning of a stop string. A whole one waits for what follows: more text shows
that it ended nothing (``min_tokens``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.chat.chunks import CHAT_CHOICE_TYPES, REASONING
from vllm_sse_proxy.families.chat.reasons import reason_of
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.families.chat.texts import (
    content_of,
    emptied,
    is_silent,
    keep_behind,
    reasoning_of,
    release_before,
    with_texts,
)
from vllm_sse_proxy.families.chunks import FINISH, OVER, TEXT, choice_of, index_of
from vllm_sse_proxy.families.texts.signs import has_sign
from vllm_sse_proxy.families.texts.stop_strings import begun_at, holds_stop, settled_by, signs_of
from vllm_sse_proxy.stream.repair import Released, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.repair import Verdict


class _Held:
    """Chunks of one text, at whose end a stop string stands or may begin.

    :ivar name: the member that the text comes in.
    :ivar text: that of all chunks.
    :ivar has_stop: whether a whole stop string stands in it.
    """

    __slots__ = ("events", "has_stop", "name", "text")

    def __init__(self, name: str) -> None:
        self.events: list[Event] = []
        self.name = name
        self.text = ""
        self.has_stop = False


class StopStrings(Repair):
    """Let a text end before the stop string that ended it."""

    __slots__ = ("_held", "_signs", "_stops")

    name: ClassVar = "stop_strings"
    summary: ClassVar = "a text that a stop string of the request ended does not hold that string"
    fixes: ClassVar = ("C41",)
    handles: ClassVar = CHAT_CHOICE_TYPES | OVER

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._stops = ChatRequest.of(context).stops
        self._signs = signs_of(self._stops)
        self._held: dict[int, _Held] = {}
        """by the index of the choice"""

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Hold what may be a stop string, and cut the text at one when its choice is finished."""
        if not self._stops:
            return None
        if event.type == TEXT and not self._held and not self._may_begin(event):
            return None
        if event.type in OVER:
            return release_before(event, [each for known in self._held.values() for each in known.events])
        index = index_of(choice_of(event))
        if is_silent(event):
            return keep_behind(event, self._held[index].events) if index in self._held else None
        known = self._held.pop(index, None)
        reasoning = reasoning_of(event)
        name, text = (REASONING, reasoning) if reasoning else ("content", content_of(event))
        passing: list[Event] = []
        if known is not None and (text or event.type != FINISH) and (known.name != name or not text):
            passing, known = known.events, None
        if event.type == FINISH:
            return self._finish(event, passing, known or _Held(name), text)
        if text and view.may_wait(index):
            return self._text(event, index, passing, known or _Held(name), text)
        return Released([*passing, event]) if passing else None

    def watches(self, type_: str, view: ChatView) -> str | None:  # noqa: ARG002 - any text may hold one
        """Watch for what stop strings begin with; see everything while one may go on."""
        if type_ != TEXT or not self._stops:
            return ""
        return None if self._held else self._signs

    def settled(self, waiting: str, words: str, type_: str, view: ChatView) -> int:  # noqa: ARG002 - texts alone may wait
        """Return where a stop string may begin at the end of a text."""
        text = waiting + words if waiting else words
        return settled_by(text, self._stops) if type_ == TEXT else len(text)

    def _may_begin(self, event: Event) -> bool:
        """Return whether a delta has a character that a stop string begins with."""
        return has_sign(reasoning_of(event) or content_of(event), self._signs)

    def _text(
        self, event: Event, index: int, passing: list[Event], known: _Held, text: str
    ) -> Verdict | None:
        """Hold a chunk if a stop string stands in the text, or may begin at its end; let go what need not wait."""
        if known.has_stop:  # which ended nothing
            passing = [*passing, *known.events]
            known = _Held(known.name)
        known.events.append(event)
        known.text += text
        known.has_stop = holds_stop(known.text, self._stops)
        if not known.has_stop:
            passing = [*passing, *self._passing(known)]
        if known.events:
            self._held[index] = known
        return None if passing == [event] else Released(passing)

    def _passing(self, known: _Held) -> list[Event]:
        """Take and return the chunks before the one in which a stop string may begin."""
        at = begun_at(known.text, self._stops)
        passed, end = 0, 0
        for event in known.events:
            size = len(reasoning_of(event) or content_of(event))
            if end + size > at:
                break
            end += size
            passed += 1
        passing, known.events = known.events[:passed], known.events[passed:]
        known.text = known.text[end:]
        return passing

    def _finish(
        self, event: Event, passing: list[Event], known: _Held, text: str
    ) -> Sequence[Event] | Verdict | None:
        """Return what is held and the finish: without the stop string, and what follows it, if that ended the choice."""
        choice = choice_of(event)
        stop = choice.get("stop_reason")
        at = -1
        if reason_of(event) == "stop" and type(stop) is str and stop in self._stops:
            at = (known.text + text).find(stop)
        events = [*known.events, event]
        if at < 0:
            return Released([*passing, *events]) if passing or known.events else None
        made = list(passing)
        for each in events:
            words = reasoning_of(each) or content_of(each)
            made += [each] if len(words) <= max(0, at) else _shortened(each, known.name, words[: max(0, at)])
            at -= len(words)
        return made


def _shortened(event: Event, name: str, words: str) -> list[Event]:
    """Return a chunk with fewer words; none of one without words, if it has nothing else."""
    return with_texts(event, [(name, words)] if words else []) or emptied(event)
