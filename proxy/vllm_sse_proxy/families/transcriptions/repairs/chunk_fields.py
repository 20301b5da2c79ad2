"""Members that every chunk has (T01): vLLM serves translations in the same chunks, under another ``object``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families import chunk_repairs
from vllm_sse_proxy.families.transcriptions.chunks import kind_of
from vllm_sse_proxy.families.transcriptions.grammar import TRANSCRIPTION_CHUNK, TRANSLATION_CHUNK
from vllm_sse_proxy.stream.event import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chunks import ChunkView
    from vllm_sse_proxy.stream.event import Body


class ChunkFields(chunk_repairs.ChunkFields):
    """See the base."""

    __slots__ = ()

    object_name: ClassVar = TRANSCRIPTION_CHUNK
    prefix: ClassVar = "trsc-"

    def repair(self, event: Event, view: ChunkView) -> Sequence[Event] | None:
        """Return the chunk with what it lacks; one of a translation stays one."""
        fixed = super().repair(event, view)
        if not fixed or event.body.get("object") != TRANSLATION_CHUNK:
            return fixed
        body = {**fixed[0].body, "object": TRANSLATION_CHUNK}
        return None if body == event.body else [Event(kind_of(body), body)]

    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""
        return kind_of(body)
