"""Payloads that are not strict JSON: NaN, control characters, bytes that are not UTF-8, halves of characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy.families import chunk_repairs
from vllm_sse_proxy.families.transcriptions.chunks import kind_of

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body


class ReadableChunks(chunk_repairs.ReadableChunks):
    """See the base."""

    __slots__ = ()

    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""
        return kind_of(body)
