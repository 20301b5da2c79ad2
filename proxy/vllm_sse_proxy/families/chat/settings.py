"""What steers the repair of chat completion streams, the same for every stream of a process."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vllm_sse_proxy.stream.settings import StreamSettings


class ChatReasoning(StrEnum):
    """By which names reasoning is emitted. vLLM calls it ``reasoning_content`` up to 0.15, ``reasoning`` from 0.11.1 on."""

    BOTH = "both"
    REASONING = "reasoning"
    REASONING_CONTENT = "reasoning_content"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class ChatSettings(StreamSettings):
    """What steers the repairs of chat streams."""

    chat_reasoning: ChatReasoning = ChatReasoning.BOTH
