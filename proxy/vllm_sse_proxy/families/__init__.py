"""The protocols whose streams are repaired, one package each.

Each package opens with the life of a stream, and has modules of the same names: ``grammar`` (the protocol as tables),
``conformance`` (its judge), ``family`` (what :mod:`vllm_sse_proxy.stream` asks of it), ``view`` and ``repairs``. Where one
needs more, it has ``address``, ``complete`` and ``exit`` (the later stations; those of chunk streams are in :mod:`.chunks`),
``settings``, and ``requests`` (the repair of refused requests). A family never imports another; what two of them use stands
beside them.

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
