"""The repairs of the first station, in their order, with the reasons for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.completions.repairs.choice_shapes import ChoiceShapes
from vllm_sse_proxy.families.completions.repairs.chunk_fields import ChunkFields
from vllm_sse_proxy.families.completions.repairs.error_payloads import ErrorPayloads
from vllm_sse_proxy.families.completions.repairs.finish_reasons import FinishReasons
from vllm_sse_proxy.families.completions.repairs.late_chunks import LateChunks
from vllm_sse_proxy.families.completions.repairs.readable_chunks import ReadableChunks
from vllm_sse_proxy.families.completions.repairs.text_offsets import TextOffsets
from vllm_sse_proxy.families.completions.repairs.usage_chunks import UsageChunks

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.repair import Repair

READ: Final[tuple[type[Repair], ...]] = (
    ReadableChunks,
    ErrorPayloads,
    ChunkFields,
    ChoiceShapes,  # from here on an event has one choice
    LateChunks,  # before the repairs that remember what they saw of a choice
    TextOffsets,
    FinishReasons,
    UsageChunks,  # behind finish_reasons: what it holds leaves behind the last finish
)
"""The repairs of the first station."""
