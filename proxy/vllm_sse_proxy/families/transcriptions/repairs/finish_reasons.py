"""Finish reasons (T05): ``abort`` and ``error`` do not end a transcript. The text of the chunk leaves, then an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.chunk_repairs import with_known_reason
from vllm_sse_proxy.families.chunks import FINISH, choice_of
from vllm_sse_proxy.families.transcriptions.chunks import text_of, with_choice
from vllm_sse_proxy.families.transcriptions.grammar import FINISH_REASONS
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.transcriptions.view import TranscriptionsView
    from vllm_sse_proxy.stream.event import Event


class FinishReasons(Repair):
    """Let finish reasons be true."""

    __slots__ = ()

    name: ClassVar = "finish_reasons"
    summary: ClassVar = "a finish reason is one of OpenAI's; an answer that was aborted ends with an error"
    fixes: ClassVar = ("T05",)
    handles: ClassVar = frozenset({FINISH})

    def repair(self, event: Event, view: TranscriptionsView) -> Sequence[Event] | None:  # noqa: ARG002 - it is wrong in itself
        """Return the chunk with the true reason; an error if the audio was not finished at all."""
        return with_known_reason(event, FINISH_REASONS, text_of(choice_of(event)), with_choice)
