"""The place to add a repair: :data:`READ`, in the order in which events pass; :data:`ORDER` says where that matters."""

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
from vllm_sse_proxy.families.responses.repairs.repeated_calls import RepeatedCalls
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
    OpaquePayloads,
    ToolCallDeltas,
    StringDeltas,
    SplitCharacters,
    DoubledDeltas,
    PrivateNames,
    ItemShapes,
    ConvertedCalls,
    NamespaceNames,
    CustomToolCalls,
    RepeatedCalls,
    ReasoningSummaries,
    MissingFields,
    ResponseFields,
    BrowserCalls,
    ToolCallTexts,
    MisannouncedItems,
)
"""The repairs of the first station. A new one can stand anywhere that :data:`ORDER` allows."""

ORDER: Final[tuple[tuple[str, tuple[tuple[type[Repair], ...], ...]], ...]] = (
    (
        "a payload without a type is dropped as opaque only if it is neither an error nor a heartbeat",
        ((ErrorEvents, Heartbeats), (OpaquePayloads,)),
    ),
    (
        "deltas are strings before they are joined or compared",
        ((ToolCallDeltas, StringDeltas), (SplitCharacters, DoubledDeltas)),
    ),
    (
        "two spellings of one event are compared while they differ, and what compares events reads the protocol's names",
        ((DoubledDeltas,), (PrivateNames,), (ToolCallTexts, MisannouncedItems)),
    ),
    (
        "an item or a part has its type and its fields before anything reads them",
        (
            (ItemShapes,),
            (
                *(ConvertedCalls, NamespaceNames, CustomToolCalls, ReasoningSummaries, MissingFields),
                *(ResponseFields, RepeatedCalls, BrowserCalls, ToolCallTexts, MisannouncedItems),
            ),
        ),
    ),
    (
        "what the proxy converted is not guessed; tools have both of their names; calls are compared as clients have them",
        ((ConvertedCalls,), (NamespaceNames,), (CustomToolCalls,), (RepeatedCalls,)),
    ),
)
"""All that the order is for: a reason, and the repairs that it puts one behind the other. Any order that keeps these does the
same (``tests/families/responses/test_order.py``)."""
