"""Finish reasons, in OpenAI's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.chunk_repairs import SAME_REASONS
from vllm_sse_proxy.families.chunks import choice_of

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Event

_SAME: Final = {
    **SAME_REASONS,
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "function_calls": "tool_calls",
}


def reason_of(event: Event) -> str:
    """Return the finish reason of an event, by OpenAI's name where another means the same; empty for none that is text."""
    reason = choice_of(event).get("finish_reason")
    return _SAME.get(reason, reason) if type(reason) is str else ""
