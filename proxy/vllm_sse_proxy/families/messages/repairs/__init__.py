"""The repairs of the first station, in the order in which they are asked: what did upstream mean by this event?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.messages.repairs.block_shapes import BlockShapes
from vllm_sse_proxy.families.messages.repairs.call_inputs import CallInputs
from vllm_sse_proxy.families.messages.repairs.call_names import CallNames
from vllm_sse_proxy.families.messages.repairs.call_texts import CallTexts
from vllm_sse_proxy.families.messages.repairs.event_names import EventNames
from vllm_sse_proxy.families.messages.repairs.later_thoughts import LaterThoughts
from vllm_sse_proxy.families.messages.repairs.leaked_headers import LeakedHeaders
from vllm_sse_proxy.families.messages.repairs.message_errors import MessageErrors
from vllm_sse_proxy.families.messages.repairs.repeated_calls import RepeatedCalls
from vllm_sse_proxy.families.messages.repairs.stop_strings import StopStrings
from vllm_sse_proxy.families.messages.repairs.thought_markers import ThoughtMarkers

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.repair import Repair

READ: Final[tuple[type[Repair], ...]] = (
    MessageErrors,  # finds errors in payloads without a type, which the next one drops
    EventNames,
    BlockShapes,
    CallNames,
    RepeatedCalls,  # compares ids and inputs, so once they are strings
    CallInputs,  # joins strings
    StopStrings,  # looks for them in the texts as the model wrote them
    ThoughtMarkers,
    LaterThoughts,  # behind the thoughts that a message begins with
    LeakedHeaders,  # holds deltas that have their final form
    CallTexts,  # behind what takes tags of thinking out of a text
)
"""The repairs of the first station."""
