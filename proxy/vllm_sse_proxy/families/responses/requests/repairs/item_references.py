"""Items that a client only names.

The AI SDK leaves ``store`` at its default and then sends ``{"type": "item_reference", "id": …}`` for what the last answer
held: reasoning, messages, provider tools. No release of vLLM knows such an item: 400, up to 0.29 on the simple path 500.

The proxy knows what it emitted (``items.py``), and puts the item in the place of its name. What it does not know stays, and
with it vLLM's refusal; but for a thought, which :mod:`lost_reasoning` may leave out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair
from vllm_sse_proxy.families.requests.members import text_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class ItemReferences(RequestRepair):
    """Put the items in the place of references to them."""

    __slots__ = ()

    name: ClassVar = "item_references"
    summary: ClassVar = "an `item_reference` becomes the item that the proxy emitted under this id"
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request with every known item in its place; an item that is referenced and sent is kept once."""
        items = body.get("input")
        if not isinstance(items, list):
            return None
        sent = {
            text_of(item.get("id")) for item in items if isinstance(item, dict) and not _is_reference(item)
        }
        changed = False
        result: list[Any] = []
        for item in items:
            id_ = text_of(item.get("id")) if _is_reference(item) else ""
            if id_ and id_ in sent:
                changed = True
            elif id_ and isinstance(facts.items.get(id_), dict):
                changed = True
                sent.add(id_)
                result.append(facts.items[id_])
            else:
                result.append(item)
        return Repaired({**body, "input": result}) if changed else None


def _is_reference(item: Any) -> bool:
    """Return whether an item only names another; a reference may come without its type, as an id alone."""
    if not isinstance(item, dict):
        return False
    return type_of(item) == "item_reference" or item.keys() == {"id"}
