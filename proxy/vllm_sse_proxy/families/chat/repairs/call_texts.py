"""Calls in the content (C20): ``<tool_call>{"name": ..}</tool_call>`` as text, and ``stop``.

It happens where the parser does not fit the model, where reasoning hides the opening token from it, where several tokens come
in one step, and to every parser now and then. The agent then shows markup, and stops.

From the chunk with a marker on, with a tool of the request behind it, content waits for the finish of its choice: only then
it is known whether the parser sent the call as well. If what waited consists of whole calls of tools of the request, those
that the parser did not send leave as calls, behind its own; otherwise it leaves as it came. Chunks before that never wait, and
neither does any text of a request without tools.

The closing marker of a call that stands alone at the end of the content (``</tool_call>``) goes: its beginning was taken by
the parser, or never came. Where a ``<`` stands before it, it may belong to the answer, and stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import CHAT_CHOICE_TYPES, inserted_delta, piece_of
from vllm_sse_proxy.families.chat.grammar import FUNCTION
from vllm_sse_proxy.families.chat.reasons import reason_of
from vllm_sse_proxy.families.chat.request import ChatRequest, Choice
from vllm_sse_proxy.families.chat.texts import content_of, is_silent, keep_behind, release_before, with_texts
from vllm_sse_proxy.families.chunks import FINISH, OVER, TEXT, choice_of, index_of
from vllm_sse_proxy.families.texts.call_texts import (
    SIGNS,
    LeakedCall,
    find_call,
    find_closings,
    read_calls,
    unsent,
)
from vllm_sse_proxy.families.texts.signs import has_sign
from vllm_sse_proxy.stream.repair import Released, Repair
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.repair import Verdict

_BESIDE: Final = 1000
"""What calls beside those of the parser are numbered from, where it has none: ``call_indexes`` numbers all of them anew."""
_MOST_READINGS: Final = 4
"""How often what waits is read while the parser sends calls: more texts than that between these are answers."""
_WHOLE: Final = frozenset({"stop", "tool_calls"})
"""Finish reasons of an answer that has its end."""


class _Held:
    """Content that may be a call.

    :ivar events: its chunks.
    :ivar begins: whether it begins like a call, not only like the beginning of one.
    :ivar is_whole: whether it is known to consist of whole calls.
    :ivar readings: how often it was read to know that.
    :ivar text: its text.
    :ivar at: where in that text the call may begin.
    """

    __slots__ = ("at", "begins", "events", "is_whole", "readings", "text")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.begins = False
        self.is_whole = False
        self.readings = 0
        self.text = ""
        self.at = 0

    def passing(self) -> list[Event]:
        """Take and return the chunks before the one in which the call may begin."""
        passed = 0
        for event in self.events:
            size = len(content_of(event))
            if size > self.at:
                break
            self.at -= size
            self.text = self.text[size:]
            passed += 1
        passing, self.events = self.events[:passed], self.events[passed:]
        return passing


class CallTexts(Repair):
    """Turn calls that came as content into calls."""

    __slots__ = ("_held", "_opened", "_request")

    name: ClassVar = "call_texts"
    summary: ClassVar = "a call of a tool of the request that came as content is a call"
    fixes: ClassVar = ("C20",)
    handles: ClassVar = CHAT_CHOICE_TYPES | OVER

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._request = ChatRequest.of(context)
        self._held: dict[int, _Held] = {}
        self._opened: set[int] = set()
        """choices that have had a ``<`` in their content, which may have opened what is closed at its end"""

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Hold content that may be a call; at the finish, return the calls that it is."""
        if event.type in OVER:
            return release_before(event, [each for known in self._held.values() for each in known.events])
        if not self._may_call():
            return None
        index = index_of(choice_of(event))
        if is_silent(event):
            return keep_behind(event, self._held[index].events) if index in self._held else None
        known = self._held.pop(index, None)
        if event.type == FINISH:
            return self._finish(event, known, view)
        text = content_of(event)
        if known is None and event.type == TEXT and not has_sign(text, SIGNS):
            return None
        if piece_of(event) is not None:
            return None if known is None else self._beside(event, known, index)
        if not text:
            return None if known is None else self._let_go(known.events, event, index)
        if not view.may_wait(index):
            return None
        return self._text(event, known or _Held(), index, text, view)

    def watches(self, type_: str, view: ChatView) -> str | None:  # noqa: ARG002 - any text may begin a call
        """Watch for what calls begin with; see everything that may belong to one."""
        if type_ != TEXT or not self._may_call():
            return ""
        return None if self._held else SIGNS

    def _may_call(self) -> bool:
        return (
            bool(self._request.tools)
            and self._request.choice is not Choice.NONE
            and not self._request.keeps_tokens
        )

    def _beside(self, event: Event, known: _Held, index: int) -> Verdict | None:
        """Hold whole calls on while the parser sends calls of its own; let everything else go before these."""
        if not known.is_whole and known.readings < _MOST_READINGS:
            known.readings += 1
            known.is_whole = bool(self._calls_in(known.text[known.at :]))
        if not known.is_whole:
            return self._let_go(known.events, event, index)
        self._held[index] = known
        return None

    def _let_go(self, events: list[Event], event: Event, index: int) -> Verdict:
        """Let what is held go before an event."""
        self._opened.add(index)
        return Released([*events, event])

    def _text(self, event: Event, known: _Held, index: int, text: str, view: ChatView) -> Verdict | None:
        """Let chunks pass up to the one in which a call may begin, and hold the rest."""
        known.events.append(event)
        if known.begins:
            known.text += text
            known.is_whole = known.is_whole and text.isspace()
            if len(known.events) > MAX_HELD_EVENTS:
                self._opened.add(index)
                return Released(known.events)
            self._held[index] = known
            return Released(())
        begun = known.text[: known.at]
        at_start = (
            view.choice(index).is_blank("content")
            and not begun.strip()
            and not self._request.wants_json
            and not view.choice(index).calls
        )
        known.text += text
        at, known.begins = find_call(known.text[known.at :], self._request.tools, at_start=at_start)
        known.at += at
        if not known.begins and index not in self._opened:
            known.at = min(known.at, find_closings(known.text)[0])
        passing = known.passing()
        if any("<" in content_of(one) for one in passing):
            self._opened.add(index)
        if known.events:
            self._held[index] = known
        return None if passing == [event] else Released(passing)

    def _finish(self, event: Event, known: _Held | None, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Return the calls that the held content consists of, with the finish; or all as it came."""
        choice = choice_of(event)
        seen = view.choice(index_of(choice))
        text = content_of(event)
        held = [] if known is None else known.events
        whole = "".join(map(content_of, held)) + text
        may_be_bare = seen.is_blank("content") and not self._request.wants_json and not seen.calls
        at, _ = find_call(whole, self._request.tools, at_start=may_be_bare)
        is_whole = reason_of(event) in _WHOLE and piece_of(event) is None
        calls = self._calls_in(whole[at:]) if is_whole else []
        if not calls:
            at, are_whole = find_closings(whole)
            if not are_whole or index_of(choice) in self._opened:
                return Released([*held, event]) if held else None
        before = [inserted_delta(event, {"content": whole[:at]})] if at else []
        new = unsent(calls, [(call.name, call.arguments.text) for call in seen.calls])
        number = _BESIDE if seen.calls else 0
        made = [_call_event(event, number + place, call) for place, call in enumerate(new)]
        return [*before, *made, *with_texts(event, [])]

    def _calls_in(self, text: str) -> list[LeakedCall]:
        """Return the calls that a text consists of; none if it is anything else."""
        request = self._request
        return read_calls(text, request.tools, request.types()) if text else []


def _call_event(event: Event, number: int, call: LeakedCall) -> Event:
    """Return a whole call as one piece; its id is made later if the model wrote none."""
    piece: dict[str, Any] = {
        "index": number,
        "id": call.id or None,
        "type": FUNCTION,
        "function": {"name": call.name, "arguments": call.arguments},
    }
    return inserted_delta(event, {"tool_calls": [piece]})
