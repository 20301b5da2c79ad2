"""The place to add a repair: :data:`READ`, in the order in which events pass. The order matters where a comment says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses.repairs.browser_calls import BrowserCalls
from vllm_sse_proxy.families.responses.repairs.converted_calls import ConvertedCalls
from vllm_sse_proxy.families.responses.repairs.custom_tool_calls import CustomToolCalls
from vllm_sse_proxy.families.responses.repairs.doubled_deltas import DoubledDeltas
from vllm_sse_proxy.families.responses.repairs.error_events import ErrorEvents
from vllm_sse_proxy.families.responses.repairs.heartbeats import Heartbeats
from vllm_sse_proxy.families.responses.repairs.item_shapes import ItemShapes
from vllm_sse_proxy.families.responses.repairs.misannounced_items import MisannouncedItems
from vllm_sse_proxy.families.responses.repairs.missing_fields import MissingFields
from vllm_sse_proxy.families.responses.repairs.namespace_names import NamespaceNames
from vllm_sse_proxy.families.responses.repairs.opaque_payloads import OpaquePayloads
from vllm_sse_proxy.families.responses.repairs.private_names import PrivateNames
from vllm_sse_proxy.families.responses.repairs.reasoning_summaries import ReasoningSummaries
from vllm_sse_proxy.families.responses.repairs.response_fields import ResponseFields
from vllm_sse_proxy.families.responses.repairs.split_characters import SplitCharacters
from vllm_sse_proxy.families.responses.repairs.string_deltas import StringDeltas
from vllm_sse_proxy.families.responses.repairs.tool_call_deltas import ToolCallDeltas
from vllm_sse_proxy.families.responses.repairs.tool_call_texts import ToolCallTexts

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.repair import Repair

READ: Final[tuple[type[Repair], ...]] = (
    ErrorEvents,
    Heartbeats,
    OpaquePayloads,  # drops what is left of the untyped payloads once errors and heartbeats among them are known
    ToolCallDeltas,
    StringDeltas,
    SplitCharacters,  # joins strings
    DoubledDeltas,  # compares texts, so after they are strings; looks at the spelling, so before it is gone
    PrivateNames,
    ItemShapes,
    ConvertedCalls,  # whole items; what the proxy converted itself needs no more guessing
    NamespaceNames,  # whole items, but before anything compares what upstream calls them
    CustomToolCalls,  # a tool in a namespace is found by both its names
    ReasoningSummaries,  # another name for a text, so once its part has a type
    MissingFields,
    ResponseFields,
    BrowserCalls,
    ToolCallTexts,
    MisannouncedItems,  # compares upstream's names with each other, so before they are the client's
)
"""The repairs of the first station."""
