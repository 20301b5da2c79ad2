"""The shape of choices (L01): one at a time, with an index and a text that is a string."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families import chunk_repairs
from vllm_sse_proxy.families.chunk_repairs import flattened
from vllm_sse_proxy.families.chunks import CHOICE_TYPES, CHUNK, TEXT, choice_of
from vllm_sse_proxy.families.completions.chunks import kind_of
from vllm_sse_proxy.families.completions.request import choices_of

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body, Event


class ChoiceShapes(chunk_repairs.ChoiceShapes):
    """See the base."""

    __slots__ = ()

    summary: ClassVar = (
        "a choice has an index, a text that is a string, and log probabilities that are an object or null"
    )
    fixes: ClassVar = ("L01",)
    handles: ClassVar = CHOICE_TYPES | {CHUNK}

    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""
        return kind_of(body)

    def expected(self) -> int:
        """Return how many choices were asked for."""
        return choices_of(self.context)

    def is_plain(self, event: Event) -> bool:
        """Return whether nothing can be wrong with the choice of an event."""
        logprobs = choice_of(event).get("logprobs")
        return event.type == TEXT and (logprobs is None or type(logprobs) is dict)

    def wrong_in(self, choice: Body) -> Body:
        """Return the members of a choice that are not what they should be, as they should be."""
        wrong: Body = {}
        text, logprobs = choice.get("text"), choice.get("logprobs")
        if type(text) is not str:
            wrong["text"] = flattened(text) or ""
        if logprobs is not None and type(logprobs) is not dict:
            wrong["logprobs"] = None
        return wrong
