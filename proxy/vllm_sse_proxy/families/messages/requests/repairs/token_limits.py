"""Answers that may be longer than there is room for.

Claude Code asks for up to 32,000 tokens, for 64,000 under the names of newer models, and so does the AI SDK under names that
it knows. 0.32 answers 400 if that is more than the model's whole context, older releases if the question leaves less of it.
Both say how many tokens there are. Nobody can be given more: so many are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class TokenLimits(RequestRepair):
    """Ask for no longer an answer than there is room for."""

    __slots__ = ()

    name: ClassVar = "token_limits"
    summary: ClassVar = "`max_tokens` becomes what there is room for, as the refusal says"
    lossless: ClassVar = True
    answers_500: ClassVar = True

    def step(self, facts: Facts) -> Step:
        """Return NEVER unless a refusal has said how much room there is."""
        return Step.NEVER if facts.room is None else Step.LOSSLESS

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request for as long an answer as there is room for; None if it is short enough."""
        limit, room = body.get("max_tokens"), facts.room
        if room is None or type(limit) is not int or limit <= room:
            return None
        return Repaired({**body, "max_tokens": room})
