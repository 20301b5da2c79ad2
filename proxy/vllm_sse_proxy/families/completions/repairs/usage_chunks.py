"""The usage chunk (L03): twice, before the last finish reason, or with a total that is not the sum."""

from __future__ import annotations

from typing import ClassVar

from vllm_sse_proxy.families import chunk_repairs


class UsageChunks(chunk_repairs.UsageChunks):
    """See the base."""

    __slots__ = ()

    fixes: ClassVar = ("L03",)
