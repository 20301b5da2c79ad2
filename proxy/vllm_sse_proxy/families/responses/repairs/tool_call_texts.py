"""Tool calls streamed as text (R03, R37).

vLLM 0.10.2 to 0.17 run no tool parser in a stream of ``/v1/responses``: the call comes as ``<tool_call>{"name": …`` in
``output_text.delta``, and as a ``function_call`` only in ``response.completed``. Up to 0.20 a forced call (``tool_choice``
required or named) streams its JSON as text (R37). Agents see prose and no call.

Text from a known marker on is held back, only where the request has tools, and only until the response is over or goes on
otherwise: if the final output holds calls, they are told as calls (``untold_items``) and the text never was; if not, it is
told as it came. While the end of a delta may be the beginning of a marker, that delta waits for the next one. Where a call is
forced, so does the announcement of a message, and white space at its beginning: if the message turns out to be the call, it is
never told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.events import object_in
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.families.responses.grammar import item_kind
from vllm_sse_proxy.families.responses.moved import HOLD, Moved
from vllm_sse_proxy.families.responses.repairs.base import MAX_HELD_DELTAS, Phase, Repair, Seen, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView

MARKERS: Final = (
    "<tool_call>",
    "<tool_calls>",
    "<function=",
    "<function_call",
    "<|tool_call",
    "<|python_tag|>",
    "<minimax:tool_call>",
    "[TOOL_CALLS]",
    "<｜tool▁calls▁begin｜>",  # noqa: RUF001 - DeepSeek's own characters
)
"""What calls begin with in the output of models that vLLM has parsers for (hermes, qwen, llama, mistral, deepseek …)."""

_SIGNS: Final = "<["
"""What one of them begins with."""
_LONGEST: Final = max(map(len, MARKERS))
_CALLS: Final = ("function_call", "custom_tool_call")
_RUN: Final = grammar.OUTPUT_TEXT
_CLOSINGS: Final = frozenset({_RUN.done, grammar.PART_DONE, grammar.ITEM_DONE})
_OPENINGS: Final = frozenset({grammar.ITEM_ADDED, grammar.PART_ADDED})


class ToolCallTexts(Repair):
    """Tell a call that upstream streamed as text as the call that it is."""

    __slots__ = ("_has_tools", "_held", "_is_forced", "_place", "_spoken")

    name: ClassVar = "tool_call_texts"
    summary: ClassVar = "a tool call streamed as raw text (`<tool_call>…`) is told as a call"
    fixes: ClassVar = ("R03", "R37")
    phase: ClassVar = Phase.IDENTITY
    handles: ClassVar = None
    holds: ClassVar = True
    reads_deltas: ClassVar = True

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._has_tools: bool | None = None
        self._is_forced = False
        self._spoken: Seen = {}
        """upstream's ids of items that began with something else than a forced call"""
        self._held: list[Event] = []
        """events of one item: the deltas whose end may begin a marker, or all from the delta with the marker on; before them,
        where a call is forced, what announces the item"""
        self._place = -1
        """where the marker stands in the joined text of the held deltas"""

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Hold what may be a call; release it or forget it when the response shows which it is."""
        held = self._held
        if self._announces(event, view):
            self._held, self._place = [event], -1
            return Moved(held) if held else HOLD
        if event.type == grammar.PART_ADDED and held and held[-1].type == grammar.ITEM_ADDED:
            held.append(event)
            return HOLD
        if event.type == _RUN.delta and type(event.body.get("delta")) is str:
            if self._has_tools is None:
                self._ask(view)
            if self._has_tools:
                return self._read(event)
        if not held:
            return None
        found = self._place >= 0
        if found and event.type in _CLOSINGS and _id_of(event) == _id_of(held[0]):
            held.append(event)
            return HOLD
        self._held, place, self._place = [], self._place, -1
        if found and event.type in grammar.TERMINAL and _proves_calls(event, view):
            # The item closes with the text before the marker, and the calls are told from the final output.
            opening = [one for one in held if one.type in _OPENINGS]
            before = _text_of(held)[:place]
            if not (before.strip() if opening else before):
                return [event]
            return [*opening, held[len(opening)].having(delta=before), event]
        return Moved((*held, event))

    def signs(self, type_: str, spelling: str) -> str | None:  # noqa: ARG002 - upstream has one name for it
        """Wish to be asked about what may begin a marker, and about everything while something waits or a call is forced."""
        if self._held:
            return None
        if type_ != _RUN.delta or self._has_tools is False:
            return ""
        return None if self._is_forced or self._has_tools is None else _SIGNS

    def _announces(self, event: Event, view: ClientView) -> bool:
        """Tell whether the event announces a message where a call is forced."""
        if (
            event.type != grammar.ITEM_ADDED
            or item_kind(object_in(event.body, "item").get("type")) is not grammar.MESSAGE
        ):
            return False
        if self._has_tools is None and view.response is not None:
            self._ask(view)
        return bool(self._has_tools) and self._is_forced

    def _ask(self, view: ClientView) -> None:
        """Look what the response echoes of the request: a replay of the stream shows that too, the request's body not."""
        response: dict[str, Any] = view.response or {}
        self._has_tools = bool(response.get("tools"))
        self._is_forced = response.get("tool_choice") == "required" or isinstance(
            response.get("tool_choice"), dict
        )

    def _read(self, event: Event) -> Sequence[Event] | None:
        """Look for a marker in a delta and in those that wait before it."""
        waiting, delta, id_ = self._held, event.body["delta"], _id_of(event)
        if waiting and id_ != _id_of(waiting[0]):
            self._held, self._place = [], -1
            after = self._read(event)
            return Moved((*waiting, *(after if after is not None else (event,))))
        if self._place >= 0:
            waiting.append(event)
            if len(waiting) <= MAX_HELD_DELTAS:
                return HOLD
            self._held, self._place = [], -1
            return Moved(waiting)
        if not waiting and not self._is_forced and not any(sign in delta for sign in _SIGNS):
            return None
        waiting.append(event)
        text = _text_of(waiting)
        self._place = self._find(text, id_)
        may_begin = waiting[0].type in _OPENINGS and not text.strip() and len(waiting) <= MAX_HELD_DELTAS
        if self._place >= 0 or may_begin:
            return HOLD
        start = _start_of_marker(text)
        released: list[Event] = []
        while (
            waiting and len(text) - len(_text_of(waiting[:1])) >= start
        ):  # the marker begins later, or nowhere
            released.append(waiting.pop(0))
            text = text[len(_text_of(released[-1:])) :]
        return None if released == [event] else Moved(released)

    def _find(self, text: str, id_: str | None) -> int:
        """Return where a call begins in the text; -1 if nowhere."""
        places = (
            [place for marker in MARKERS if (place := text.find(marker)) >= 0]
            if any(sign in text for sign in _SIGNS)
            else []
        )
        if self._is_forced and id_ not in self._spoken:
            bare = text.lstrip()
            if bare.startswith(("[", "{")):
                places.append(len(text) - len(bare))
            elif bare:
                self._spoken[id_] = None
        return min(places, default=-1)


def _text_of(events: Sequence[Event]) -> str:
    """Return what the deltas among these events tell."""
    return "".join(event.body["delta"] for event in events if event.type == _RUN.delta)


def _id_of(event: Event) -> str | None:
    """Return the id of the event's item; None for one that is no string, which no set could hold."""
    id_ = event.body.get("item_id")
    if event.type in (grammar.ITEM_ADDED, grammar.ITEM_DONE):
        item = event.body.get("item")
        id_ = item.get("id") if isinstance(item, dict) else None
    return id_ if isinstance(id_, str) else None


def _proves_calls(terminal: Event, view: ClientView) -> bool:
    """Tell whether the final output holds a call that was told neither as a call nor otherwise."""
    response = terminal.body.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    return any(item.get("type") in _CALLS for item in match_final(view, output).unsent)


def _start_of_marker(text: str) -> int:
    """Return how many characters at the end of the text may be the beginning of a marker."""
    for length in range(min(len(text), _LONGEST - 1), 0, -1):
        if any(marker.startswith(text[-length:]) for marker in MARKERS):
            return length
    return 0
