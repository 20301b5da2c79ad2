"""The repairs of the first station, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.transcriptions.repairs.chunk_fields import ChunkFields
from vllm_sse_proxy.families.transcriptions.repairs.error_payloads import ErrorPayloads
from vllm_sse_proxy.families.transcriptions.repairs.finish_reasons import FinishReasons
from vllm_sse_proxy.families.transcriptions.repairs.readable_chunks import ReadableChunks

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.repair import Repair

READ: Final[tuple[type[Repair], ...]] = (ReadableChunks, ErrorPayloads, ChunkFields, FinishReasons)
"""The repairs of the first station."""
