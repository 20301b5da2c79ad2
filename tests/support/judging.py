"""What the judge may say of a repaired stream, and what it may not."""

from __future__ import annotations

from typing import Final

from vllm_sse_proxy import Dialect, check_stream

_CALLS: Final = ("function_call_arguments", "custom_tool_call_input")


def violations(stream: bytes, dialect: Dialect = Dialect.OPENAI) -> list[str]:
    """Return what the judge says, but for calls whose arguments or input were put right at their end (docs/limits.md)."""
    return [
        str(violation)
        for violation in check_stream(stream, dialect=dialect)
        if violation.rule != "text_sum" or not any(call in violation.detail for call in _CALLS)
    ]
