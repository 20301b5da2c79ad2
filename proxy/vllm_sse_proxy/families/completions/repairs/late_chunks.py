"""What comes after a finish reason (L01), as for chat completions."""

from __future__ import annotations

from typing import ClassVar

from vllm_sse_proxy.families import chunk_repairs


class LateChunks(chunk_repairs.LateChunks):
    """See the base."""

    __slots__ = ()

    fixes: ClassVar = ("L01",)
