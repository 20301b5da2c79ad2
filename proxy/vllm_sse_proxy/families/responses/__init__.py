"""The family of ``/v1/responses``: the repair of its streams, and the judge of its protocol."""

from vllm_sse_proxy.families.responses.conformance import ConformanceChecker, Violation, check_stream
from vllm_sse_proxy.families.responses.family import RESPONSES, build_plan
from vllm_sse_proxy.families.responses.settings import Dialect, NestedNumbers, Reasoning

__all__ = [
    "RESPONSES",
    "ConformanceChecker",
    "Dialect",
    "NestedNumbers",
    "Reasoning",
    "Violation",
    "build_plan",
    "check_stream",
]
