"""Offsets of tokens (L02): with ``echo``, those after the first chunk lack the length of the prompt, up to 0.24.

A token begins where the one before it ends. The first offset of a choice is upstream's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.chunks import CHOICE_TYPES, choice_of, index_of
from vllm_sse_proxy.families.completions.chunks import with_choice
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.completions.view import CompletionsView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event


class TextOffsets(Repair):
    """Let offsets go on where the last token ended."""

    __slots__ = ("_ends",)

    name: ClassVar = "text_offsets"
    summary: ClassVar = "`text_offset` of a token is where the token before it ends"
    fixes: ClassVar = ("L02",)
    handles: ClassVar = CHOICE_TYPES

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._ends: dict[int, int] = {}
        """choice → where its last token ends"""

    def repair(self, event: Event, view: CompletionsView) -> Sequence[Event] | None:  # noqa: ARG002 - the text may be another
        """Return the chunk with the right offsets."""
        choice = choice_of(event)
        logprobs = choice.get("logprobs")
        if type(logprobs) is not dict:
            return None
        offsets: Any = logprobs.get("text_offset")
        tokens: Any = logprobs.get("tokens")
        if not _are_lists(offsets, tokens) or not offsets:
            return None
        index = index_of(choice)
        end = self._ends.get(index, offsets[0])
        right: list[int] = []
        for token in tokens:
            right.append(end)
            end += len(token)
        self._ends[index] = end
        if right == offsets:
            return None
        return [with_choice(event, {**choice, "logprobs": {**logprobs, "text_offset": right}})]


def _are_lists(offsets: Any, tokens: Any) -> bool:
    """Return whether there is an offset for each token."""
    return (
        type(offsets) is list
        and type(tokens) is list
        and len(offsets) == len(tokens)
        and all(type(offset) is int for offset in offsets)
        and all(type(token) is str for token in tokens)
    )
