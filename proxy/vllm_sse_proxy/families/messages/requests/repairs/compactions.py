"""Summaries that Anthropic's servers wrote of a conversation.

With the beta ``compact``, a session that began at Anthropic holds ``compaction`` blocks, whose text stands for all that was
said before. No release knows them: 400. The summary becomes text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair, text_block
from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


class Compactions(BlockRepair):
    """Turn summaries into text."""

    __slots__ = ()

    name: ClassVar = "compactions"
    summary: ClassVar = "`compaction` blocks become text"
    lossless: ClassVar = True
    in_tool_results: ClassVar[bool] = False

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every release
        """Return the summary; nothing for one that failed, which is null."""
        if type_of(block) != "compaction":
            return None
        summary = text_of(block.get("content"))
        return [text_block(f"[What was said before: {summary}]", block)] if summary else []
