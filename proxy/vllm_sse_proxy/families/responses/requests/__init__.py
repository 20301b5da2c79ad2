"""What clients send to ``/v1/responses``, made such that vLLM accepts it.

The life of a request:

1. It comes in. If vLLM would accept it and misread it, it is repaired now (:meth:`RequestPlanner.is_urgent`).
2. It is sent. vLLM accepts it, and nothing more is done; nearly all end here.
3. vLLM refuses it. It is sent again with the lossless repairs that it has the features for (:class:`RequestAttempts`).
4. vLLM refuses that. It is sent a last time with the lossy ones as well.
5. vLLM refuses that, too: the client gets the first refusal.
6. Else what made it pass is remembered (:class:`RequestMemory`), and in the answer what was converted is converted back
   (:class:`Conversion`).

No I/O, no clock. Public names: everything that the shell may rely on.
"""

from vllm_sse_proxy.families.responses.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.responses.requests.conversion import (
    KEY,
    NOTHING,
    Conversion,
    conversion_in,
    without_key,
)
from vllm_sse_proxy.families.responses.requests.evidence import names_gpt_oss, release_of
from vllm_sse_proxy.families.responses.requests.items import (
    ItemMemory,
    owner_of,
    references,
)
from vllm_sse_proxy.families.responses.requests.memory import RequestMemory
from vllm_sse_proxy.families.responses.requests.misread import MISREAD, misread_in
from vllm_sse_proxy.families.responses.requests.plan import (
    Post,
    RequestAttempts,
    RequestPlanner,
    unrepaired_conversion,
)
from vllm_sse_proxy.families.responses.requests.repairs import REQUEST_REPAIRS
from vllm_sse_proxy.families.responses.requests.tools import ConvertedTool, ToolKind

__all__ = [
    "KEY",
    "MISREAD",
    "NOTHING",
    "REQUEST_REPAIRS",
    "Conversion",
    "ConvertedTool",
    "Facts",
    "ItemMemory",
    "Post",
    "Repaired",
    "RequestAttempts",
    "RequestMemory",
    "RequestPlanner",
    "RequestRepair",
    "Step",
    "ToolKind",
    "conversion_in",
    "misread_in",
    "names_gpt_oss",
    "owner_of",
    "references",
    "release_of",
    "unrepaired_conversion",
    "without_key",
]
