"""The tables of docs/compatibility.md, made from `results.json`: which client fails on what, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.labs.clients.explanations import EXPLANATIONS
from tests.labs.clients.installation import CLIENTS
from tests.labs.clients.judge import Outcome
from tests.labs.clients.run import read_results
from tests.labs.clients.scenarios import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORDER = list(Outcome)
BEFORE, AFTER = 0, 1


def client_table() -> str:
    """Return the clients: versions, date, and how many scenarios are as on a perfect stream."""
    results = read_results()
    lines = ["| client | versions | run on | before | after |", "|---|---|---|---|---|"]
    for client in CLIENTS:
        one = results[client.name]
        versions = ", ".join(f"`{name}` {version}" for name, version in one["versions"].items())
        sums = [
            sum(told[side][0] == Outcome.SAME for told in one["outcomes"].values())
            for side in (BEFORE, AFTER)
        ]
        total = len(one["outcomes"])
        lines.append(
            f"| {client.title} | {versions} | {one['date']} | {sums[0]} of {total} | {sums[1]} of {total} |"
        )
    return "\n".join(lines)


def letter_table() -> str:
    """Return what the letters mean."""
    return "\n".join(
        ("| sign | the client |", "|---|---|", *(f"| {one.value} | {one.meaning} |" for one in Outcome))
    )


def scenario_table() -> str:
    """Return the outcomes: a row for each kind of stream, a column for each client."""
    results = read_results()
    head = ["stream", "defects", *(client.title for client in CLIENTS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, ids, what in rows():
        cells = [_cell(name, results[client.name]["outcomes"]) for client in CLIENTS]
        shown = what.replace("|", "\\|")
        lines.append(f"| `{name}`: {shown} | {ids} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: str, outcomes: dict[str, Any]) -> str:
    """Return `before → after` of a row, the worst of its conversations; one sign alone if it is the same."""
    both = [told for name, told in outcomes.items() if name.partition("/")[0] == row]
    before, after = (
        min((Outcome(told[side][0]) for told in both), key=_ORDER.index) for side in (BEFORE, AFTER)
    )
    return before.value if before is after else f"{before.value} → {after.value}"


def left_over() -> Iterator[tuple[str, str, str, str]]:
    """Yield what is not as on a perfect stream through the proxy: client, scenario, letter, detail."""
    results = read_results()
    for client in CLIENTS:
        for scenario, told in results[client.name]["outcomes"].items():
            letter, *detail = told[AFTER]
            if letter != Outcome.SAME:
                yield client.name, scenario, letter, " ".join(detail)


def explanation_list() -> str:
    """Return the explanations, each with the cells that it is about."""
    titles = {client.name: client.title for client in CLIENTS}
    over = list(left_over())
    lines = []
    for explanation in EXPLANATIONS:
        about: dict[str, list[str]] = {}
        for client, scenario, letter, _ in over:
            if explanation.explains(client, scenario, letter):
                seen = about.setdefault(scenario.partition("/")[0], [])
                if client not in seen:
                    seen.append(client)
        shown = "; ".join(
            f"`{row}` ({'all clients' if len(names) == len(CLIENTS) else ', '.join(titles[name] for name in names)})"
            for row, names in about.items()
        )
        lines.append(f"- **{explanation.title}** {explanation.text} Seen in: {shown}.")
    return "\n".join(lines)
