"""Finish reasons (L01): one of OpenAI's values. ``abort``, ``error`` and what nobody knows do not end an answer.

The text of the chunk leaves, then an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.chunk_repairs import with_known_reason
from vllm_sse_proxy.families.chunks import FINISH, choice_of, index_of
from vllm_sse_proxy.families.completions.chunks import text_of, with_choice
from vllm_sse_proxy.families.completions.grammar import FINISH_REASONS
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.completions.view import CompletionsView
    from vllm_sse_proxy.stream.event import Event


class FinishReasons(Repair):
    """Let finish reasons be true."""

    __slots__ = ()

    name: ClassVar = "finish_reasons"
    summary: ClassVar = "a finish reason is one of OpenAI's; an answer that was aborted ends with an error"
    fixes: ClassVar = ("L01",)
    handles: ClassVar = frozenset({FINISH})

    def repair(self, event: Event, view: CompletionsView) -> Sequence[Event] | None:
        """Return the chunk with the true reason; an error if the answer was not finished at all."""
        choice = choice_of(event)
        if view.finish_of(index_of(choice)) is not None:
            return None
        return with_known_reason(event, FINISH_REASONS, text_of(choice), with_choice)
