"""Log probabilities, which harmony does not give: 400 on every release. pydantic-ai and the AI SDK have an option for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_INCLUDE: Final = "message.output_text.logprobs"


class Logprobs(RequestRepair):
    """Do not ask harmony for log probabilities."""

    __slots__ = ()

    name: ClassVar = "logprobs"
    summary: ClassVar = "on harmony, log probabilities are not asked for"
    lossless: ClassVar = False

    def step(self, facts: Facts) -> Step:
        """Return NEVER unless upstream is known to be harmony: the simple path gives them."""
        return Step.LOSSY if facts.harmony else Step.NEVER

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request without what asks for them."""
        include = body.get("include")
        if not isinstance(include, list) or _INCLUDE not in include:
            return None
        kept = {member: value for member, value in body.items() if member != "top_logprobs"}
        return Repaired({**kept, "include": [value for value in include if value != _INCLUDE]})
