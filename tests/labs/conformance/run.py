"""`python -m tests.labs.conformance.run`: conformance suites that others wrote, before and after the proxy.

Each suite is run against every recorded server three times: straight, and through the proxy in dialects `openai` and
`open-responses`. `--write` keeps the results, from which `make docs` makes a part of docs/compatibility-matrix.md; the reasons
are printed, and left in build/labs. With `--upstream URL` the suites judge a running server in the same three ways, and
nothing is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.labs import results
from tests.labs.clients.installation import InstallationError
from tests.labs.conformance.suites import SUITES
from tests.labs.conformance.upstream import MODEL, SERVERS, RecordedUpstream
from tests.support.serving import Serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.labs.conformance.suites import Check, Suite

NAME = "conformance"
"""The file among the results."""
WAYS = ("straight", "openai", "open-responses")
"""How a suite reaches the server: straight, or through the proxy in a dialect."""

LETTERS = {"pass": "p", "fail": "f", "skip": "s"}
NOT_RUN = "?"
"""Stands for a check that a server was not run against."""

Found = dict[str, list[Any]]
"""By check: its outcome in each of the ways, and why it failed in the last one in which it did."""
Kept = dict[str, tuple[str, ...]]
"""By check: its outcome in each of the ways."""


async def judge(suite: Suite, url: str, model: str, proxies: dict[str, Serving]) -> Found:
    """Run a suite in all three ways."""
    each_way: list[dict[str, Check]] = []
    for way in WAYS:
        checks = await suite.run(url if way == "straight" else proxies[way].url, model)
        each_way.append({check.id: check for check in checks})
    outcomes: Found = {}
    for id_ in each_way[0]:
        each = [checks[id_] for checks in each_way]
        reasons = next((check.details for check in reversed(each) if check.outcome == "fail"), ())
        outcomes[id_] = [*(check.outcome for check in each), list(reasons)]
    return outcomes


async def judge_recorded(suites: Sequence[Suite]) -> dict[str, Any]:
    """Run the suites against every recorded server."""
    made = {}
    async with RecordedUpstream() as upstream, _proxies(upstream.url) as proxies:
        for suite in suites:
            servers = {}
            for server in SERVERS:
                upstream.server = server
                servers[server.name] = await judge(suite, upstream.url, MODEL, proxies)
                _report(suite, server.name, servers[server.name])
            date = f"{datetime.now(UTC):%Y-%m-%d}"
            made[suite.name] = {"version": suite.version(), "date": date, "servers": servers}
    return made


async def judge_running(suites: Sequence[Suite], url: str) -> None:
    """Run the suites against a running server and the first model that it lists; print what they say."""
    async with aiohttp.ClientSession(url) as client, client.get("/v1/models") as answer:
        model: str = (await answer.json())["data"][0]["id"]
    async with _proxies(url) as proxies:
        for suite in suites:
            _report(suite, url, await judge(suite, url, model, proxies))


@asynccontextmanager
async def _proxies(url: str) -> AsyncIterator[dict[str, Serving]]:
    """Serve one proxy for each dialect before a server."""
    async with AsyncExitStack() as stack:
        yield {way: await stack.enter_async_context(Serving(url, "--dialect", way)) for way in WAYS[1:]}


def _report(suite: Suite, server: str, outcomes: Found) -> None:
    passed = [sum(one[way] == "pass" for one in outcomes.values()) for way in range(len(WAYS))]
    sums = ", ".join(f"{way} {count}" for way, count in zip(WAYS, passed, strict=True))
    sys.stdout.write(f"{suite.name}: {server}: of {len(outcomes)} checks pass: {sums}\n")
    for id_, (*each, details) in outcomes.items():
        if "fail" in each:
            sys.stdout.write(f"  {id_}: {' → '.join(each)}: {'; '.join(details)}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Results:
    """What is kept of a suite.

    :ivar servers: the checks by recorded server. Of a server that was not run there are none.
    """

    version: str
    date: str
    servers: dict[str, Kept]


def read_results() -> dict[str, Results]:
    """Return the results of earlier runs by suite."""
    return {name: _read(one) for name, one in results.read(NAME).items()}


def _read(one: dict[str, Any]) -> Results:
    words = {letter: word for word, letter in LETTERS.items()}
    servers: dict[str, Kept] = {server: {} for server in one["servers"]}
    for check, row in one["checks"].items():
        for server, letters in zip(servers, row.split(), strict=True):
            if letters != NOT_RUN:
                servers[server][check] = tuple(words[letter] for letter in letters)
    return Results(one["version"], one["date"], servers)


def kept_of(made: dict[str, Any]) -> dict[str, Results]:
    """Return what is kept of runs: the outcomes, without the reasons."""
    return {
        name: Results(
            one["version"],
            one["date"],
            {
                server: {check: tuple(each) for check, (*each, _) in found.items()}
                for server, found in one["servers"].items()
            },
        )
        for name, one in made.items()
    }


def write_results(made: dict[str, Results]) -> None:
    """Write the suites that were run over what there was: a line for each check, a column for each server."""
    kept = {**read_results(), **made}
    results.write(NAME, {suite.name: _written(kept[suite.name]) for suite in SUITES if suite.name in kept})


def _written(one: Results) -> dict[str, Any]:
    checks = dict.fromkeys(check for outcomes in one.servers.values() for check in outcomes)
    rows = {
        check: " ".join(
            "".join(LETTERS[word] for word in outcomes[check]) if check in outcomes else NOT_RUN
            for outcomes in one.servers.values()
        )
        for check in checks
    }
    return {"version": one.version, "date": one.date, "servers": list(one.servers), "checks": rows}


def main(arguments: Sequence[str]) -> int:
    """Run; return 1 if a check that reads a stream passes straight and not through the proxy."""
    parser = argparse.ArgumentParser(prog="python -m tests.labs.conformance.run", description=__doc__)
    names = [suite.name for suite in SUITES]
    parser.add_argument("--suite", action="append", choices=names, help="a suite by its name; all without")
    parser.add_argument("--upstream", metavar="URL", help="a running server instead of the recorded ones")
    parser.add_argument("--write", action="store_true", help="keep the results")
    options = parser.parse_args(arguments)
    if options.write and options.upstream:
        parser.error("only what recorded servers give is written")
    chosen = []
    for suite in SUITES:
        if suite.name not in (options.suite or names):
            continue
        try:
            suite.install()
        except InstallationError as error:
            sys.stderr.write(f"{suite.name} is left out: {error}\n")
            continue
        chosen.append(suite)
    if options.upstream:
        asyncio.run(judge_running(chosen, options.upstream))
        return 0
    made = asyncio.run(judge_recorded(chosen))
    results.write_whole(NAME, made)
    if options.write:
        write_results(kept_of(made))
    return int(any(_is_worse(suite, made[suite.name]["servers"]) for suite in chosen))


def _is_worse(suite: Suite, servers: dict[str, Found]) -> bool:
    found = [
        f"{suite.name}: {server}: {id_} passes straight, and not through the proxy"
        for server, outcomes in servers.items()
        for id_, (straight, _, through, _) in outcomes.items()
        if id_ in suite.streamed and straight == "pass" != through
    ]
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
