"""Members whose ``null`` kills the stream.

vLLM accepts ``truncation: null`` and ``background: null``, and copies them into its response object, which cannot hold them:
status 200, and the stream ends without a byte. Up to 0.31 ``parallel_tool_calls: null`` does the same. No refusal ever says
so, so these three are left out before the first send. To OpenAI's API null and absent are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair, Step

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body

_ALL_RELEASES: Final = ("truncation", "background")
_PARALLEL: Final = "parallel_tool_calls"
_PARALLEL_SINCE: Final = (0, 32)


class FatalNulls(RequestRepair):
    """Leave out the nulls that vLLM accepts and fails on."""

    __slots__ = ()

    name: ClassVar = "fatal_nulls"
    summary: ClassVar = (
        "`truncation`, `background` and `parallel_tool_calls` are left out where they are null"
    )
    lossless: ClassVar = True
    first: ClassVar = "always: vLLM answers 200, and then the stream ends without a byte"

    def step(self, facts: Facts) -> Step:  # noqa: ARG002 - every release
        """Return FIRST: there is no refusal to wait for."""
        return Step.FIRST

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request without these nulls."""
        if not self.concerns(body, facts):
            return None
        fatal = self._fatal(facts)
        return Repaired(
            {name: value for name, value in body.items() if value is not None or name not in fatal}
        )

    def concerns(self, body: Body, facts: Facts) -> bool:
        """Return whether one of them is null."""
        for name in self._fatal(facts):  # noqa: SIM110 - every request is asked about: a generator takes twice as long
            if body.get(name, name) is None:
                return True
        return False

    def _fatal(self, facts: Facts) -> tuple[str, ...]:
        return _ALL_RELEASES if facts.is_since(_PARALLEL_SINCE) else (*_ALL_RELEASES, _PARALLEL)
