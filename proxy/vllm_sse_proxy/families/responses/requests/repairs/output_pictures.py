"""Pictures and files in what a tool returned.

Harmony reads no output but a string, on every release, and a text-only model sees no picture anywhere. Where one of the two is
known to be so, each becomes a note that there was one: Codex's ``view_image`` and MCP servers, opencode's ``read``, the Agents
SDK, LangChain, the AI SDK. Elsewhere they stay: the model may see them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.responses.requests.base import PartRepair
from vllm_sse_proxy.families.responses.requests.parts import note_for

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class OutputPictures(PartRepair):
    """Put notes in the place of what a tool returned and the model cannot see."""

    __slots__ = ()

    name: ClassVar = "output_pictures"
    summary: ClassVar = (
        "pictures and files in outputs of tools become notes where the model is known not to see them"
    )
    lossless: ClassVar = False
    members: ClassVar[tuple[str, ...]] = ("output",)

    def step(self, facts: Facts) -> Step:
        """Return NEVER unless the model is known not to see them."""
        return Step.LOSSY if facts.harmony or facts.sees_pictures is False else Step.NEVER

    def part(self, part: Body, facts: Facts) -> Body | None:  # noqa: ARG002 - step() has looked at them
        """Return the note for a picture or a file."""
        return note_for(part)
