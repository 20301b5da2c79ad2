"""Tool calls streamed as text (R03, R37).

vLLM 0.10.2 to 0.17 run no tool parser in a stream of ``/v1/responses``: the call comes as ``<tool_call>{"name": …`` in
``output_text.delta``, and as a ``function_call`` only in ``response.completed``; later releases do so with some calls. Up to
0.20 a forced call (``tool_choice`` required or named) streams its JSON as text (R37). Agents see prose and no call.

Where the request has tools, text is held from the place on where a call begins (``call_markers``), until the terminal event
shows what it is:

- The final output has a call that the text names, and no message with that text: the text was a call. It is dropped, and
  ``unsent_items`` sends the call if it was not streamed. What the final message says around it is emitted.
- Anything else: it is text, and leaves as it came. A model may explain how calls are written, and nothing here makes a call.

A call that upstream streams behind such a text, too, and that the text names, is held with it, so that the order stays. If
something else follows, arguments that all stand in the text show that both are one call.

While the end of a delta may be the beginning of a call, that delta waits for the next one. The announcement of a message, and
white space after it, wait for its first word: if that is the call, the message is never announced, which would stay
empty. Reasoning is not held: it is not the answer, models think about how they will call, and no parser of vLLM takes a
call from it while it is reasoning.

All of this is bounded by ``MAX_HELD_EVENTS`` and ``max_text_bytes``, and linear: a text is joined once, when it is judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.call_markers import SIGNS, Marker, find_call
from vllm_sse_proxy.families.responses.call_texts import Kept, is_named, is_repeated, kept_of, words_of
from vllm_sse_proxy.families.responses.echo import Echo
from vllm_sse_proxy.families.responses.events import item_id_of
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.families.responses.grammar import item_kind
from vllm_sse_proxy.families.responses.item_texts import text_of
from vllm_sse_proxy.stream.event import COMMENT, END
from vllm_sse_proxy.stream.repair import HOLD, PASS, Released, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView, ItemView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event

_RUN: Final = grammar.OUTPUT_TEXT
_CALLS: Final = (grammar.FUNCTION_CALL.type, grammar.CUSTOM_CALL.type)
_ARGUMENTS: Final = (grammar.FUNCTION_ARGUMENTS, grammar.CUSTOM_INPUT)
_OF_CALLS: Final = frozenset(type_ for run in _ARGUMENTS for type_ in (run.delta, run.done))
_CLOSINGS: Final = (_RUN.done, grammar.PART_DONE, grammar.ITEM_DONE)
_MANY_ITEMS: Final = 64
"""Items of a stream that are looked at for one text: what belongs together stands together, and this is done for each text."""


class ToolCallTexts(Repair):
    """Send a call that upstream streamed as text as the call that it is."""

    __slots__ = (
        "_before",
        "_begun",
        "_echo",
        "_is_forced",
        "_item",
        "_marker",
        "_may_call",
        "_openings",
        "_size",
        "_tail",
        "_words",
    )

    name: ClassVar = "tool_call_texts"
    summary: ClassVar = "a tool call streamed as raw text (`<tool_call>…`) is sent as a call"
    fixes: ClassVar = ("R03", "R37")
    handles: ClassVar = None

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._may_call: bool | None = None
        """whether the request has tools and lets the model call them; None until the response is known"""
        self._is_forced = False
        self._echo: Echo | None = None
        self._item = ""
        """upstream's id of the item whose text was read last"""
        self._begun = False
        """whether that text has a word before what is held of it"""
        # What is held: events of one message (what announces it, its deltas, its closings), and calls that its text names.
        self._openings = 0
        """how many held events announce the message"""
        self._size = 0
        """characters of the held deltas"""
        self._before = 0
        """how many of those come before the place where a call begins, or may begin"""
        self._tail = ""
        """what comes after them while a call only may begin there; read again with each delta, and so bounded"""
        self._marker: Marker | None = None
        """what the call begins with, once the text looks like one for sure"""
        self._words: frozenset[str] | None = None
        """the words of what may be a call, once one that was streamed may be held behind it"""

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | Verdict | None:
        """Hold what may be a call; release it or drop it when the response shows which it is."""
        type_ = event.type
        if type_ == _RUN.delta and type(event.body.get("delta")) is str:
            return self._read(event, view) if self._is_asked(view) else None
        if (
            type_ == grammar.ITEM_ADDED
            and item_kind(_type_of(event)) is grammar.MESSAGE
            and self._is_asked(view)
        ):
            made = self._settle(None, view)
            self._item, self._begun = item_id_of(event), False
            self.held, self._openings = [event], 1
            return made
        if not self.held:
            return None
        if self._passes_by(event):
            return PASS
        if self._belongs(event):
            return self._hold(event)
        return _with(self._settle(event, view), [event])

    def watches(self, type_: str, view: ClientView) -> str | None:  # noqa: ARG002 - it has seen what the request allows
        """Return what may begin a call; None while a message begins."""
        if type_ != _RUN.delta or self._may_call is False:
            return ""
        return SIGNS if self._begun else None

    def _is_asked(self, view: ClientView) -> bool:
        """Return whether the request lets the model call tools, as the response echoes it: a replay shows that too."""
        if self._may_call is None:
            if view.response is None:
                return False
            tools, choice = view.response.get("tools"), view.response.get("tool_choice")
            self._is_forced = choice == "required" or (
                isinstance(choice, dict)
                and (choice.get("type") != "allowed_tools" or choice.get("mode") == "required")
            )
            self._may_call = bool(tools) and choice != "none"
            self._echo = Echo(tools)
        return self._may_call

    # Reading

    def _read(self, event: Event, view: ClientView) -> Sequence[Event] | Verdict | None:
        """Look for the beginning of a call in a delta and in those that wait before it."""
        id_, delta = item_id_of(event) or self._item, event.body["delta"]
        if (id_ != self._item and len(self.held) > self._openings) or self._words is not None:
            made = self._settle(None, view)
            after = self._read(event, view)  # nothing is held any more, so it is None or what goes on
            return _with(
                made, [event] if after is None else after.events if isinstance(after, Released) else []
            )
        self._begun = self._begun and id_ == self._item
        self._item = id_
        if not self.held and (not delta or (self._begun and not any(sign in delta for sign in SIGNS))):
            return None
        self._size += len(delta)
        if self._marker is not None or not delta:
            return self._hold(event)
        self.held.append(event)
        waits = self._finds(delta)
        passed = self._passed()
        if not (waits or self._openings):
            passed += self.take()
        return None if passed == [event] else Released(passed)

    def _finds(self, delta: str) -> bool:
        """Return whether a call begins, or may begin, in the text from the last such place on; note where."""
        text = self._tail + delta
        assert self._echo is not None  # noqa: S101 - deltas are read only where it is known
        found = find_call(text, self._echo, is_first=not self._begun, is_forced=self._is_forced)
        self._begun = self._begun or text[: found.place].strip() != ""
        self._before += found.place
        self._tail = text[found.place :]
        self._marker = found.marker
        return self._tail != ""

    def _passed(self) -> list[Event]:
        """Return what need not be held: the deltas before the place where a call may begin, and what announces them."""
        held, openings, before = self.held, self._openings, self._before
        if openings and not self._begun:
            return []  # white space of a message that may be nothing but a call
        passed = openings
        while passed < len(held) and len(held[passed].body["delta"]) <= before:
            before -= len(held[passed].body["delta"])
            passed += 1
        self.held, self._openings = held[passed:], 0
        self._size -= self._before - before
        self._before = before
        return held[:passed]

    def _hold(self, event: Event) -> Verdict:
        """Hold an event; release all if that is too much text."""
        if self._size <= self.context.settings.max_text_bytes:
            return HOLD
        return Released([*self.take(), event])

    def take(self) -> list[Event]:
        """Return what is held, and forget what was found in it."""
        held = super().take()
        self._begun = self._begun or self._marker is not None or self._tail != ""
        self._openings = self._size = self._before = 0
        self._tail, self._marker, self._words = "", None, None
        return held

    # What follows a held text

    def _passes_by(self, event: Event) -> bool:
        """Return whether an event says nothing about a held text: a heartbeat of upstream's, the response's opening again.

        An announcement without a word is not kept through a heartbeat.
        """
        if event.type == COMMENT:
            return self._marker is not None or self._tail != ""
        return event.type in grammar.OPENING

    def _belongs(self, event: Event) -> bool:
        """Return whether an event is kept with what is held: more of the message, or calls that its text names."""
        held, type_ = self.held, event.type
        if type_ == grammar.PART_ADDED and len(held) == self._openings == 1:
            self._openings = 2
            return True
        if self._marker is None:
            return False
        if type_ in _CLOSINGS and item_id_of(event) in (self._item, item_id_of(held[0])):
            return True
        if type_ in _OF_CALLS or (type_ == grammar.ITEM_DONE and _type_of(event) in _CALLS):
            return self._words is not None
        if type_ != grammar.ITEM_ADDED or _type_of(event) not in _CALLS:
            return False
        if self._words is None:
            self._words = words_of(_text_of(held)[self._before :])
        return is_named([event.body["item"]], self._words)

    def _settle(self, event: Event | None, view: ClientView) -> list[Event] | Released:
        """Return what becomes of the held events.

        :param event: the event that comes after them; None if it is of no account.
        """
        marker, place, openings = self._marker, self._before, self._openings
        held = self.take()
        if marker is None:
            return Released(held)
        text = _text_of(held)
        message = _open_message(view)
        emitted = _text_sent(message) if message is not None and not openings else ""
        output = _output_of(event)
        kept = kept_of(
            emitted, text, place, marker, [text_of(item) for item in output if item["type"] == "message"]
        )
        is_over = event is not None and (event.type in grammar.TERMINAL or event.type is END)
        markup = text[kept.end :]
        is_call = (
            self._is_proven(markup, output, view) if output else _is_streamed(markup, held, view, is_over)
        )
        if not is_call:
            return Released(held)
        said = text[: kept.cut] + kept.rest
        calls = [one for one in held if one.type in _OF_CALLS or _type_of(one) in _CALLS]
        if not (said.strip() if openings else said) and (openings or message is None):
            return calls  # nothing else was in the message
        return [*held[:openings], *_cut(held, kept), *_closed(held, emitted + said), *calls]

    def _is_proven(self, markup: str, output: Sequence[Body], view: ClientView) -> bool:
        """Return whether a text that no final message has is a call of the final output."""
        calls = [item for item in output if item["type"] in _CALLS]
        if not markup or not calls:
            return False
        return is_named(calls, words_of(markup)) or (
            self._is_forced and any(item.get("type") in _CALLS for item in match_final(view, output).unsent)
        )


