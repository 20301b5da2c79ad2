"""Pictures without ``detail``, or with one that is newer than vLLM.

vLLM wants it in messages up to 0.30, and in outputs of tools on every release: 400. The AI SDK, LangChain, semantic-kernel,
opencode and the Agents SDK leave it out. ``auto`` is the protocol's default. ``original`` is refused by old releases, and has
no effect on new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.members import type_of
from vllm_sse_proxy.families.responses.requests.base import PartRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


_ORIGINAL_SINCE: Final = (0, 24)


class ImageDetails(PartRepair):
    """Give every picture its detail."""

    __slots__ = ()

    name: ClassVar = "image_details"
    summary: ClassVar = '`"detail": "auto"` is added to pictures without it'
    lossless: ClassVar = True

    def part(self, part: Body, facts: Facts) -> Body | None:
        """Return the picture with a detail that upstream knows."""
        if type_of(part) != "input_image":
            return None
        detail = part.get("detail")
        is_too_new = detail == "original" and not facts.is_since(_ORIGINAL_SINCE)
        return {**part, "detail": "auto"} if detail is None or is_too_new else None
