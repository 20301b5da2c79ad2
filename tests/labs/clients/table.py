"""The tables of docs/compatibility-matrix.md, clients-chat.md and clients/: which client fails on what, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.labs.clients.judge import Outcome
from tests.labs.clients.run import read_results, same, scenario_names
from tests.labs.clients.suites import RESPONSES, SUITES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.labs.clients.judge import Outcomes
    from tests.labs.clients.suites import Suite

_ORDER = list(Outcome)
NOT_RUN = "not run yet"


def client_table(suite: Suite = RESPONSES) -> str:
    """Return the clients: versions, date, and how many scenarios are as on a perfect stream."""
    results = read_results(suite)
    lines = ["| client | versions | run on | before | after |", "|---|---|---|---|---|"]
    for client in suite.clients:
        one = results.get(client.name)
        if one is None:
            lines.append(f"| {client.title} | | {NOT_RUN} | | |")
            continue
        versions = ", ".join(f"`{name}` {version}" for name, version in one.versions.items())
        before, after = same(one)
        total = len(one.outcomes)
        lines.append(
            f"| {client.title} | {versions} | {one.date} | {before} of {total} | {after} of {total} |"
        )
    missing = [
        name for name in scenario_names(suite) if any(name not in one.outcomes for one in results.values())
    ]
    if missing and results:
        lines += ["", f"Not run yet: {', '.join(f'`{name}`' for name in missing)}."]
    return "\n".join(lines)


def page_table(*names: str) -> str:
    """Return how these clients do on broken streams, for a page about them: a row for each API of each."""
    lines = [
        "| broken streams of | client | as on a perfect stream without the proxy | with it |",
        "|---|---|---|---|",
    ]
    for suite in SUITES.values():
        results = read_results(suite)
        for client in suite.clients:
            if client.name in names and client.name in results:
                before, after = same(results[client.name])
                total = len(results[client.name].outcomes)
                lines.append(f"| {suite.name} | {client.title} | {before} of {total} | {after} of {total} |")
    return "\n".join(lines)


def letter_table() -> str:
    """Return what the letters mean."""
    return "\n".join(
        ("| sign | the client |", "|---|---|", *(f"| {one.value} | {one.meaning} |" for one in Outcome))
    )


def scenario_table(suite: Suite = RESPONSES) -> str:
    """Return the outcomes: a row for each kind of stream, a column for each client."""
    results = read_results(suite)
    head = ["stream", "defects", *(client.title for client in suite.clients)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, ids, what in suite.rows():
        cells = [
            _cell(name, results[client.name].outcomes) if client.name in results else NOT_RUN
            for client in suite.clients
        ]
        shown = what.replace("|", "\\|")
        lines.append(f"| `{name}`: {shown} | {ids} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: str, outcomes: dict[str, Outcomes]) -> str:
    """Return `before → after` of a row, the worst of its conversations; one sign alone if it is the same."""
    both = [one for name, one in outcomes.items() if name.partition("/")[0] == row]
    if not both:
        return NOT_RUN
    before = min((one.before for one in both), key=_ORDER.index)
    after = min((one.after for one in both), key=_ORDER.index)
    return before.value if before is after else f"{before.value} → {after.value}"


def left_over(suite: Suite = RESPONSES) -> Iterator[tuple[str, str, str]]:
    """Yield what is not as on a perfect stream through the proxy: client, scenario, sign."""
    for client, one in read_results(suite).items():
        for scenario, both in one.outcomes.items():
            if both.after is not Outcome.SAME:
                yield client, scenario, both.after


def explanation_list(suite: Suite = RESPONSES) -> str:
    """Return the explanations, each with the cells that it is about."""
    titles = {client.name: client.title for client in suite.clients}
    over = list(left_over(suite))
    lines = []
    for explanation in suite.explanations:
        about: dict[str, list[str]] = {}
        for client, scenario, letter in over:
            if explanation.explains(client, scenario, letter):
                seen = about.setdefault(scenario.partition("/")[0], [])
                if client not in seen:
                    seen.append(client)
        shown = "; ".join(
            f"`{row}` ({'all clients' if len(names) == len(suite.clients) else ', '.join(titles[name] for name in names)})"
            for row, names in about.items()
        )
        lines.append(f"- **{explanation.title}** {explanation.text} Seen in: {shown}.")
    return "\n".join(lines)
