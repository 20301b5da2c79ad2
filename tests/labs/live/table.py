"""The tables of docs/compatibility-matrix.md about a real vLLM: what a real vLLM sends, before and after."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from tests.labs.clients.judge import Outcome
from tests.labs.live.clients import LIVE_CLIENTS
from tests.labs.live.explanations import EXPLANATIONS
from tests.labs.live.judge import EVERY_RULE
from tests.labs.live.run import ROWS, read_results
from tests.labs.live.server import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.labs.live.explanations import Explanation
    from tests.labs.live.judge import Sums
    from tests.labs.live.run import Kept

_ORDER = list(Outcome)
NOT_RUN = "–"


def runs() -> Iterator[tuple[str, str, Kept]]:
    """Yield release, title of the way, and results of every run, the newest release first."""
    for release, ways in read_results().items():
        for way in WAYS:
            if way.name in ways:
                yield release, way.title, ways[way.name]


def run_table() -> str:
    """Return what was run: release, way, date, and the sums."""
    lines = [
        "| vLLM | path | run on | scenarios right, before → after | clients, before → after | other endpoints the same |",
        "|---|---|---|---|---|---|",
    ]
    for release, title, one in runs():
        rows = one.rows.values()
        before, after, of = (
            sum(getattr(row, number) for row in rows) for number in ("before", "after", "of")
        )
        scenarios = f"{before} → {after} of {of}" if rows else NOT_RUN
        outcomes = [both for client in one.clients.values() for both in client.values()]
        same = [
            sum(each is Outcome.SAME for each in side)
            for side in ([both.before for both in outcomes], [both.after for both in outcomes])
        ]
        clients = f"{same[0]} → {same[1]} of {len(outcomes)}" if outcomes else NOT_RUN
        known = one.endpoints
        others = f"{known['same']} of {known['asked']}" if known else NOT_RUN
        lines.append(f"| {release} | {title} | {one.date} | {scenarios} | {clients} | {others} |")
    return "\n".join(lines)


def row_table() -> str:
    """Return a row for each kind of scenario, a column for each run: how many are right, before → after, of how many."""
    all_ = list(runs())
    lines = [
        "| | " + " | ".join(f"{release} {title}" for release, title, _ in all_) + " |",
        "|---|" + "---|" * len(all_),
    ]
    for row, what in ROWS.items():
        cells = [_cell(one.rows.get(row)) for _, _, one in all_]
        if any(cell != NOT_RUN for cell in cells):
            lines.append(f"| **{row}**: {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(sums: Sums | None) -> str:
    return f"{sums.before} → {sums.after} of {sums.of}" if sums else NOT_RUN


def fault_table() -> str:
    """Return a row for each kind of fault, a column for each run: in how many scenarios it was found before the proxy."""
    all_ = list(runs())
    counted = [_faults(one) for _, _, one in all_]
    kinds = sorted(
        {kind for one in counted for kind in one}, key=lambda kind: (-sum(one[kind] for one in counted), kind)
    )
    lines = [
        "| | " + " | ".join(f"{release} {title}" for release, title, _ in all_) + " |",
        "|---|" + "---|" * len(all_),
    ]
    for kind in kinds:
        sentence = OTHER_KINDS.get(kind) or EVERY_RULE[kind]
        shown = sentence.replace("|", "\\|")
        lines.append(
            f"| `{kind}`: {shown} | " + " | ".join(str(one[kind] or NOT_RUN) for one in counted) + " |"
        )
    return "\n".join(lines)


def _faults(one: Kept) -> Counter[str]:
    made: Counter[str] = Counter()
    for row in one.rows.values():
        made.update(row.faults)
    return made


OTHER_KINDS = {
    "types": "The `openai` package's types read every event.",
    "end": "The body ends, with its last chunk.",
    "other": "The answer is an answer: the right status, the failure reported, the engine at rest.",
}
"""Kinds of faults that are not rules of the checker; each said as what is right, as the rules are."""


def client_table() -> str:
    """Return a row for each client, a column for each run: the signs of its conversations, before → after."""
    all_ = [run for run in runs() if run[2].clients]
    lines = [
        "| client | " + " | ".join(f"{release} {title}" for release, title, _ in all_) + " |",
        "|---|" + "---|" * len(all_),
    ]
    for client in LIVE_CLIENTS:
        cells = []
        for _, _, one in all_:
            outcomes = list(one.clients.get(client.name, {}).values())
            sides = [" ".join(both.before for both in outcomes), " ".join(both.after for both in outcomes)]
            cells.append(sides[0] if sides[0] == sides[1] else " → ".join(sides))
        if any(cells):
            lines.append(f"| {client.title} | " + " | ".join(cell or NOT_RUN for cell in cells) + " |")
    return "\n".join(lines)


def claude_code_table() -> str:
    """Return what became of Claude Code's conversations on each server."""
    lines = ["| vLLM | text | a tool and its result | words, then a tool |", "|---|---|---|---|"]
    for release, title, one in runs():
        outcomes = one.clients.get("messages/claude-code")
        if outcomes:
            cells = (f"{both.before} → {both.after}" for both in outcomes.values())
            lines.append(f"| {release} {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def left_over() -> Iterator[tuple[str, str, str]]:
    """Yield what is not right through the proxy: release, way, scenario (`row: name`, or `client: conversation`)."""
    for release, ways in read_results().items():
        for way, one in ways.items():
            for row, sums in one.rows.items():
                for name in sums.left:
                    yield release, way, f"{row}: {name}"
            for client, outcomes in one.clients.items():
                for name, both in outcomes.items():
                    if both.after is not Outcome.SAME:
                        yield release, way, f"{client}: {name}"
            for name in one.endpoints.get("left", {}):
                yield release, way, f"endpoint: {name}"


def explains(explanation: Explanation, release: str, way: str, scenario: str) -> bool:
    """Return whether an explanation is about this."""
    return (
        re.fullmatch(explanation.scenarios, scenario) is not None
        and re.fullmatch(explanation.ways, way) is not None
        and re.fullmatch(explanation.releases, release) is not None
    )


def explanation_list() -> str:
    """Return the explanations, each with the releases and scenarios that it is about."""
    over = list(left_over())
    lines = []
    for explanation in EXPLANATIONS:
        about: dict[str, list[str]] = {}
        for release, way, scenario in over:
            if explains(explanation, release, way, scenario):
                about.setdefault(f"{release} {way}", []).append(scenario)
        shown = "; ".join(
            f"{run} ({len(names)}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''})"
            for run, names in about.items()
        )
        lines.append(f"- **{explanation.title}** {explanation.text} Seen in: {shown}.")
    return "\n".join(lines) or "Nothing."


SHOWN = 3
"""How many scenarios an explanation names; the rest is in the results."""
