"""The usage chunk (C13, C32): twice, before the last finish reason, or with a total that is not the sum."""

from __future__ import annotations

from typing import ClassVar

from vllm_sse_proxy.families import chunk_repairs
from vllm_sse_proxy.families.chat.chunks import CALL


class UsageChunks(chunk_repairs.UsageChunks):
    """See the base."""

    __slots__ = ()

    handles: ClassVar = chunk_repairs.UsageChunks.handles | {CALL}
