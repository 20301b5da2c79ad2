"""A reverse proxy that makes vLLM's event streams right while they pass.

Start it with ``vllm-sse-proxy serve --upstream http://HOST:8000``. Its core works on bytes in memory, knows neither sockets
nor clocks, and can be used on its own::

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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vllm_sse_proxy.families.judging import Violation
    from vllm_sse_proxy.families.responses.conformance import ConformanceChecker, check_stream
    from vllm_sse_proxy.families.responses.family import build_plan
    from vllm_sse_proxy.families.responses.settings import Dialect, NestedNumbers, Reasoning
    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.ending import BodyEnd, Ending, Failure
    from vllm_sse_proxy.stream.normalizer import StreamNormalizer
    from vllm_sse_proxy.stream.plan import Plan
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

_HOMES = {
    "families.judging": ("Violation",),
    "families.responses.conformance": ("ConformanceChecker", "check_stream"),
    "families.responses.family": ("build_plan",),
    "families.responses.settings": ("Dialect", "NestedNumbers", "Reasoning"),
    "stream.ending": ("BodyEnd", "Ending", "Failure"),
    "stream.normalizer": ("StreamNormalizer",),
    "stream.plan": ("Plan",),
    "stream.context": ("RequestContext",),
    "stream.tally": ("Tally",),
}
"""Module → what of it belongs to the public API. It is loaded when it is first asked for: `healthcheck` needs none of it."""


def __getattr__(name: str) -> Any:
    """Return a name of the public API."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"vllm_sse_proxy.{module}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
