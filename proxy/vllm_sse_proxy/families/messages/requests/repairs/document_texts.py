"""Documents and search results that are text.

No release knows ``document`` and ``search_result`` blocks: 400. Those whose source is text become text, under their title.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair
from vllm_sse_proxy.families.messages.requests.documents import readable

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


class DocumentTexts(BlockRepair):
    """Turn documents into their words."""

    __slots__ = ()

    name: ClassVar = "document_texts"
    summary: ClassVar = "`document` and `search_result` blocks that are text become text"
    lossless: ClassVar = True
    in_tool_results: ClassVar[bool] = False

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every release
        """Return the words of a document."""
        made = readable(block)
        return None if made is None else [made]
