"""Efforts that gpt-oss does not have.

Harmony knows ``low``, ``medium`` and ``high``; any other word is 400, up to 0.20 500. Codex sends ``minimal`` and ``xhigh``,
the AI SDK, LangChain and opencode have them as options. ``none`` and ``minimal`` become ``low``, ``xhigh`` and ``max``
become ``high``. The simple path takes them all, but for ``max`` up to 0.23. Other words are not guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.requests.document import Body

_NEAREST: Final[Mapping[str, str]] = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}
_NEAREST_ON_SIMPLE: Final[Mapping[str, str]] = {"max": "high"}
_MAX_SINCE: Final = (0, 24)


class Efforts(RequestRepair):
    """Ask for the nearest effort that the model has."""

    __slots__ = ()

    name: ClassVar = "efforts"
    summary: ClassVar = "`reasoning.effort` becomes the nearest that the model has"
    lossless: ClassVar = False
    answers_500: ClassVar = True

    def step(self, facts: Facts) -> Step:
        """Return NEVER where upstream takes every effort."""
        takes_all = facts.harmony is False and facts.is_since(_MAX_SINCE)
        return Step.NEVER if takes_all else Step.LOSSY

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request with an effort that upstream knows."""
        reasoning = body.get("reasoning")
        effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
        nearest = _NEAREST_ON_SIMPLE if facts.harmony is False else _NEAREST
        if not isinstance(effort, str) or effort not in nearest:
            return None
        return Repaired({**body, "reasoning": {**body["reasoning"], "effort": nearest[effort]}})
