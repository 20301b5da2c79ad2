"""What a request has shown: what is broken in the server, what the proxy does about it, and for which clients that matters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.stream.ending import Ending
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from vllm_sse_proxy.demo.clients import Reading
    from vllm_sse_proxy.demo.protocols import Protocol
    from vllm_sse_proxy.demo.report import Comparison
    from vllm_sse_proxy.probe.cases import Case
    from vllm_sse_proxy.probe.target import Target


class ExitCode(IntEnum):
    """What `probe` exits with."""

    FINE = 0
    REPAIRED = 1
    USAGE = 2
    UNREPAIRED = 3
    UNPROBED = 4

    @property
    def meaning(self) -> str:
        """What it says of the server."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    ExitCode.FINE: "nothing that was tried is broken for a client that was measured",
    ExitCode.REPAIRED: "something is broken for clients, and the proxy repairs all of it",
    ExitCode.USAGE: "the command line cannot be used",
    ExitCode.UNREPAIRED: "something is broken that the proxy cannot repair",
    ExitCode.UNPROBED: "the server could not be probed: not reached, not vLLM, no key, no model, no answer in time",
}


class Verdict(StrEnum):
    """What came of one request; the worst last."""

    FINE = "fine"
    ADAPTED = "adapted"
    FORMAL = "formal"
    REFUSED = "refused"
    SKIPPED = "not tried"
    REPAIRED = "repaired"
    UNREPAIRED = "not repaired"

    @property
    def meaning(self) -> str:
        """What it says, for a legend."""
        return _SAID[self]


_SAID: Final = {
    Verdict.FINE: "conforms, and leaves the proxy as it came",
    Verdict.ADAPTED: "conforms; the proxy adds what some clients need",
    Verdict.FORMAL: "breaks the protocol in ways that no client minds that was measured; the proxy repairs it",
    Verdict.REFUSED: "the server does not take this request: see its message",
    Verdict.SKIPPED: "there was no time left, or nothing to continue",
    Verdict.REPAIRED: "is broken, and the proxy repairs it",
    Verdict.UNREPAIRED: "is broken, and the proxy cannot repair it",
}

