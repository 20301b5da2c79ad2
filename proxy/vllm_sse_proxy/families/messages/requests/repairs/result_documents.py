"""Documents in the results of tools.

vLLM takes texts and pictures out of a result and drops the rest without a word: a tool that read a document has said nothing.
Documents and search results that are text become text, and notes say where others were. Claude Code's Read sends a PDF so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair, in_results
from vllm_sse_proxy.families.messages.requests.documents import DOCUMENTS, note_for, readable
from vllm_sse_proxy.families.requests.base import Step
from vllm_sse_proxy.families.requests.members import type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


class ResultDocuments(BlockRepair):
    """Turn documents in tools' results into their words, or a note."""

    __slots__ = ()

    name: ClassVar = "result_documents"
    summary: ClassVar = "documents in tools' results become text, or a note that they were there"
    lossless: ClassVar = True
    first: ClassVar = "always: vLLM drops them without a word"
    in_messages: ClassVar[bool] = False

    def step(self, facts: Facts) -> Step:  # noqa: ARG002 - every release
        """Return FIRST: no refusal ever comes."""
        return Step.FIRST

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every release
        """Return the words of a document, or the note for it."""
        if type_of(block) not in DOCUMENTS:
            return None
        made = readable(block) or note_for(block)
        return None if made is None else [made]

    def concerns(self, body: Body, facts: Facts) -> bool:  # noqa: ARG002 - the documents are the feature
        """Return whether a result holds a document."""
        return in_results(body, DOCUMENTS)
