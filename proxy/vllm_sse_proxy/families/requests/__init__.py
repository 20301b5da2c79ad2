"""Requests that vLLM refuses, made such that it accepts them: what the families share.

The life of a request:

1. It comes in. If vLLM would accept it and misread it, it is repaired now (:meth:`RequestPlanner.is_urgent`).
2. It is sent. vLLM accepts it, and nothing more is done; nearly all end here.
3. vLLM refuses it. It is sent again with the lossless repairs that it has the features for (:class:`RequestAttempts`).
4. vLLM refuses that. It is sent a last time with the lossy ones as well.
5. vLLM refuses that, too: the client gets the first refusal.
6. Else what made it pass is remembered (:class:`RequestMemory`), and in the answer what was converted is converted back, by
   the family.

Which repairs there are, and what they need undone, a family says in its own package of this name. No I/O, no clock.
"""

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.requests.evidence import names_gpt_oss, release_of
from vllm_sse_proxy.families.requests.memory import Key, RequestMemory
from vllm_sse_proxy.families.requests.plan import Post, Repairing, RequestAttempts, RequestPlanner

__all__ = [
    "Facts",
    "Key",
    "Post",
    "Repaired",
    "Repairing",
    "RequestAttempts",
    "RequestMemory",
    "RequestPlanner",
    "RequestRepair",
    "Step",
    "names_gpt_oss",
    "release_of",
]
