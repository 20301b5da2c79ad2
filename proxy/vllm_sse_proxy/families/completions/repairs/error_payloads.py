"""Errors in the stream (C01, C31): flat, as a string, beside choices, or with a code that blames the request.

Only a pure error object is understood by all clients: the AI SDK overlooks one that stands beside ``choices``. pydantic-ai and
LiteLLM derive from the code whether another try makes sense, and releases to 0.18 call every exception of a parser 400.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy.families import chunk_repairs
from vllm_sse_proxy.families.completions.chunks import kind_of

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body


class ErrorPayloads(chunk_repairs.ErrorPayloads):
    """See the base."""

    __slots__ = ()

    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""
        return kind_of(body)
