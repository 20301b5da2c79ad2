"""Budgets of thinking that upstream cannot hold the model to.

vLLM that looks at ``thinking`` wants a budget below ``max_tokens``. With interleaved thinking, Anthropic counts a budget over
all turns up to the answer, and so it may be larger: 400. It becomes the largest that upstream takes.

Without a reasoning parser, and for gpt-oss, vLLM has no budgets. A request with one gets 400 if it does not stream; a stream
gets 200 and then nothing but an error. Then the model decides how much it thinks (``adaptive``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.requests.document import Body

_LEAST: Final = 1024
"""Tokens: Anthropic's smallest budget, and vLLM's."""
_IGNORED_BEFORE: Final = (0, 29)
_ADAPTIVE: Final[Body] = {"type": "adaptive"}


class ThinkingBudgets(RequestRepair):
    """Ask for a budget of thinking that upstream has, or for none."""

    __slots__ = ()

    name: ClassVar = "thinking_budgets"
    summary: ClassVar = (
        "`thinking.budget_tokens` goes below `max_tokens`, or away where upstream has no budgets"
    )
    lossless: ClassVar = False
    first: ClassVar = (
        "if upstream is known to have no budgets: a stream ends in an error, and nothing is refused"
    )

    def step(self, facts: Facts) -> Step:
        """Return FIRST where a stream would fail."""
        return Step.FIRST if _has_none(facts) else Step.LOSSY

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request with a budget that upstream takes; None if it has one, or none was asked for."""
        thinking, limit = body.get("thinking"), body.get("max_tokens")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        if type(budget) is not int:
            return None
        if _has_none(facts):
            return Repaired({**body, "thinking": _ADAPTIVE})
        if type(limit) is not int or budget < limit:
            return None
        if limit <= _LEAST:
            return Repaired({**body, "thinking": _ADAPTIVE})
        return Repaired({**body, "thinking": {**body["thinking"], "budget_tokens": limit - 1}})

    def concerns(self, body: Body, facts: Facts) -> bool:  # noqa: ARG002 - the budget is the feature
        """Return whether a budget is asked for."""
        return has_budget(body)


def has_budget(body: Mapping[str, Any]) -> bool:
    """Return whether a request asks for a budget of thinking."""
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and "budget_tokens" in thinking


def _has_none(facts: Facts) -> bool:
    """Return whether upstream is known to have no budgets; old releases ignore them."""
    return facts.budgets is False or (facts.harmony is True and not facts.is_before(_IGNORED_BEFORE))
