"""Names of tools in the result of a search for tools.

Claude Code shows most tools by their names alone; the result of its ToolSearch are ``tool_reference`` blocks. Releases up to
0.23 drop them without a word, and the search has found nothing. The tools themselves stand in ``tools`` from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair, in_results, text_block
from vllm_sse_proxy.families.requests.base import Step
from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body

_READ_SINCE: Final = (0, 24)
_REFERENCE: Final = frozenset({"tool_reference"})


class ToolReferences(BlockRepair):
    """Say in words which tools were found."""

    __slots__ = ()

    name: ClassVar = "tool_references"
    summary: ClassVar = "`tool_reference` blocks in tools' results become text, for releases that drop them"
    lossless: ClassVar = True
    first: ClassVar = "if upstream is known to be older than 0.24: it drops them without a word"
    in_messages: ClassVar[bool] = False

    def step(self, facts: Facts) -> Step:
        """Return FIRST where they would be lost, else NEVER."""
        return Step.FIRST if facts.is_before(_READ_SINCE) else Step.NEVER

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - step() has looked at them
        """Return the words for a tool that was found."""
        if type_of(block) != "tool_reference":
            return None
        name = text_of(block.get("tool_name")) or text_of(block.get("name"))
        return [text_block(f"The tool {name} can be called from now on.", block)] if name else []

    def concerns(self, body: Body, facts: Facts) -> bool:  # noqa: ARG002 - the references are the feature
        """Return whether a result holds such a name."""
        return in_results(body, _REFERENCE)
