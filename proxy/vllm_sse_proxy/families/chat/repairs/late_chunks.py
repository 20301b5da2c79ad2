"""What comes after a finish reason (C12): LangChain joins two reasons to ``stopstop``, others have closed the answer."""

from __future__ import annotations

from typing import ClassVar

from vllm_sse_proxy.families import chunk_repairs
from vllm_sse_proxy.families.chat.chunks import CHAT_CHOICE_TYPES


class LateChunks(chunk_repairs.LateChunks):
    """See the base."""

    __slots__ = ()

    handles: ClassVar = CHAT_CHOICE_TYPES
