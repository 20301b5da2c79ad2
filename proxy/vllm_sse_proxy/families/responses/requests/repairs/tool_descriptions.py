"""Functions without a description.

Harmony 0.12 fails on them: "1 validation error for ToolDescription". Newer harmony takes the empty one, as is done here. The
AI SDK leaves descriptions out where a tool has none, and custom tools need none either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step
from vllm_sse_proxy.families.requests.members import tools_of, type_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_OPTIONAL_SINCE: Final = (0, 24)


class ToolDescriptions(RequestRepair):
    """Give every function a description, if an empty one."""

    __slots__ = ()

    name: ClassVar = "tool_descriptions"
    summary: ClassVar = "functions without a description get an empty one, which old harmony wants"
    lossless: ClassVar = True

    def step(self, facts: Facts) -> Step:
        """Return LOSSLESS on old harmony, LOSSY where it is not known to be one, and NEVER elsewhere."""
        if facts.harmony is False or facts.is_since(_OPTIONAL_SINCE):
            return Step.NEVER
        return Step.LOSSLESS if facts.harmony else Step.LOSSY

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - step() has looked at them
        """Return the request with a description for every function."""
        tools = tools_of(body)
        if not any(map(_is_undescribed, tools)):
            return None
        described = [{**tool, "description": ""} if _is_undescribed(tool) else tool for tool in tools]
        return Repaired({**body, "tools": described})


def _is_undescribed(tool: Any) -> bool:
    return type_of(tool) == "function" and tool.get("description") is None
