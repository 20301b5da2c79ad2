"""Pictures and files in messages to harmony, which shows the model an empty text in their place.

From 0.24 harmony accepts them and loses them: no refusal ever comes. Where upstream is known to be harmony, a note says that
there was something. Off unless it is asked for: it changes requests that vLLM accepts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.responses.requests.base import PartRepair
from vllm_sse_proxy.families.responses.requests.parts import note_for

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class HarmonyPictures(PartRepair):
    """Put notes in the place of what harmony loses."""

    __slots__ = ()

    name: ClassVar = "harmony_pictures"
    summary: ClassVar = (
        "pictures and files in messages become notes before harmony loses them; off by default"
    )
    lossless: ClassVar = False
    first: ClassVar = "if switched on, and upstream is known to be harmony: the model sees an empty text"
    enabled: ClassVar = False
    members: ClassVar[tuple[str, ...]] = ("content",)

    def step(self, facts: Facts) -> Step:
        """Return FIRST on harmony, NEVER elsewhere."""
        return Step.FIRST if facts.harmony else Step.NEVER

    def part(self, part: Body, facts: Facts) -> Body | None:  # noqa: ARG002 - step() has looked at them
        """Return the note for a picture or a file."""
        return note_for(part)
