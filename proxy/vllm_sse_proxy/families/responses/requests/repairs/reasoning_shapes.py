"""Reasoning items as vLLM wants them.

Every release refuses one without ``summary``, and those up to 0.20 one without ``id``. A part of type ``text`` is refused by
all. Of several parts the simple path reads the first only, and harmony 0.12 fails on them; newer harmony joins them by line
ends, as is done here. An item that holds nothing at all has no effect, but fails on 0.12: it is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.requests.members import text_of, type_of
from vllm_sse_proxy.families.responses.requests.base import ItemRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


class ReasoningShapes(ItemRepair):
    """Complete reasoning items."""

    __slots__ = ()

    name: ClassVar = "reasoning_shapes"
    summary: ClassVar = "reasoning items get `id` and `summary`, and one part of the type that vLLM reads"
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every release
        """Return the complete item; nothing for one that holds nothing."""
        if type_of(item) != "reasoning":
            return None
        if not (item.get("content") or item.get("summary") or item.get("encrypted_content")):
            return []
        changed: Body = {
            member: value for member, value in item.items() if member != "status" or value is not None
        }
        if not text_of(item.get("id")):
            changed["id"] = f"rs_{index}"
        if not isinstance(item.get("summary"), list):
            changed["summary"] = _parts(item.get("summary"), "summary_text") or []
        parts = _parts(item.get("content"), "reasoning_text")
        if parts is not None:
            changed["content"] = parts
        return None if changed == item else [changed]


def _parts(content: object, type_: str) -> list[Any] | None:
    """Return the one part of a content; None if it must stay as it is."""
    if isinstance(content, str):
        return [{"type": type_, "text": content}] if content else []
    if not isinstance(content, list) or not content:
        return None
    types = (type_, "text")
    texts = [part["text"] for part in content if type_of(part) in types and isinstance(part.get("text"), str)]
    if len(texts) < len(content):
        return None
    if len(content) == 1 and type_of(content[0]) == type_:
        return None
    return [{"type": type_, "text": "\n".join(texts)}]
