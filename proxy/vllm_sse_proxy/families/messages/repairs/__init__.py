"""The repairs of the first station, in the order in which they are asked: what did upstream mean by this event?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.messages.repairs.block_shapes import BlockShapes
from vllm_sse_proxy.families.messages.repairs.call_inputs import CallInputs
from vllm_sse_proxy.families.messages.repairs.event_names import EventNames
from vllm_sse_proxy.families.messages.repairs.leaked_headers import LeakedHeaders
from vllm_sse_proxy.families.messages.repairs.message_errors import MessageErrors
from vllm_sse_proxy.families.messages.repairs.repeated_calls import RepeatedCalls
from vllm_sse_proxy.families.messages.repairs.thought_markers import ThoughtMarkers

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.repair import Repair

READ: Final[tuple[type[Repair], ...]] = (
    MessageErrors,  # finds errors in payloads without a type, which the next one drops
    EventNames,
    BlockShapes,
    RepeatedCalls,  # compares ids and inputs, so once they are strings
    CallInputs,  # joins strings
    ThoughtMarkers,
    LeakedHeaders,  # holds deltas that have their final form
)
"""The repairs of the first station."""
