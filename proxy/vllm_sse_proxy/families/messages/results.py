"""What ``message_delta`` says of the end of a message, and whether that is true."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import delta_of
from vllm_sse_proxy.families.messages.request import only_stop_sequence
from vllm_sse_proxy.stream.event import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.context import RequestContext
    from vllm_sse_proxy.stream.event import Body, Event

_OPENAI_REASONS: Final = {
    "stop": grammar.END_TURN,
    "length": grammar.MAX_TOKENS,
    "tool_calls": grammar.TOOL_USE,
    "content_filter": grammar.REFUSAL,
}
_LARGEST_COUNT: Final = 2**63 - 1
"""What Go's and Rust's readers take; a larger number is none that a server counted."""
_ABORTS: Final = frozenset({"", "abort", "aborted", "error", "cancelled", "canceled"})


class Result(Enum):
    """What is to be made of a ``message_delta``."""

    AS_IT_IS = "as it is"
    CORRECTED = "corrected"
    ABORTED = "aborted"
    """The message has no end: the engine aborted it."""
    LOST_CALL = "lost call"
    """The message ends for a call that never came, and says nothing else."""


def reason_of(event: Event) -> str:
    """Return the stop reason that a ``message_delta`` names, as Anthropic does; empty for an aborted message."""
    given = delta_of(event).get("stop_reason")
    return "" if type(given) is not str or given in _ABORTS else _OPENAI_REASONS.get(given, given)


def result_of(event: Event, view: MessageView, request: RequestContext) -> tuple[Result, Event]:
    """Return what is to be made of a ``message_delta``, and the event with the true reason.

    Ask about lost calls once all blocks are stopped.
    """
    delta = delta_of(event)
    given, sequence = delta.get("stop_reason"), delta.get("stop_sequence")
    reason = reason_of(event)
    if not reason:
        return Result.ABORTED, event
    if view.has_calls:
        reason = grammar.TOOL_USE if reason == grammar.END_TURN else reason
    elif reason == grammar.TOOL_USE:
        if not view.has_text:
            return Result.LOST_CALL, event
        reason = grammar.END_TURN
    if reason == grammar.END_TURN and type(sequence) is str and sequence:
        reason = grammar.STOP_SEQUENCE
    wanted = sequence if reason == grammar.STOP_SEQUENCE and type(sequence) is str else None
    if reason == grammar.STOP_SEQUENCE and wanted is None:
        wanted = only_stop_sequence(request)
    if reason == given and "stop_sequence" in delta and sequence == wanted:
        return Result.AS_IT_IS, event
    return Result.CORRECTED, event.having(delta={**delta, "stop_reason": reason, "stop_sequence": wanted})


def with_counts(usage: object, least: Mapping[str, int], required: tuple[str, ...]) -> Body:
    """Return a usage object in which no count is less than it may be.

    :param least: the least value of each count, by name; 0 where it says nothing.
    :param required: names of the counts that must be there; the others may be absent or null.
    """
    given: Mapping[str, Any] = usage if type(usage) is dict else {}
    counts: Body = {**given}
    for name in grammar.COUNTS:
        count = given.get(name)
        if type(count) is int and 0 <= count <= _LARGEST_COUNT:
            counts[name] = max(count, least.get(name, 0))
        elif name in required:
            counts[name] = least.get(name, 0)
        elif count is not None:
            counts[name] = least.get(name)
    return counts


def is_same(value: object, other: object) -> bool:
    """Return whether two JSON values are written alike; ``0`` and ``false`` are not."""
    return dump_json(value) == dump_json(other)
