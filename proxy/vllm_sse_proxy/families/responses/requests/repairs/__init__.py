"""THE place to add a request repair: :data:`REQUEST_REPAIRS`, in the order in which a request passes them.

The order matters where a comment says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses.requests.repairs.additional_tools import AdditionalTools
from vllm_sse_proxy.families.responses.requests.repairs.agent_messages import AgentMessages
from vllm_sse_proxy.families.responses.requests.repairs.call_history import CallHistory
from vllm_sse_proxy.families.responses.requests.repairs.client_run_tools import ClientRunTools
from vllm_sse_proxy.families.responses.requests.repairs.custom_tools import CustomTools
from vllm_sse_proxy.families.responses.requests.repairs.efforts import Efforts
from vllm_sse_proxy.families.responses.requests.repairs.empty_reasoning import EmptyReasoning
from vllm_sse_proxy.families.responses.requests.repairs.encrypted_reasoning import EncryptedReasoning
from vllm_sse_proxy.families.responses.requests.repairs.fatal_nulls import FatalNulls
from vllm_sse_proxy.families.responses.requests.repairs.harmony_pictures import HarmonyPictures
from vllm_sse_proxy.families.responses.requests.repairs.hosted_tools import HostedTools
from vllm_sse_proxy.families.responses.requests.repairs.image_details import ImageDetails
from vllm_sse_proxy.families.responses.requests.repairs.includes import Includes
from vllm_sse_proxy.families.responses.requests.repairs.item_references import ItemReferences
from vllm_sse_proxy.families.responses.requests.repairs.json_objects import JsonObjects
from vllm_sse_proxy.families.responses.requests.repairs.logprobs import Logprobs
from vllm_sse_proxy.families.responses.requests.repairs.lost_reasoning import LostReasoning
from vllm_sse_proxy.families.responses.requests.repairs.message_pictures import MessagePictures
from vllm_sse_proxy.families.responses.requests.repairs.message_shapes import MessageShapes
from vllm_sse_proxy.families.responses.requests.repairs.namespace_tools import NamespaceTools
from vllm_sse_proxy.families.responses.requests.repairs.null_members import NullMembers
from vllm_sse_proxy.families.responses.requests.repairs.output_pictures import OutputPictures
from vllm_sse_proxy.families.responses.requests.repairs.output_shapes import OutputShapes
from vllm_sse_proxy.families.responses.requests.repairs.output_texts import OutputTexts
from vllm_sse_proxy.families.responses.requests.repairs.reasoning_shapes import ReasoningShapes
from vllm_sse_proxy.families.responses.requests.repairs.roles import Roles
from vllm_sse_proxy.families.responses.requests.repairs.text_files import TextFiles
from vllm_sse_proxy.families.responses.requests.repairs.tool_choices import ToolChoices
from vllm_sse_proxy.families.responses.requests.repairs.tool_descriptions import ToolDescriptions
from vllm_sse_proxy.families.responses.requests.repairs.tool_grammars import ToolGrammars
from vllm_sse_proxy.families.responses.requests.repairs.tool_searches import ToolSearches
from vllm_sse_proxy.families.responses.requests.repairs.unknown_options import UnknownOptions
from vllm_sse_proxy.families.responses.requests.repairs.unreadable_files import UnreadableFiles
from vllm_sse_proxy.families.responses.requests.repairs.web_search_tool import WebSearchTool

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import RequestRepair

REQUEST_REPAIRS: Final[tuple[RequestRepair, ...]] = (
    # Members of the request
    FatalNulls(),
    NullMembers(),
    UnknownOptions(),
    Includes(),
    Logprobs(),
    Efforts(),
    JsonObjects(),
    # Items that only stand for others: what they bring must pass all that follow
    ItemReferences(),
    LostReasoning(),  # what the one before did not find
    AgentMessages(),
    # Tools
    AdditionalTools(),  # brings tools, with namespaces among them
    ToolSearches(),  # as above
    NamespaceTools(),  # what was in a namespace is a tool like any other from here on
    ToolGrammars(),
    CustomTools(),  # leaves alone what still has a grammar
    ClientRunTools(),  # before those that leave tools out
    WebSearchTool(),  # before hosted_tools, which would leave it out everywhere
    HostedTools(),
    ToolDescriptions(),  # after all that make functions
    ToolChoices(),  # chooses among the tools that are left
    # Items of the history
    CallHistory(),
    EncryptedReasoning(),
    ReasoningShapes(),  # after what was encrypted is gone, which may be all
    EmptyReasoning(),  # after thoughts under another name have got theirs
    MessageShapes(),
    # Parts
    OutputShapes(),  # before those that look for pictures
    TextFiles(),
    HarmonyPictures(),  # after text files, which can be read
    UnreadableFiles(),  # as above
    MessagePictures(),
    OutputPictures(),
    ImageDetails(),  # of the pictures that are left
    OutputTexts(),  # after notes have taken the place of pictures
    # Messages
    Roles(),  # after the messages have their shapes
)
"""Every request repair, in order. The tuple is what metrics, configuration, documentation and tests enumerate."""
