"""Tools in ``input`` instead of ``tools``.

Under the newest model names Codex sends no ``tools`` but an input item ``additional_tools``. The harmony path accepts it and
runs the model *without any tool*; the simple path answers 400, up to 0.24 500. The tools are moved to the end of ``tools``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.requests.members import tools_of, type_of
from vllm_sse_proxy.families.responses.requests.tools import merged_tools

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class AdditionalTools(RequestRepair):
    """Move tools from the input to where vLLM looks for them."""

    __slots__ = ()

    name: ClassVar = "additional_tools"
    summary: ClassVar = "the tools of an input item `additional_tools` are moved to `tools`"
    lossless: ClassVar = True
    first: ClassVar = "unless the model is known not to be a gpt-oss: harmony accepts it and loses the tools"
    answers_500: ClassVar = True

    def step(self, facts: Facts) -> Step:
        """Return FIRST where the tools would be lost without a refusal."""
        return Step.LOSSLESS if facts.harmony is False else Step.FIRST

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request with all its tools in ``tools``; the same tool twice is one."""
        if not self.concerns(body, facts):
            return None
        more: list[Any] = []
        kept: list[Any] = []
        for item in body["input"]:
            if type_of(item) == "additional_tools":
                tools = item.get("tools")
                more += tools if isinstance(tools, list) else []
            else:
                kept.append(item)
        return Repaired({**body, "input": kept, "tools": merged_tools(tools_of(body), more)})

    def concerns(self, body: Body, facts: Facts) -> bool:  # noqa: ARG002 - the item is the feature
        """Return whether there is such an item."""
        items = body.get("input")
        if not isinstance(items, list):
            return False
        for item in items:  # noqa: SIM110 - it stands before every request: a generator would take twice as long
            if isinstance(item, dict) and item.get("type") == "additional_tools":
                return True
        return False
