"""Thoughts that only Anthropic can read.

A session that began at Anthropic may hold ``redacted_thinking``. Releases up to 0.17 answer 400; newer ones drop it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair
from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.requests.members import type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_DROPPED_SINCE: Final = (0, 20)


class RedactedThinking(BlockRepair):
    """Leave out thoughts that nobody here can read."""

    __slots__ = ()

    name: ClassVar = "redacted_thinking"
    summary: ClassVar = "`redacted_thinking` blocks are left out"
    lossless: ClassVar = True
    in_tool_results: ClassVar[bool] = False

    def step(self, facts: Facts) -> Step:
        """Return NEVER where upstream drops them itself."""
        return Step.NEVER if facts.is_since(_DROPPED_SINCE) else Step.LOSSLESS

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - step() has looked at them
        """Return nothing for such a block."""
        return [] if type_of(block) == "redacted_thinking" else None
