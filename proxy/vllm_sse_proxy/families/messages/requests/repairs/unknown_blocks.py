"""Blocks that are newer than vLLM, or Anthropic's own business: ``fallback``, ``mcp_tool_listing`` and their like.

400 on every release that does not know them. What is text in them stays; the rest goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair, text_block
from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body

_KNOWN: Final = frozenset(
    {
        "text",
        "image",
        "tool_use",
        "tool_result",
        "tool_reference",
        "thinking",
        "redacted_thinking",
        "tool_addition",
        "tool_removal",
    }
)
"""Types that some release takes."""


class UnknownBlocks(BlockRepair):
    """Leave out blocks that no release knows."""

    __slots__ = ()

    name: ClassVar = "unknown_blocks"
    summary: ClassVar = "blocks of types that no release knows become their text, or go"
    lossless: ClassVar = False
    in_tool_results: ClassVar[bool] = False

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every release
        """Return the text of such a block, or nothing."""
        if type_of(block) in _KNOWN:
            return None
        text = text_of(block.get("text"))
        return [text_block(text, block)] if text else []
