"""A reverse proxy that makes vLLM's event streams right while they pass.

Start it with ``vllm-sse-proxy serve --upstream http://HOST:8000``. Its core works on bytes in memory, knows neither sockets nor
clocks, and can be used on its own::

    from vllm_sse_proxy import BodyEnd, StreamNormalizer, build_plan

    plan = build_plan()                     # once
    normalizer = StreamNormalizer(plan)     # for each stream
    for chunk in upstream:
        send(normalizer.feed(chunk))
        if normalizer.ended:
            break
    send(normalizer.finish(BodyEnd.EOF))
    print(normalizer.ending, normalizer.tally.repairs)

``check_stream(body)`` says in what a stream of Responses events differs from its protocol.
"""

from vllm_sse_proxy.families.responses.conformance import ConformanceChecker, Violation, check_stream
from vllm_sse_proxy.families.responses.family import build_plan
from vllm_sse_proxy.families.responses.settings import Dialect, NestedNumbers, Reasoning
from vllm_sse_proxy.stream.ending import BodyEnd, Ending, Failure
from vllm_sse_proxy.stream.normalizer import StreamNormalizer
from vllm_sse_proxy.stream.plan import Plan
from vllm_sse_proxy.stream.repair import RequestContext
from vllm_sse_proxy.stream.tally import Tally

__all__ = [
    "BodyEnd",
    "ConformanceChecker",
    "Dialect",
    "Ending",
    "Failure",
    "NestedNumbers",
    "Plan",
    "Reasoning",
    "RequestContext",
    "StreamNormalizer",
    "Tally",
    "Violation",
    "build_plan",
    "check_stream",
]

__version__ = "0.1.0"
