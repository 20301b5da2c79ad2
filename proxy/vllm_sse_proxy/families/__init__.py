"""The protocols whose streams are repaired, one package each.

:data:`FAMILIES` is the one list that the routes, the metrics, the configuration and the documentation enumerate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.chat.family import CHAT
from vllm_sse_proxy.families.completions.family import COMPLETIONS
from vllm_sse_proxy.families.messages.family import MESSAGES
from vllm_sse_proxy.families.responses.family import RESPONSES
from vllm_sse_proxy.families.transcriptions.family import TRANSCRIPTIONS

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.family import Family

__all__ = ["CHAT", "COMPLETIONS", "FAMILIES", "MESSAGES", "RESPONSES", "TRANSCRIPTIONS"]

FAMILIES: Final[tuple[Family, ...]] = (RESPONSES, CHAT, COMPLETIONS, MESSAGES, TRANSCRIPTIONS)
