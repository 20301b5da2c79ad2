"""Thoughts of earlier turns, which old releases refuse.

Every client that shows thinking sends it back with its signature. Releases up to 0.16 know no ``thinking`` block: 400.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair
from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.requests.members import type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_READ_SINCE: Final = (0, 17)


class RefusedThinking(BlockRepair):
    """Leave out thoughts that upstream refuses."""

    __slots__ = ()

    name: ClassVar = "refused_thinking"
    summary: ClassVar = "`thinking` blocks, which old releases refuse, are left out"
    lossless: ClassVar = False
    in_tool_results: ClassVar[bool] = False

    def step(self, facts: Facts) -> Step:
        """Return NEVER where upstream reads them."""
        return Step.NEVER if facts.is_since(_READ_SINCE) else Step.LOSSY

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - step() has looked at them
        """Return nothing for a thought."""
        return [] if type_of(block) == "thinking" else None
