"""THE place to add a request repair of messages: :data:`REQUEST_REPAIRS`, in the order in which a request passes them.

The order matters where a comment says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.messages.requests.repairs.answer_efforts import AnswerEfforts
from vllm_sse_proxy.families.messages.requests.repairs.client_tools import ClientTools
from vllm_sse_proxy.families.messages.requests.repairs.compactions import Compactions
from vllm_sse_proxy.families.messages.requests.repairs.document_texts import DocumentTexts
from vllm_sse_proxy.families.messages.requests.repairs.redacted_thinking import RedactedThinking
from vllm_sse_proxy.families.messages.requests.repairs.refused_thinking import RefusedThinking
from vllm_sse_proxy.families.messages.requests.repairs.result_documents import ResultDocuments
from vllm_sse_proxy.families.messages.requests.repairs.server_calls import ServerCalls
from vllm_sse_proxy.families.messages.requests.repairs.server_tools import ServerTools
from vllm_sse_proxy.families.messages.requests.repairs.system_messages import SystemMessages
from vllm_sse_proxy.families.messages.requests.repairs.thinking_budgets import ThinkingBudgets
from vllm_sse_proxy.families.messages.requests.repairs.token_limits import TokenLimits
from vllm_sse_proxy.families.messages.requests.repairs.tool_changes import ToolChanges
from vllm_sse_proxy.families.messages.requests.repairs.tool_references import ToolReferences
from vllm_sse_proxy.families.messages.requests.repairs.unknown_blocks import UnknownBlocks
from vllm_sse_proxy.families.messages.requests.repairs.unreadable_documents import UnreadableDocuments
from vllm_sse_proxy.families.messages.requests.repairs.unseen_pictures import UnseenPictures

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import RequestRepair

REQUEST_REPAIRS: Final[tuple[RequestRepair, ...]] = (
    # Members of the request
    TokenLimits(),
    ThinkingBudgets(),  # after the limit that a budget must be below
    AnswerEfforts(),
    # Tools
    ToolChanges(),  # may bring tools
    ClientTools(),
    ServerTools(),  # leaves alone what the one before has spelled out
    # Messages
    SystemMessages(),  # after the changes of tools in them are gone
    # Blocks
    ResultDocuments(),
    ToolReferences(),
    DocumentTexts(),
    UnreadableDocuments(),  # after those that can be read
    UnseenPictures(),  # after pictures that are elsewhere
    RedactedThinking(),
    RefusedThinking(),
    Compactions(),
    ServerCalls(),
    UnknownBlocks(),  # what none of the others knows
)
"""Every request repair, in order. The tuple is what metrics, configuration, documentation and tests enumerate."""
