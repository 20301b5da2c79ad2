"""References to thoughts that nobody here remembers.

A reference to ``rs_…`` that :mod:`item_references` cannot resolve, because the proxy was restarted or another replica emitted
it, is left out: the model answers without that thought. Messages and calls are never left out so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.requests.members import text_of, type_of
from vllm_sse_proxy.families.responses.requests.base import ItemRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


class LostReasoning(ItemRepair):
    """Leave out references to unknown reasoning."""

    __slots__ = ()

    name: ClassVar = "lost_reasoning"
    summary: ClassVar = "an `item_reference` to reasoning that the proxy does not know is left out"
    lossless: ClassVar = False
    answers_500: ClassVar = True

    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every place is the same
        """Return nothing for an unknown thought."""
        is_lost = (
            type_of(item) == "item_reference"
            and text_of(item.get("id")).startswith("rs_")
            and item["id"] not in facts.items
        )
        return [] if is_lost else None
