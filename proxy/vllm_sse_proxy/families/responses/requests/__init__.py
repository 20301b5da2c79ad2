"""What clients send to ``/v1/responses``, made such that vLLM accepts it (:mod:`vllm_sse_proxy.families.requests` says when).

In the answer what was converted is converted back (:class:`Conversion`), and items that a client only names are found
(:class:`ItemMemory`). No I/O, no clock. Public names: everything that the shell may rely on.
"""

from vllm_sse_proxy.families.responses.requests.conversion import (
    KEY,
    NOTHING,
    Conversion,
    conversion_in,
    without_key,
)
from vllm_sse_proxy.families.responses.requests.items import (
    ItemMemory,
    owner_of,
    references,
)
from vllm_sse_proxy.families.responses.requests.misread import MISREAD, misread_in
from vllm_sse_proxy.families.responses.requests.plan import ResponsesPlanner, unrepaired_conversion
from vllm_sse_proxy.families.responses.requests.repairs import REQUEST_REPAIRS
from vllm_sse_proxy.families.responses.requests.tools import ConvertedTool, ToolKind

__all__ = [
    "KEY",
    "MISREAD",
    "NOTHING",
    "REQUEST_REPAIRS",
    "Conversion",
    "ConvertedTool",
    "ItemMemory",
    "ResponsesPlanner",
    "ToolKind",
    "conversion_in",
    "misread_in",
    "owner_of",
    "references",
    "unrepaired_conversion",
    "without_key",
]
