"""THE place to add a repair: :data:`REPAIRS`, in the order in which events pass them.

Sorted by phase. Within a phase the order matters where a comment says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses.repairs.annotations import Annotations
from vllm_sse_proxy.families.responses.repairs.browser_calls import BrowserCalls
from vllm_sse_proxy.families.responses.repairs.content_indexes import ContentIndexes
from vllm_sse_proxy.families.responses.repairs.custom_tool_calls import CustomToolCalls
from vllm_sse_proxy.families.responses.repairs.done_items import DoneItems
from vllm_sse_proxy.families.responses.repairs.done_texts import DoneTexts
from vllm_sse_proxy.families.responses.repairs.doubled_deltas import DoubledDeltas
from vllm_sse_proxy.families.responses.repairs.error_events import ErrorEvents
from vllm_sse_proxy.families.responses.repairs.final_output import FinalOutput
from vllm_sse_proxy.families.responses.repairs.headless_arguments import HeadlessArguments
from vllm_sse_proxy.families.responses.repairs.heartbeats import Heartbeats
from vllm_sse_proxy.families.responses.repairs.held_closings import HeldClosings
from vllm_sse_proxy.families.responses.repairs.item_ids import ItemIds
from vllm_sse_proxy.families.responses.repairs.item_openings import ItemOpenings
from vllm_sse_proxy.families.responses.repairs.item_shapes import ItemShapes
from vllm_sse_proxy.families.responses.repairs.late_events import LateEvents
from vllm_sse_proxy.families.responses.repairs.misannounced_items import MisannouncedItems
from vllm_sse_proxy.families.responses.repairs.missing_closings import MissingClosings
from vllm_sse_proxy.families.responses.repairs.missing_fields import MissingFields
from vllm_sse_proxy.families.responses.repairs.namespace_names import NamespaceNames
from vllm_sse_proxy.families.responses.repairs.nested_numbers import NestedNumbers
from vllm_sse_proxy.families.responses.repairs.opaque_payloads import OpaquePayloads
from vllm_sse_proxy.families.responses.repairs.open_responses_fields import OpenResponsesFields
from vllm_sse_proxy.families.responses.repairs.output_indexes import OutputIndexes
from vllm_sse_proxy.families.responses.repairs.part_openings import PartOpenings
from vllm_sse_proxy.families.responses.repairs.private_names import PrivateNames
from vllm_sse_proxy.families.responses.repairs.reasoning_summaries import ReasoningSummaries
from vllm_sse_proxy.families.responses.repairs.response_fields import ResponseFields
from vllm_sse_proxy.families.responses.repairs.response_ids import ResponseIds
from vllm_sse_proxy.families.responses.repairs.response_openings import ResponseOpenings
from vllm_sse_proxy.families.responses.repairs.split_characters import SplitCharacters
from vllm_sse_proxy.families.responses.repairs.string_deltas import StringDeltas
from vllm_sse_proxy.families.responses.repairs.terminal_types import TerminalTypes
from vllm_sse_proxy.families.responses.repairs.tool_call_deltas import ToolCallDeltas
from vllm_sse_proxy.families.responses.repairs.tool_call_texts import ToolCallTexts
from vllm_sse_proxy.families.responses.repairs.unreadable_calls import UnreadableCalls
from vllm_sse_proxy.families.responses.repairs.unterminated_streams import UnterminatedStreams
from vllm_sse_proxy.families.responses.repairs.untold_items import UntoldItems

if TYPE_CHECKING:
    from vllm_sse_proxy.families.responses.repairs.base import Repair

REPAIRS: Final[tuple[type[Repair], ...]] = (
    # SHAPE
    ErrorEvents,
    Heartbeats,
    OpaquePayloads,  # drops what is left of the untyped payloads once errors and heartbeats among them are known
    ToolCallDeltas,
    StringDeltas,
    SplitCharacters,  # joins strings
    DoubledDeltas,  # compares texts, so after they are strings; looks at the spelling, so before it is gone
    PrivateNames,
    ItemShapes,
    NamespaceNames,  # whole items, but before anything compares what upstream calls them
    CustomToolCalls,  # a tool in a namespace is found by both its names
    ReasoningSummaries,  # another name for a text, so once its part has a type
    MissingFields,
    ResponseFields,
    # IDENTITY
    BrowserCalls,
    ToolCallTexts,
    MisannouncedItems,  # compares upstream's names with each other, so before they are the client's
    ResponseIds,
    ItemIds,
    OutputIndexes,  # finds the item by its id
    ContentIndexes,  # finds the part in the item
    Annotations,  # counts in the part
    HeadlessArguments,  # keeps deltas by the client's ids
    # LIFECYCLE
    ResponseOpenings,  # nothing goes out before them
    LateEvents,  # before the openings, which would announce anew what a late event names
    ItemOpenings,
    HeldClosings,  # after all that drops events: a hold ends with the next event that the client is to hear
    PartOpenings,
    MissingClosings,
    # CONTENT
    DoneTexts,  # may add a delta, which the done item must hold
    DoneItems,
    # TERMINAL
    UnterminatedStreams,  # makes the terminal event that the others complete
    TerminalTypes,
    UntoldItems,
    UnreadableCalls,  # the last to close anything
    FinalOutput,  # sums up all items, the untold ones included
    OpenResponsesFields,  # what the others told, too, must fit the schema
    NestedNumbers,  # last of all: the number is the exit's next
)
"""Every repair, in order. The tuple is what metrics, configuration, documentation and tests enumerate."""
