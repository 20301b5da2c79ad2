"""The Responses event protocol and the repair of its streams, without I/O and without a clock.

The public names of the core: everything that the shell, the command line and the tests may rely on.
"""

from typing import Final

from vllm_sse_proxy.families.responses.conformance import ConformanceChecker, Violation, check_stream
from vllm_sse_proxy.families.responses.ending import BodyEnd, Ending, Failure
from vllm_sse_proxy.families.responses.engine import Plan, RepairEngine, Tally
from vllm_sse_proxy.families.responses.normalizer import StreamNormalizer
from vllm_sse_proxy.families.responses.repairs import REPAIRS
from vllm_sse_proxy.families.responses.repairs.base import (
    Dialect,
    NestedNumbers,
    Reasoning,
    Repair,
    RequestContext,
)

__all__ = [
    "CORE",
    "REPAIRS",
    "BodyEnd",
    "ConformanceChecker",
    "Dialect",
    "Ending",
    "Failure",
    "NestedNumbers",
    "Plan",
    "Reasoning",
    "Repair",
    "RepairEngine",
    "RequestContext",
    "StreamNormalizer",
    "Tally",
    "Violation",
    "check_stream",
]

CORE: Final = "python" if __file__.endswith(".py") else "compiled"
"""How the core runs (docs/adr/0080-a-compiled-core.md)."""
