"""Raw reasoning for clients that show summaries only (setting ``reasoning = summary``; R29).

vLLM answers a request for ``reasoning.summary`` with raw ``reasoning_text`` events. The AI SDK's openai provider and LangChain
ignore them, Codex shows them only if configured to. With this setting the text is emitted as a summary while it comes; the raw
part follows in one piece when the item closes, since the parts of an item do not overlap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.events import object_in
from vllm_sse_proxy.families.responses.grammar import REASONING_TEXT, SUMMARY_TEXT
from vllm_sse_proxy.families.responses.settings import Reasoning, ResponsesSettings
from vllm_sse_proxy.stream.repair import Repair, Seen, StreamContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Event

_TEXTS: Final = {REASONING_TEXT.delta: SUMMARY_TEXT.delta, REASONING_TEXT.done: SUMMARY_TEXT.done}
_PARTS: Final = {grammar.PART_ADDED: grammar.SUMMARY_ADDED, grammar.PART_DONE: grammar.SUMMARY_DONE}


class ReasoningSummaries(Repair):
    """Emit raw reasoning as a summary."""

    __slots__ = ("_summarised",)

    name: ClassVar = "reasoning_summaries"
    summary: ClassVar = (
        "with `reasoning = summary`, raw reasoning is emitted as `reasoning_summary_*` events too"
    )
    fixes: ClassVar = ("R29",)
    handles: ClassVar = frozenset({*_TEXTS, *_PARTS, *grammar.SUMMARY_EVENTS})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._summarised: Seen = {}
        """upstream's ids of items for which it sends a summary itself"""

    @classmethod
    def wanted(cls, settings: ResponsesSettings) -> bool:
        """Only where the operator asks for it: raw reasoning is the protocol's own form."""
        return settings.reasoning is Reasoning.SUMMARY

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - a matter of names
        """Return the event as its counterpart among the summary's; the closing of the item brings the raw part."""
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
