"""Documents that are not text: PDFs, pages elsewhere, files that were uploaded to Anthropic.

No release knows them: 400. A note takes their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair
from vllm_sse_proxy.families.messages.requests.documents import note_for

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


class UnreadableDocuments(BlockRepair):
    """Put notes in the place of documents that nobody here can read."""

    __slots__ = ()

    name: ClassVar = "unreadable_documents"
    summary: ClassVar = "documents and uploaded files that cannot be read become notes"
    lossless: ClassVar = False

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every release
        """Return the note for a document."""
        note = note_for(block)
        return None if note is None else [note]
