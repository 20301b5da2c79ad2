"""Pictures to a model that cannot see.

A text-only model answers "is not a multimodal model" (400), to pictures in messages and in tools' results alike. Where it is
known to be so, a note takes the picture's place. Claude Code's Read sends every picture file so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.messages.requests.blocks import BlockRepair
from vllm_sse_proxy.families.messages.requests.documents import picture_note
from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.requests.members import type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class UnseenPictures(BlockRepair):
    """Put notes in the place of pictures that the model cannot see."""

    __slots__ = ()

    name: ClassVar = "unseen_pictures"
    summary: ClassVar = "pictures become notes where the model is known not to see them"
    lossless: ClassVar = False

    def step(self, facts: Facts) -> Step:
        """Return NEVER unless the model is known not to see."""
        return Step.LOSSY if facts.sees_pictures is False else Step.NEVER

    def replacement(self, block: Body, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - step() has looked at them
        """Return the note for a picture."""
        return [picture_note(block)] if type_of(block) == "image" else None
