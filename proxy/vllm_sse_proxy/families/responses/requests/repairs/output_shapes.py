"""Parts of what a tool returned, under the names of answers or of chat completions.

Every release refuses ``output_text``, ``text`` and ``image_url`` in the output of a tool. They get the names that the
Responses API has for input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses.requests.base import PartRepair
from vllm_sse_proxy.families.responses.requests.parts import input_part

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.base import Facts
    from vllm_sse_proxy.families.requests.document import Body


class OutputShapes(PartRepair):
    """Give the parts of outputs their names."""

    __slots__ = ()

    name: ClassVar = "output_shapes"
    summary: ClassVar = "parts of outputs get the names that the Responses API has for them"
    lossless: ClassVar = True
    members: ClassVar[tuple[str, ...]] = ("output",)

    def part(self, part: Body, facts: Facts) -> Body | None:  # noqa: ARG002 - every release
        """Return the part under its name."""
        return input_part(part)
