"""Thoughts that only OpenAI can read.

Sessions that began at OpenAI send reasoning items with ``encrypted_content`` back (Codex, opencode, LangChain, the Agents SDK,
the AI SDK). The simple path refuses them on every release, harmony up to 0.12; newer harmony ignores them. Nobody here can
decrypt them: the member is left out, and with it the item if there is nothing else in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.requests.members import type_of
from vllm_sse_proxy.families.responses.requests.base import ItemRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_IGNORED_BY_HARMONY_SINCE: Final = (0, 24)


class EncryptedReasoning(ItemRepair):
    """Leave out what cannot be decrypted."""

    __slots__ = ()

    name: ClassVar = "encrypted_reasoning"
    summary: ClassVar = "`encrypted_content` of reasoning items is left out"
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def step(self, facts: Facts) -> Step:
        """Return NEVER where vLLM ignores it."""
        ignored = facts.harmony is True and facts.is_since(_IGNORED_BY_HARMONY_SINCE)
        return Step.NEVER if ignored else Step.LOSSLESS

    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every place is the same
        """Return the item without its encrypted content; nothing if it holds nothing else."""
        if type_of(item) != "reasoning" or item.get("encrypted_content") is None:
            return None
        kept = {member: value for member, value in item.items() if member != "encrypted_content"}
        return [kept] if item.get("content") or item.get("summary") else []
