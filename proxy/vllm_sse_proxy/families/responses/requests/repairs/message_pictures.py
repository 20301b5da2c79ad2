"""Pictures in messages to a model that cannot see.

A text-only model on the simple path answers "is not a multimodal model" (400), harmony 0.12 fails (500). Only where one of the
two is known to be so, a note takes the picture's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.responses.requests.base import PartRepair
from vllm_sse_proxy.families.responses.requests.parts import note_for

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class MessagePictures(PartRepair):
    """Put notes in the place of pictures that the model cannot see."""

    __slots__ = ()

    name: ClassVar = "message_pictures"
    summary: ClassVar = "pictures in messages become notes where the model is known not to see them"
    lossless: ClassVar = False
    answers_500: ClassVar = True
    members: ClassVar[tuple[str, ...]] = ("content",)

    def step(self, facts: Facts) -> Step:
        """Return NEVER unless the model is known not to see."""
        return Step.LOSSY if facts.sees_pictures is False or facts.harmony else Step.NEVER

    def part(self, part: Body, facts: Facts) -> Body | None:  # noqa: ARG002 - step() has looked at them
        """Return the note for a picture."""
        return note_for(part)
