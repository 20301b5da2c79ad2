"""`python -m tests.labs.clients.run`: every client against every scenario, before and after the proxy.

`--family` says whose streams: `responses` (without), `chat` or `messages`. `--write` keeps the results, from which
`make docs` makes the tables of docs/compatibility-matrix.md and docs/clients-chat.md. Clients and scenarios can
be narrowed; the results of what was not run stay as they were. What the clients said is printed, and left in build/labs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.labs import results
from tests.labs.clients.installation import InstallationError
from tests.labs.clients.judge import Outcome, Outcomes, Verdict, judge
from tests.labs.clients.runner import Bench, Driver
from tests.labs.clients.suites import RESPONSES, SUITES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.labs.clients.installation import Client
    from tests.labs.clients.judge import Run
    from tests.labs.clients.scenarios import Scenario
    from tests.labs.clients.suites import Suite

NOT_RUN = "?"
"""Stands for the outcomes of a scenario that a client was not run against."""


async def run_client(
    bench: Bench, client: Client, chosen: Sequence[Scenario], *, verbose: bool, suite: Suite = RESPONSES
) -> dict[str, Any]:
    """Run one client against the scenarios; return its part of the results."""
    perfect = suite.references(client.tool)
    known: dict[str, Run] = {}
    outcomes: dict[str, Any] = {}
    async with Driver(client) as driver:
        versions = dict(driver.versions)
        for scenario in chosen:
            if scenario.reference not in known:
                known[scenario.reference] = await bench.run(
                    driver, perfect[scenario.reference], through_proxy=False, reasoning=scenario.reasoning,
                    tools=scenario.tools,
                )  # fmt: skip
            reference = known[scenario.reference]
            both = []
            for through_proxy in (False, True):
                run = await bench.run(
                    driver,
                    scenario.turns,
                    through_proxy=through_proxy,
                    stalls=scenario.stalls,
                    reasoning=scenario.reasoning,
                    tools=scenario.tools,
                )
                verdict = judge(run, reference, says_why=scenario.says_why)
                both.append(_written(verdict))
                if verbose and (through_proxy or verbose):
                    sys.stdout.write(
                        f"  {scenario.name} {'after' if through_proxy else 'before'}: {_written(verdict)}\n"
                    )
                    sys.stdout.write(f"    {json.dumps(asdict(run), ensure_ascii=False, default=str)}\n")
            outcomes[scenario.name] = both
            sys.stdout.write(
                f"{client.name:22} {scenario.name:34} {both[0][0]} → {both[1][0]}  {' '.join(both[1][1:])}\n"
            )
            sys.stdout.flush()
            if verbose:
                sys.stdout.write(
                    f"    perfect: {json.dumps(asdict(reference), ensure_ascii=False, default=str)}\n"
                )
    return {"versions": versions, "date": f"{datetime.now(UTC):%Y-%m-%d}", "outcomes": outcomes}


def _written(verdict: Verdict) -> list[str]:
    return [verdict.outcome.value, *([verdict.detail] if verdict.detail else [])]


@dataclass(frozen=True)
class Kept:
    """What is kept of a client's runs.

    :ivar versions: of its packages; ``date``: of the last run.
    :ivar outcomes: by scenario, in their order; those that were not run are missing.
    """

    versions: dict[str, str]
    date: str
    outcomes: dict[str, Outcomes]


def read_results(suite: Suite = RESPONSES) -> dict[str, Kept]:
    """Return the results of earlier runs by client. Scenarios that are gone are left out."""
    found = results.read(suite.results)
    names = list(found.get("clients", {}))
    known = scenario_names(suite)
    rows = {name: row for row, names in found.get("outcomes", {}).items() for name in _unpacked(names)}
    table = {name: rows[name].split() for name in known if name in rows}
    return {
        name: Kept(
            **found["clients"][name],
            outcomes={
                scenario: Outcomes.parse(row[column])
                for scenario, row in table.items()
                if row[column] != NOT_RUN
            },
        )
        for column, name in enumerate(names)
    }


@cache
def scenario_names(suite: Suite = RESPONSES) -> tuple[str, ...]:
    """Return the names of all scenarios; they are the same for every client."""
    return tuple(scenario.name for scenario in suite.scenarios(suite.clients[0].tool))


def write_results(made: dict[str, Kept], suite: Suite = RESPONSES) -> None:
    """Write what was run over what there was; a client that was run with another version loses its old outcomes."""
    kept = read_results(suite)
    for name, new in made.items():
        old = kept.get(name)
        before = old.outcomes if old is not None and old.versions == new.versions else {}
        kept[name] = replace(new, outcomes={**before, **new.outcomes})
    names = [client.name for client in suite.clients if client.name in kept]
    table: dict[str, list[str]] = {}  # by the signs of all clients: most streams have the same as some other
    for scenario in scenario_names(suite):
        row = " ".join(str(kept[name].outcomes.get(scenario, NOT_RUN)) for name in names)
        table.setdefault(row, []).append(scenario)
    results.write(
        suite.results,
        {
            "clients": {name: {"versions": kept[name].versions, "date": kept[name].date} for name in names},
            "outcomes": {
                row: _packed(scenarios) for row, scenarios in table.items() if set(row.split()) != {NOT_RUN}
            },
        },
    )


def _packed(names: Iterable[str]) -> str:
    """Return names of scenarios with those of one stream as one word: `cut/text,tools`."""
    streams: dict[str, list[str]] = {}
    for name in names:
        stream, _, conversation = name.partition("/")
        streams.setdefault(stream, []).append(conversation)
    return " ".join(f"{stream}/{','.join(conversations)}" for stream, conversations in streams.items())


def _unpacked(names: str) -> Iterator[str]:
    """Yield the names that were packed."""
    for word in names.split():
        stream, _, conversations = word.partition("/")
        yield from (f"{stream}/{conversation}" for conversation in conversations.split(","))


def kept_of(made: dict[str, Any]) -> dict[str, Kept]:
    """Return what is kept of runs: the signs, without what the clients said."""
    return {
        name: Kept(
            one["versions"],
            one["date"],
            {
                scenario: Outcomes(*(Outcome(side[0]) for side in both))
                for scenario, both in one["outcomes"].items()
            },
        )
        for name, one in made.items()
    }


async def run_all(
    clients: Sequence[Client], words: Sequence[str], *, verbose: bool, suite: Suite = RESPONSES
) -> dict[str, Any]:
    """Run these clients, one after another, against the scenarios whose names hold one of the words."""
    made = {}
    async with Bench() as bench:
        for client in clients:
            chosen = [
                one
                for one in suite.scenarios(client.tool)
                if not words or any(one.name.startswith(word) for word in words)
            ]
            made[client.name] = await run_client(bench, client, chosen, verbose=verbose, suite=suite)
    return made


def main(arguments: Sequence[str]) -> int:
    """Run; return 1 if a client behaves worse through the proxy than without it, and nothing explains why."""
    parser = argparse.ArgumentParser(prog="python -m tests.labs.clients.run", description=__doc__)
    parser.add_argument(
        "--family", choices=sorted(SUITES), default=RESPONSES.name, help="whose streams; responses without"
    )
    parser.add_argument("--client", action="append", default=[], help="a client by its name; all without")
    parser.add_argument(
        "--scenario", action="append", default=[], help="scenarios whose names begin so; all without"
    )
    parser.add_argument("--write", action="store_true", help="keep the results")
    parser.add_argument("--verbose", action="store_true", help="show what every run gave")
    options = parser.parse_args(arguments)
    suite = SUITES[options.family]
    names = [client.name for client in suite.clients]
    if unknown := [name for name in options.client if name not in names]:
        parser.error(f"unknown client {unknown[0]}; known: {', '.join(names)}")
    clients = [client for client in suite.clients if client.name in (options.client or names)]
    for client in clients:
        try:
            client.environment.install()
        except InstallationError as error:
            sys.stderr.write(f"{client.name}: {error}\n")
            return 2
    made = asyncio.run(run_all(clients, options.scenario, verbose=options.verbose, suite=suite))
    results.write_whole(suite.results, made)
    kept = kept_of(made)
    if options.write:
        write_results(kept, suite)
    return report(kept, suite)


def report(made: dict[str, Kept], suite: Suite = RESPONSES) -> int:
    """Print the sums; return 1 if something got worse that is not explained."""
    worse = []
    for name, one in made.items():
        before, after = same(one)
        sys.stdout.write(
            f"{name}: as on a perfect stream: {before} before, {after} after, of {len(one.outcomes)}\n"
        )
        worse += [
            f"{name} {scenario}: {both.before} → {both.after}"
            for scenario, both in one.outcomes.items()
            if both.is_worse
            and not any(known.explains(name, scenario, both.after) for known in suite.explanations)
        ]
    sys.stdout.write("".join(f"worse through the proxy, and not explained: {line}\n" for line in worse))
    return int(bool(worse))


def same(one: Kept) -> tuple[int, int]:
    """Return in how many scenarios a client does as on a perfect stream, before and after."""
    outcomes = one.outcomes.values()
    return sum(both.before is Outcome.SAME for both in outcomes), sum(
        both.after is Outcome.SAME for both in outcomes
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
