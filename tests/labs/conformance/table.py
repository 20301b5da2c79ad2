"""The part of docs/compatibility-matrix.md on conformance suites: its tables, and a reason for each failure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.labs.conformance.run import read_results
from tests.labs.conformance.suites import SUITES
from tests.labs.conformance.upstream import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNS = {"pass": "✓", "fail": "✗", "skip": "–"}
NOT_RUN = "not run yet"
THROUGH = 2
"""The way that must pass: through the proxy in dialect `open-responses`, which all three suites judge by."""


@dataclass(frozen=True)
class Explanation:
    """Why checks fail through the proxy.

    :ivar checks: a regular expression for `SUITE/CHECK`; ``servers``: one for the names of servers.
    """

    title: str
    text: str
    checks: str
    servers: str = ".*"

    def explains(self, suite: str, check: str, server: str) -> bool:
        """Return whether it is about this check of a server."""
        return (
            re.fullmatch(self.checks, f"{suite}/{check}") is not None
            and re.fullmatch(self.servers, server) is not None
        )


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        "Plain JSON is passed on as it came.",
        "The check asks without `stream`. vLLM's object lacks keys that the schema requires, and has nulls where it "
        "wants objects (R27). The proxy repairs streams only ([limits](limits.md#what-is-not-touched)).",
        r"llm-comply/(assistant-phase|basic-response|image-input|multi-turn|response-output-phase-schema|system-prompt|"
        r"tool-calling)|llmprobe/responses-basic|open-responses/(basic-response|image-input|multi-turn|system-prompt|"
        r"tool-calling)",
    ),
    Explanation(
        "A request without a model is served.",
        "vLLM takes it for its own model, and so does the recorded server.",
        r"llm-comply/error-handling",
    ),
    Explanation(
        "A recorded server says the same to everyone.",
        "The check judges what the model says, or what the engine makes of a parameter: a limit, a format, "
        "`tool_choice`, memory, a background job. A recording cannot obey. `make conformance "
        "UPSTREAM=http://…` judges a server that can.",
        r"llmprobe/responses-(background|finish-length|json-mode|limits-max-tokens|parallel-tools-off|"
        r"previous-response-id|reasoning-effort-none|structured-markers|structured-outputs|tool-choice-none|"
        r"tool-result-turn|vision)",
    ),
    Explanation(
        "The recorded answer has no text.",
        "It is a call. The suite wants words from every stream before it looks at the form.",
        r"llmprobe/responses-streaming",
        r"0\.24\.0 harmony",
    ),
    Explanation(
        "The call is in no event and in no output.",
        "0.12.0 streams it as text, and its final output is empty: nothing says that it is a call (R03 with R04). For "
        "the same reason the final output of the plain answer differs from what is streamed.",
        r"open-responses/tool-calling-streaming|llmprobe/responses-parity",
        r"0\.12\.0 simple",
    ),
)


def suite_table() -> str:
    """Return the suites: version, date, and how many checks of streams pass in each way."""
    results = read_results()
    lines = [
        "| suite | version | run on | checks of streams | straight | dialect `openai` | dialect `open-responses` |",
        "|---|---|---|---|---|---|---|",
    ]
    for suite in SUITES:
        one = results.get(suite.name)
        if one is None:
            lines.append(f"| {suite.title} | | {NOT_RUN} | | | | |")
            continue
        streamed = [each for _, id_, each in _checks(suite.name) if id_ in suite.streamed]
        passed = [
            f"{sum(each[way] == 'pass' for each in streamed)} of {len(streamed)}"
            for way in range(THROUGH + 1)
        ]
        names = ", ".join(f"`{id_}`" for id_ in suite.streamed)
        lines.append(f"| {suite.title} | {one.version} | {one.date} | {names} | {' | '.join(passed)} |")
    return "\n".join(lines)


def server_table() -> str:
    """Return the outcome of each check that reads a stream: a row for each server, a column for each check."""
    results = read_results()
    columns = [(suite, id_) for suite in SUITES for id_ in suite.streamed]
    head = ["recorded server", *(f"{suite.name}: `{id_}`" for suite, id_ in columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for server in SERVERS:
        cells = []
        for suite, id_ in columns:
            servers = results[suite.name].servers if suite.name in results else {}
            each = servers.get(server.name, {}).get(id_)
            cells.append(" ".join(SIGNS[outcome] for outcome in each) if each else NOT_RUN)
        lines.append(f"| {server.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def explanation_list() -> str:
    """Return the explanations, each with the checks that it is about."""
    failing = list(failures())
    lines = []
    for explanation in EXPLANATIONS:
        about: dict[str, dict[str, int]] = {}
        for suite, check, server in failing:
            if explanation.explains(suite, check, server):
                checks = about.setdefault(suite, {})
                checks[check] = checks.get(check, 0) + 1
        shown = "; ".join(
            f"{suite}: " + ", ".join(f"`{check}`{_of_all(count)}" for check, count in checks.items())
            for suite, checks in about.items()
        )
        lines.append(f"- **{explanation.title}** {explanation.text} Fails in {shown}.")
    return "\n".join(lines)


def _of_all(count: int) -> str:
    return "" if count == len(SERVERS) else f" (on {count} of {len(SERVERS)})"


def failures() -> Iterator[tuple[str, str, str]]:
    """Yield what fails through the proxy in dialect `open-responses`: suite, check, server."""
    for suite in SUITES:
        for server, id_, each in _checks(suite.name):
            if each[THROUGH] == "fail":
                yield suite.name, id_, server


def _checks(suite: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    kept = read_results()
    for server, outcomes in kept[suite].servers.items() if suite in kept else ():
        for id_, each in outcomes.items():
            yield server, id_, each
