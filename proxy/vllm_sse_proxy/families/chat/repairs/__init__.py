"""The repairs of the first station, in their order, with the reasons for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.chat.repairs.call_arguments import CallArguments
from vllm_sse_proxy.families.chat.repairs.call_heads import CallHeads
from vllm_sse_proxy.families.chat.repairs.call_indexes import CallIndexes
from vllm_sse_proxy.families.chat.repairs.call_names import CallNames
from vllm_sse_proxy.families.chat.repairs.call_texts import CallTexts
from vllm_sse_proxy.families.chat.repairs.choice_shapes import ChoiceShapes
from vllm_sse_proxy.families.chat.repairs.chunk_fields import ChunkFields
from vllm_sse_proxy.families.chat.repairs.empty_deltas import EmptyDeltas
from vllm_sse_proxy.families.chat.repairs.error_payloads import ErrorPayloads
from vllm_sse_proxy.families.chat.repairs.finish_reasons import FinishReasons
from vllm_sse_proxy.families.chat.repairs.late_chunks import LateChunks
from vllm_sse_proxy.families.chat.repairs.later_thoughts import LaterThoughts
from vllm_sse_proxy.families.chat.repairs.leaked_headers import LeakedHeaders
from vllm_sse_proxy.families.chat.repairs.misplaced_reasoning import MisplacedReasoning
from vllm_sse_proxy.families.chat.repairs.readable_chunks import ReadableChunks
from vllm_sse_proxy.families.chat.repairs.reasoning_names import ReasoningNames
from vllm_sse_proxy.families.chat.repairs.roles import Roles
from vllm_sse_proxy.families.chat.repairs.split_deltas import SplitDeltas
from vllm_sse_proxy.families.chat.repairs.stop_strings import StopStrings
from vllm_sse_proxy.families.chat.repairs.usage_chunks import UsageChunks

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.repair import Repair

READ: Final[tuple[type[Repair], ...]] = (
    ReadableChunks,
    ErrorPayloads,
    ChunkFields,
    ChoiceShapes,  # from here on an event has one choice
    LateChunks,  # before the repairs that remember what they saw of a choice
    SplitDeltas,  # from here on an event has one piece of a call
    StopStrings,  # looks for them in the texts as the model wrote them
    LeakedHeaders,
    MisplacedReasoning,
    LaterThoughts,  # behind the thoughts that the content begins with
    ReasoningNames,  # behind what makes reasoning of content
    CallTexts,  # behind what takes tags of thinking out of content
    CallNames,  # before what counts the calls that the client has: it holds some
    CallIndexes,  # a call has its number before its head is looked for
    CallHeads,
    CallArguments,
    EmptyDeltas,  # behind all that takes something out of a delta
    FinishReasons,  # behind what may add or leave out a call
    Roles,  # behind what may drop the first chunk of a choice or put one before it
    UsageChunks,  # behind finish_reasons: what it holds leaves behind the last finish
)
"""The repairs of the first station."""
