"""Response objects that are answered as JSON: the client gets the object that their stream would have ended with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.requests.document import read, write
from vllm_sse_proxy.families.responses.answers import repaired_answer
from vllm_sse_proxy.families.responses.requests import (
    KEY,
    NOTHING,
    Conversion,
    conversion_in,
    unrepaired_conversion,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.plan import Plan

_KEY: Final = f'"{KEY}"'.encode()
_CUSTOM: Final = b'"custom"'
_FUNCTION_CALL: Final = b'"function_call"'


def answered(raw: bytes, plan: Plan, context: RequestContext, exchange: Exchange) -> bytes:
    """Return what the client gets instead of an answer, and count it; the same bytes if nothing is wrong with them.

    :param raw: upstream's JSON.
    :param plan: of :func:`.answer_plan`.
    """
    metrics = exchange.metrics
    answer = repaired_answer(raw, plan, context)
    if answer is None:
        metrics.answers.labels("unread").inc()
        known = context.conversion if isinstance(context.conversion, Conversion) else NOTHING
        return restored(raw, known, reads_customs="custom_tool_calls" not in plan.disabled)
    metrics.answers.labels("conforming" if answer.body is raw else "repaired").inc()
    exchange.answer_repairs = answer.repairs
    for counter, counts in ((metrics.repairs, answer.repairs), (metrics.repair_failures, answer.failures)):
        for name, count in counts.items():
            counter.labels(plan.family.name, name).inc(count)
    return answer.body


def restored(raw: bytes, conversion: Conversion, *, reads_customs: bool) -> bytes:
    """Return a response object as the client expects it; the same bytes if there is nothing to convert.

    :param raw: upstream's JSON; anything else is returned as it is.
    :param conversion: of the request, where it is known; a background response carries its own.
    :param reads_customs: convert calls of custom tools as well that upstream answers as those of functions (R51).
    """
    has_customs = reads_customs and _CUSTOM in raw and _FUNCTION_CALL in raw
    if not conversion and not has_customs and _KEY not in raw:
        return raw
    tree = read(raw)
    if tree is None:
        return raw
    known = conversion or conversion_in(tree)
    if not known:
        known = unrepaired_conversion(tree) if has_customs else conversion
    back = known.restored_response(tree)
    return raw if back is tree else write(back) or raw


def items_of(raw: bytes) -> list[Any]:
    """Return the output items of a response object."""
    response: Mapping[str, Any] = read(raw) or {}
    output = response.get("output")
    return output if isinstance(output, list) else []
