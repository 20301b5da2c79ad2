"""Raw reasoning for clients that show summaries only (settings ``reasoning = auto`` and ``summary``; R29).

vLLM answers a request for ``reasoning.summary`` with raw ``reasoning_text`` events. The AI SDK's openai provider and LangChain
ignore them, and so does Codex unless it is asked for raw reasoning. Here the text is emitted as a summary while it comes; the
raw part follows in one piece when the item closes, since the parts of an item do not overlap.

By default that is done where the request asks for summaries. The response echoes what was asked for, so that a stream that is
resumed, perhaps through another replica, is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.events import object_in
from vllm_sse_proxy.families.responses.grammar import REASONING_TEXT, SUMMARY_TEXT
from vllm_sse_proxy.families.responses.settings import Reasoning, ResponsesSettings
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import Seen, StreamContext
    from vllm_sse_proxy.stream.event import Event

_TEXTS: Final = {REASONING_TEXT.delta: SUMMARY_TEXT.delta, REASONING_TEXT.done: SUMMARY_TEXT.done}
_PARTS: Final = {grammar.PART_ADDED: grammar.SUMMARY_ADDED, grammar.PART_DONE: grammar.SUMMARY_DONE}
_ASKED_FOR: Final = ("summary", "generate_summary")
"""Members of ``reasoning``; the second is the first one's old name."""
_WORDS: Final = frozenset({"auto", "concise", "detailed"})


class ReasoningSummaries(Repair):
    """Emit raw reasoning as a summary."""

    __slots__ = ("_summarised", "_wanted")

    name: ClassVar = "reasoning_summaries"
    summary: ClassVar = (
        "raw reasoning is emitted as `reasoning_summary_*` events too where the request asks for summaries"
    )
    fixes: ClassVar = ("R29",)
    handles: ClassVar = frozenset({*_TEXTS, *_PARTS, *grammar.SUMMARY_EVENTS})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._summarised: Seen = {}
        """upstream's ids of items that it sends a summary of itself"""
        self._wanted: bool | None = True if context.settings.reasoning is Reasoning.SUMMARY else None
        """whether summaries are asked for; None while nobody has looked"""

    @classmethod
    def wanted(cls, settings: ResponsesSettings) -> bool:
        """Return whether summaries may be asked for: raw reasoning is the protocol's own form."""
        return settings.reasoning is not Reasoning.RAW

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event as its counterpart among the summary's; the item's end sends the raw part."""
        if self._wanted is None:
            self._wanted = self._is_asked_for(view)
        if not self._wanted:
            return None
        body = event.body
        if event.type in grammar.SUMMARY_EVENTS:
            self._summarised[str(body.get("item_id"))] = None
            return None
        if str(body.get("item_id")) in self._summarised:
            return None
        index = body.get("content_index", 0)
        if event.type in _TEXTS:
            return [event.renamed(_TEXTS[event.type], summary_index=index).without("content_index")]
        part = object_in(body, "part")
        if part.get("type") != REASONING_TEXT.part_type:
            return None
        summary = {"type": SUMMARY_TEXT.part_type, "text": part.get("text", "")}
        return [event.renamed(_PARTS[event.type], summary_index=index, part=summary).without("content_index")]

    def _is_asked_for(self, view: ClientView) -> bool:
        """Return whether the request asks for summaries, as the response echoes it.

        Where nothing is echoed, the request itself is looked at; not for a background response, which may be resumed by a
        request that does not say.
        """
        response = view.response
        if response is not None and "reasoning" in response:
            return _asks(response["reasoning"])
        request: Mapping[str, Any] = self.context.request.body or {}
        return request.get("background") is not True and _asks(request.get("reasoning"))


def _asks(reasoning: Any) -> bool:
    return isinstance(reasoning, dict) and any(reasoning.get(name) in _WORDS for name in _ASKED_FOR)
