"""Words of options that vLLM does not know, and that change nothing there.

``service_tier`` outside its five words and ``reasoning.summary`` outside its three are 400 on every release; with a known
word they have no effect. So they are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority"})
_SUMMARIES: Final = frozenset({"auto", "concise", "detailed"})
_OF_REASONING: Final = ("summary", "generate_summary")


class UnknownOptions(RequestRepair):
    """Leave out words that vLLM does not know."""

    __slots__ = ()

    name: ClassVar = "unknown_options"
    summary: ClassVar = (
        "`service_tier` and `reasoning.summary` are left out where vLLM does not know their words"
    )
    lossless: ClassVar = True

    def repair(self, body: Body, facts: Facts) -> Repaired | None:  # noqa: ARG002 - every release
        """Return the request without these options."""
        changed = dict(body)
        if _is_unknown(body.get("service_tier"), _TIERS):
            del changed["service_tier"]
        reasoning = body.get("reasoning")
        if isinstance(reasoning, dict):
            kept = {
                name: value
                for name, value in reasoning.items()
                if name not in _OF_REASONING or not _is_unknown(value, _SUMMARIES)
            }
            if len(kept) < len(reasoning):
                changed["reasoning"] = kept
        return None if changed == body else Repaired(changed)


def _is_unknown(word: object, known: frozenset[str]) -> bool:
    return isinstance(word, str) and word not in known