def _with(made: list[Event] | Released, events: Sequence[Event]) -> list[Event] | Released:
    """Return what became of held events, and events behind it."""
    if isinstance(made, Released):
        return Released([*made.events, *events])
    return [*made, *events]


def _is_streamed(markup: str, held: Sequence[Event], view: ClientView, is_over: bool) -> bool:  # noqa: FBT001 - one caller
    """Return whether a text is a call that was streamed: behind it or, if no more will come, anywhere."""
    calls = _calls_in(held)[:_MANY_ITEMS]
    if is_over:
        items = view.items[-_MANY_ITEMS:]
        calls += [(item.item, item.own.text) for item in items if item.own is not None]
    words = words_of(markup) if calls else frozenset()
    return any(is_named([call], words) and is_repeated(call, streamed, markup) for call, streamed in calls)


def _type_of(event: Event) -> str:
    """Return the type of the item that an event announces or closes; empty for other events."""
    item = event.body.get("item") if event.type in grammar.OF_ITEMS else None
    type_ = item.get("type") if isinstance(item, dict) else None
    return type_ if isinstance(type_, str) else ""


def _text_of(held: Sequence[Event]) -> str:
    return "".join(event.body["delta"] for event in held if event.type == _RUN.delta)


def _output_of(event: Event | None) -> list[Body]:
    """Return the items of the final output; none for an event that has none."""
    response = event.body.get("response") if event is not None and event.type in grammar.TERMINAL else None
    output = response.get("output") if isinstance(response, dict) else None
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    return [item for item in items if isinstance(item.get("type"), str)]


