"""Reasoning items that hold no thought, only its summary or nothing.

Harmony 0.12 fails on them (400 "object of type 'NoneType' has no len()", or 500); newer harmony leaves them out, as is done
here. The simple path takes the summary for the thought, so nothing is changed there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.requests.members import type_of
from vllm_sse_proxy.families.responses.requests.base import ItemRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_LEFT_OUT_BY_VLLM_SINCE: Final = (0, 24)


class EmptyReasoning(ItemRepair):
    """Leave out reasoning without content, as newer harmony does."""

    __slots__ = ()

    name: ClassVar = "empty_reasoning"
    summary: ClassVar = "on harmony, reasoning items without content are left out"
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def step(self, facts: Facts) -> Step:
        """Return LOSSLESS on harmony, which does it itself from 0.24; LOSSY where it is not known to be harmony."""
        if facts.harmony is False or facts.is_since(_LEFT_OUT_BY_VLLM_SINCE):
            return Step.NEVER
        return Step.LOSSLESS if facts.harmony else Step.LOSSY

    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every place is the same
        """Return nothing for a thought without content."""
        return [] if type_of(item) == "reasoning" and not item.get("content") else None
