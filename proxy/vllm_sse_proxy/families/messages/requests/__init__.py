"""What clients send to ``/v1/messages``, made such that vLLM accepts it (:mod:`vllm_sse_proxy.families.requests` says when).

No I/O, no clock. Public names: everything that the shell may rely on.
"""

from vllm_sse_proxy.families.messages.requests.misread import MISREAD, misread_in
from vllm_sse_proxy.families.messages.requests.plan import MessagesPlanner
from vllm_sse_proxy.families.messages.requests.repairs import REQUEST_REPAIRS
from vllm_sse_proxy.families.messages.requests.repairs.thinking_budgets import has_budget

__all__ = ["MISREAD", "REQUEST_REPAIRS", "MessagesPlanner", "has_budget", "misread_in"]