_DONE: Final = "done_sentinel"
"""The rule of the judges, and the setting, of the end of a stream; it is not counted as a repair."""
_LOST: Final = frozenset(
    {
        Ending.UPSTREAM_ERROR,
        Ending.FAILED,
        Ending.TRUNCATED,
        Ending.CUT,
        Ending.RESET,
        Ending.IDLE_TIMEOUT,
        Ending.EMPTY,
        Ending.LIMIT,
    }
)
"""Endings of streams of which a part never came: the proxy makes an honest error of them, and no answer."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one request.

    :ivar comparison: the answers; None: it was not sent.
    :ivar same_bytes: whether both sides are the same answer; else the request was sent twice, and the model may have said
        something else.
    :ivar ending: how the stream ended, where it is known.
    :ivar requests: names of the repairs of the request, without which it would have been refused.
    :ivar remark: why it was not sent.
    """

    case: Case
    comparison: Comparison | None = None
    same_bytes: bool = True
    ending: Ending | None = None
    requests: tuple[str, ...] = ()
    remark: str = ""

    @property
    def verdict(self) -> Verdict:
        """What it says of the server."""
        both = self.comparison
        if both is None:
            return Verdict.SKIPPED
        before, after = both.before, both.after
        if before.answer.error_message is not None:
            if after.answer.error_message is None and after.is_rightly_sent:
                return Verdict.REPAIRED
            is_refused = HTTPStatus.BAD_REQUEST <= before.answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
            return Verdict.REFUSED if is_refused and self.case.client is None else Verdict.UNREPAIRED
        if not after.is_rightly_sent or before.answer.silent or self.ending in _LOST:
            return Verdict.UNREPAIRED
        if self.requests or self.misled or not before.is_rightly_sent:
            return Verdict.REPAIRED if self.matters else Verdict.FORMAL
        return Verdict.ADAPTED if both.repairs else Verdict.FINE

    @property
    def matters(self) -> bool:
        """Whether what is corrected matters to a client, as far as that was measured; what was not measured may."""
        if self.requests or self.misled or self.comparison is None:
            return True
        known = affected().get(self.case.protocol.family.name, {})
        return any(known.get(name) != [] for name in self.comparison.repairs)

    @property
    def misled(self) -> tuple[str, ...]:
        """The imitations of clients that make something else of the answer than of the repaired one."""
        both = self.comparison
        if both is None or both.before.answer.error_message is not None:
            return ()
        after = both.after.readings
        return tuple(
            label for label, seen in both.before.readings.items() if self._differs(seen, after[label])
        )

    def _differs(self, one: Reading, other: Reading) -> bool:
        if self.same_bytes:
            return one != other
        return bool(one.problems) and not other.problems

    @property
    def corrections(self) -> tuple[str, ...]:
        """Names of what the proxy corrects in the request and in its answer."""
        both = self.comparison
        if both is None:
            return ()
        lacks_done = any(violation.rule == _DONE for violation in both.before.violations)
        return (
            *self.requests,
            *both.repairs,
            *((_DONE,) if lacks_done and both.after.is_rightly_sent else ()),
        )

    @property
    def clients(self) -> tuple[str, ...]:
        """The clients for which it matters: those that were measured with such streams, and the one that sends this."""
        named = [] if self.case.client is None or self.verdict is Verdict.FINE else [self.case.client]
        known = affected().get(self.case.protocol.family.name, {})
        repairs = () if self.comparison is None else self.comparison.repairs
        return tuple(dict.fromkeys([*named, *(client for name in repairs for client in known.get(name, ()))]))

    @property
    def limit(self) -> str:
        """What the proxy cannot do about it; empty if it can."""
        both = self.comparison
        if self.verdict is not Verdict.UNREPAIRED or both is None:
            return ""
        before, after = both.before.answer, both.after
        if before.error_message is not None:
            fails = before.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            return (
                f"the server {'fails on' if fails else 'refuses'} it, repaired or not: {before.error_message}"
            )
        if before.silent:
            return "the server fell silent and left the stream open; the proxy ends it after its idle limit, as an error"
        if self.ending in _LOST:
            return "a part of the answer never came; the proxy ends the stream as an error, so that it is not taken for whole"
        return f"what leaves the proxy does not conform: {'; '.join(map(str, after.violations[:3])) or 'it is cut'}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the proxy corrects in what this server sends or refuses.

    :ivar name: of the repair; ``summary``: what it does.
    :ivar cases: the requests that needed it.
    :ivar clients: those that were measured to fail without it.
    :ivar measured: of how many; None: it was not measured.
    """

    protocol: Protocol
    name: str
    summary: str
    cases: tuple[str, ...]
    clients: tuple[str, ...]
    measured: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a probe has found out.

    :ivar results: in the order of the cases.
    :ivar absent: family's path → why it was not probed.
    :ivar seconds: that it took; ``sent``: requests that the server was sent.
    :ivar died_at: the request at which the server stopped to work; None: it works. Others were on their way then.
    """

    target: Target
    results: Sequence[Result]
    absent: Mapping[str, str]
    seconds: float
    sent: int
    died_at: str | None = None

    @property
    def exit_code(self) -> ExitCode:
        """What `probe` exits with."""
        verdicts = {result.verdict for result in self.results}
        if Verdict.UNREPAIRED in verdicts:
            return ExitCode.UNREPAIRED
        if Verdict.REPAIRED in verdicts:
            return ExitCode.REPAIRED
        is_tried = not verdicts.isdisjoint({Verdict.FINE, Verdict.ADAPTED, Verdict.FORMAL})
        return ExitCode.FINE if is_tried else ExitCode.UNPROBED

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols that were probed."""
        return tuple(dict.fromkeys(result.case.protocol for result in self.results))

    def of(self, protocol: Protocol) -> list[Result]:
        """Return the results of one protocol."""
        return [result for result in self.results if result.case.protocol is protocol]

    def count(self, verdict: Verdict) -> int:
        """Return how many requests came to a verdict."""
        return sum(result.verdict is verdict for result in self.results)

    def findings(self) -> list[Finding]:
        """Return what the proxy corrects, family by family, what most requests needed first."""
        found = []
        for protocol in self.protocols:
            names = dict.fromkeys(name for result in self.of(protocol) for name in result.corrections)
            every = [_finding(protocol, name, self.of(protocol)) for name in names]
            found += sorted(every, key=lambda one: -len(one.cases))
        return found

    def limits(self) -> list[tuple[Result, str]]:
        """Return what the proxy cannot do anything about."""
        return [(result, result.limit) for result in self.results if result.limit]


def _finding(protocol: Protocol, name: str, results: Iterable[Result]) -> Finding:
    family = protocol.family
    every = (*corrections_of(family), *family.request_corrections)
    summaries = {_DONE: "`data: [DONE]` ends the stream"} | {one.name: one.summary for one in every}
    needing = [result for result in results if name in result.corrections]
    asking = [result.case.client for result in needing if name in result.requests and result.case.client]
    known = affected().get(family.name, {})
    every_client = {client for failing in known.values() for client in failing}
    measured = len(every_client) if name in known or name == _DONE else None
    clients = (*asking, *known.get(name, ()))
    cases = tuple(result.case.name for result in needing)
    return Finding(protocol, name, summaries.get(name, ""), cases, tuple(dict.fromkeys(clients)), measured)


@cache
def affected() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return family → repair → the real clients that were measured to fail on streams that need it. Made by `make docs`."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath("clients.json").read_bytes())
    assert set(found) <= {family.name for family in FAMILIES}  # noqa: S101 - it is made of the same list
    return found
