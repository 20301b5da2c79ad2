"""Efforts that the model does not have.

Claude Code and the SDKs send ``output_config.effort``. Releases before 0.24 ignore it. Harmony knows ``low``, ``medium`` and
``high``: 400 for ``xhigh`` and ``max``. The simple path takes all five words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.requests.document import Body

_NEAREST: Final[Mapping[str, str]] = {"xhigh": "high", "max": "high"}
_ALL_SINCE: Final = (0, 24)


class AnswerEfforts(RequestRepair):
    """Ask for the nearest effort that the model has."""

    __slots__ = ()

    name: ClassVar = "answer_efforts"
    summary: ClassVar = "`output_config.effort` becomes the nearest that the model has"
    lossless: ClassVar = False

    def step(self, facts: Facts) -> Step:
        """Return NEVER where upstream takes every effort."""
        return Step.NEVER if facts.harmony is False and facts.is_since(_ALL_SINCE) else Step.LOSSY

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - step() has looked at them
        """Return the request with an effort that every upstream knows."""
        config = body.get("output_config")
        effort = config.get("effort") if isinstance(config, dict) else None
        if not isinstance(effort, str) or effort not in _NEAREST:
            return None
        return Repaired({**body, "output_config": {**body["output_config"], "effort": _NEAREST[effort]}})