def _open_message(view: ClientView) -> ItemView | None:
    """Return the message that the client is being sent."""
    items = reversed(view.items[-_MANY_ITEMS:])
    last = next((item for item in items if item.kind is grammar.MESSAGE), None)
    return last if last is not None and not last.closed else None


def _text_sent(message: ItemView) -> str:
    return "".join(part.text for part in message.parts)


def _calls_in(held: Sequence[Event]) -> list[tuple[Body, str]]:
    """Return the items of the held calls, with the arguments or the input that were streamed of them."""
    calls: list[tuple[Body, str]] = []
    pieces: list[str] = []
    for event in held:
        if event.type in grammar.OF_ITEMS and _type_of(event) in _CALLS:
            if event.type == grammar.ITEM_ADDED:
                pieces = []
            else:
                calls.append((event.body["item"], "".join(pieces)))
        elif event.type in (grammar.FUNCTION_ARGUMENTS.delta, grammar.CUSTOM_INPUT.delta):
            pieces.append(str(event.body.get("delta")))
    return calls


def _cut(held: Sequence[Event], kept: Kept) -> list[Event]:
    """Return the deltas that hold what is kept of their text, which is not all of it."""
    deltas = [event for event in held if event.type == _RUN.delta]
    left, whole = kept.cut, 0
    while left >= len(deltas[whole].body["delta"]):
        left -= len(deltas[whole].body["delta"])
        whole += 1
    if not left and not kept.rest:
        return deltas[:whole]
    cut = deltas[whole].having(delta=deltas[whole].body["delta"][:left] + kept.rest, logprobs=[])
    return [*deltas[:whole], cut]


def _closed(held: Sequence[Event], text: str) -> list[Event]:
    """Return the closings of a message that says ``text``."""
    made: list[Event] = []
    for event in held:
        if event.type == _RUN.done:
            made.append(event.having(text=text, logprobs=[]))
        elif event.type == grammar.PART_DONE:
            part: Any = event.body.get("part")
            made.append(event.having(part={**part, "text": text} if isinstance(part, dict) else part))
        elif event.type == grammar.ITEM_DONE and item_kind(_type_of(event)) is grammar.MESSAGE:
            part = {"type": _RUN.part_type, "text": text, "annotations": [], "logprobs": []}
            made.append(event.having(item={**event.body["item"], "content": [part]}))
    return made
