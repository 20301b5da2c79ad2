"""What a tool returned, as a list of texts.

Codex's MCP results are always lists, even of one text; opencode, the Agents SDK, LangChain and the AI SDK send lists too.
Harmony refuses them on every release. The texts become one string, joined by line ends, as the simple path shows them to the
model. There lists are accepted, and stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Step
from vllm_sse_proxy.families.requests.members import type_of
from vllm_sse_proxy.families.responses.requests.base import ItemRepair
from vllm_sse_proxy.families.responses.requests.parts import joined_texts

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})


class OutputTexts(ItemRepair):
    """Make one string of a list of texts."""

    __slots__ = ()

    name: ClassVar = "output_texts"
    summary: ClassVar = "an output of a tool that is a list of texts becomes one string"
    lossless: ClassVar = True

    def step(self, facts: Facts) -> Step:
        """Return NEVER on the simple path, which reads lists."""
        return Step.NEVER if facts.harmony is False else Step.LOSSLESS

    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every place is the same
        """Return the output as a string; None if something in it is not text."""
        output = item.get("output")
        if type_of(item) not in _OUTPUTS or not isinstance(output, list):
            return None
        text = joined_texts(output, "\n")
        return None if text is None else [{**item, "output": text}]
