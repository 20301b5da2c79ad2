"""`python -m tests.labs.clients.run`: every client against every scenario, before and after the proxy.

Writes `results.json` with `--write`, from which `make docs` makes the tables of docs/compatibility.md. Clients and scenarios
can be narrowed; what was not run then stays in the file as it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.labs.clients.explanations import EXPLANATIONS
from tests.labs.clients.installation import CLIENTS, Client, InstallationError
from tests.labs.clients.judge import Outcome, Verdict, judge
from tests.labs.clients.runner import Bench, Driver
from tests.labs.clients.scenarios import Scenario, references, scenarios

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.labs.clients.judge import Run

RESULTS = Path(__file__).with_name("results.json")


async def run_client(
    bench: Bench, client: Client, chosen: Sequence[Scenario], *, verbose: bool
) -> dict[str, Any]:
    """Run one client against the scenarios; return its part of the results."""
    perfect = references(client.tool)
    known: dict[str, Run] = {}
    outcomes: dict[str, Any] = {}
    async with Driver(client) as driver:
        versions = dict(driver.versions)
        for scenario in chosen:
            if scenario.reference not in known:
                known[scenario.reference] = await bench.run(
                    driver, perfect[scenario.reference], through_proxy=False, reasoning=scenario.reasoning
                )
            reference = known[scenario.reference]
            told = []
            for through_proxy in (False, True):
                run = await bench.run(
                    driver,
                    scenario.turns,
                    through_proxy=through_proxy,
                    stalls=scenario.stalls,
                    reasoning=scenario.reasoning,
                )
                verdict = judge(run, reference, says_why=scenario.says_why)
                told.append(_told(verdict))
                if verbose and (through_proxy or verbose):
                    sys.stdout.write(
                        f"  {scenario.name} {'after' if through_proxy else 'before'}: {_told(verdict)}\n"
                    )
                    sys.stdout.write(f"    {json.dumps(asdict(run), ensure_ascii=False, default=str)}\n")
            outcomes[scenario.name] = told
            sys.stdout.write(
                f"{client.name:22} {scenario.name:34} {told[0][0]} → {told[1][0]}  {' '.join(told[1][1:])}\n"
            )
            sys.stdout.flush()
            if verbose:
                sys.stdout.write(
                    f"    perfect: {json.dumps(asdict(reference), ensure_ascii=False, default=str)}\n"
                )
    return {"versions": versions, "date": f"{datetime.now(UTC):%Y-%m-%d}", "outcomes": outcomes}


def _told(verdict: Verdict) -> list[str]:
    return [verdict.outcome.value, *([verdict.detail] if verdict.detail else [])]


def read_results() -> dict[str, Any]:
    """Return the results of earlier runs by client."""
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}


def write_results(made: dict[str, Any]) -> None:
    """Write what was run over what there was; a client that was run with another version loses its old outcomes."""
    results = read_results()
    for name, new in made.items():
        old = results.get(name, {})
        kept = old.get("outcomes", {}) if old.get("versions") == new["versions"] else {}
        results[name] = {**new, "outcomes": {**kept, **new["outcomes"]}}
    order = {scenario.name: position for position, scenario in enumerate(scenarios(CLIENTS[0].tool))}
    lines = ["{"]
    for client in CLIENTS:
        if client.name not in results:
            continue
        one = results[client.name]
        lines += [
            f" {json.dumps(client.name)}: {{",
            f'  "versions": {json.dumps(one["versions"])},',
            f'  "date": "{one["date"]}",',
            '  "outcomes": {',
        ]
        told = sorted(
            (item for item in one["outcomes"].items() if item[0] in order), key=lambda item: order[item[0]]
        )
        lines += [f"   {json.dumps(name)}: {json.dumps(both, ensure_ascii=False)}," for name, both in told]
        lines[-1] = lines[-1].rstrip(",")
        lines += ["  }", " },"]
    lines[-1] = " }"
    RESULTS.write_text("\n".join([*lines, "}", ""]), "utf-8")


async def run_all(clients: Sequence[Client], words: Sequence[str], *, verbose: bool) -> dict[str, Any]:
    """Run these clients, one after another, against the scenarios whose names hold one of the words."""
    made = {}
    async with Bench() as bench:
        for client in clients:
            chosen = [
                one
                for one in scenarios(client.tool)
                if not words or any(one.name.startswith(word) for word in words)
            ]
            made[client.name] = await run_client(bench, client, chosen, verbose=verbose)
    return made


def main(arguments: Sequence[str]) -> int:
    """Run; return 1 if a client behaves worse through the proxy than without it, and nothing explains why."""
    parser = argparse.ArgumentParser(prog="python -m tests.labs.clients.run", description=__doc__)
    parser.add_argument("--client", action="append", default=[], help="a client by its name; all without")
    parser.add_argument(
        "--scenario", action="append", default=[], help="scenarios whose names begin so; all without"
    )
    parser.add_argument("--write", action="store_true", help="write results.json")
    parser.add_argument("--verbose", action="store_true", help="show what every run gave")
    options = parser.parse_args(arguments)
    names = [client.name for client in CLIENTS]
    if unknown := [name for name in options.client if name not in names]:
        parser.error(f"unknown client {unknown[0]}; known: {', '.join(names)}")
    clients = [client for client in CLIENTS if client.name in (options.client or names)]
    for client in clients:
        try:
            client.environment.install()
        except InstallationError as error:
            sys.stderr.write(f"{client.name}: {error}\n")
            return 2
    made = asyncio.run(run_all(clients, options.scenario, verbose=options.verbose))
    if options.write:
        write_results(made)
    return report(made)


def report(made: dict[str, Any]) -> int:
    """Print the sums; return 1 if something got worse that is not explained."""
    order = list(Outcome)
    worse = []
    for name, one in made.items():
        both = one["outcomes"].values()
        before, after = (sum(told[side][0] == Outcome.SAME for told in both) for side in (0, 1))
        sys.stdout.write(f"{name}: as on a perfect stream: {before} before, {after} after, of {len(both)}\n")
        worse += [
            f"{name} {scenario}: {told[0]} → {told[1]}"
            for scenario, told in one["outcomes"].items()
            if order.index(Outcome(told[1][0])) < order.index(Outcome(told[0][0]))
            and not any(known.explains(name, scenario, told[1][0]) for known in EXPLANATIONS)
        ]
    sys.stdout.write("".join(f"worse through the proxy, and not explained: {line}\n" for line in worse))
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
