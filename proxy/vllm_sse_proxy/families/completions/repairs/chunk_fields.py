"""Members that every chunk has (C32): openai-python, semantic-kernel and LlamaIndex raise without ``choices``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families import chunk_repairs
from vllm_sse_proxy.families.completions.chunks import kind_of
from vllm_sse_proxy.families.completions.grammar import OBJECT

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body


class ChunkFields(chunk_repairs.ChunkFields):
    """See the base."""

    __slots__ = ()

    object_name: ClassVar = OBJECT
    prefix: ClassVar = "cmpl-"

    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""
        return kind_of(body)
