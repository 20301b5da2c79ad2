"""`python -m tests.labs.conformance.run`: conformance suites that others wrote, before and after the proxy.

Each suite is run against every recorded server three times: straight, and through the proxy in dialects `openai` and
`open-responses`. `--write` writes `results.json`, from which `make docs` makes a part of docs/compatibility.md. With
`--upstream URL` the suites judge a running server in the same three ways; that is printed only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.labs.clients.installation import InstallationError
from tests.labs.conformance.suites import SUITES
from tests.labs.conformance.upstream import MODEL, SERVERS, RecordedUpstream
from tests.support.serving import Serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.labs.conformance.suites import Check, Suite

RESULTS = Path(__file__).with_name("results.json")
WAYS = ("straight", "openai", "open-responses")
"""How a suite reaches the server: straight, or through the proxy in a dialect."""

Outcomes = dict[str, list[Any]]
"""By check: its outcome in each of the ways, and why it failed in the last one in which it did."""


async def judge(suite: Suite, url: str, model: str, proxies: dict[str, Serving]) -> Outcomes:
    """Run a suite in all three ways."""
    told: list[dict[str, Check]] = []
    for way in WAYS:
        checks = await suite.run(url if way == "straight" else proxies[way].url, model)
        told.append({check.id: check for check in checks})
    outcomes: Outcomes = {}
    for id_ in told[0]:
        each = [checks[id_] for checks in told]
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
                _tell(suite, server.name, servers[server.name])
            date = f"{datetime.now(UTC):%Y-%m-%d}"
            made[suite.name] = {"version": suite.version(), "date": date, "servers": servers}
    return made


async def judge_running(suites: Sequence[Suite], url: str) -> None:
    """Run the suites against a running server and the first model that it lists; print what they say."""
    async with aiohttp.ClientSession(url) as client, client.get("/v1/models") as answer:
        model: str = (await answer.json())["data"][0]["id"]
    async with _proxies(url) as proxies:
        for suite in suites:
            _tell(suite, url, await judge(suite, url, model, proxies))


@asynccontextmanager
async def _proxies(url: str) -> AsyncIterator[dict[str, Serving]]:
    """Serve one proxy for each dialect before a server."""
    async with AsyncExitStack() as stack:
        yield {way: await stack.enter_async_context(Serving(url, "--dialect", way)) for way in WAYS[1:]}


def _tell(suite: Suite, server: str, outcomes: Outcomes) -> None:
    passed = [sum(one[way] == "pass" for one in outcomes.values()) for way in range(len(WAYS))]
    sums = ", ".join(f"{way} {count}" for way, count in zip(WAYS, passed, strict=True))
    sys.stdout.write(f"{suite.name}: {server}: of {len(outcomes)} checks pass: {sums}\n")
    for id_, (*each, details) in outcomes.items():
        if "fail" in each:
            sys.stdout.write(f"  {id_}: {' → '.join(each)}: {'; '.join(details)}\n")
    sys.stdout.flush()


def read_results() -> dict[str, Any]:
    """Return the results of earlier runs by suite."""
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}


def write_results(made: dict[str, Any]) -> None:
    """Write what was run over what there was, one check a line."""
    results = {**read_results(), **made}
    lines = ["{"]
    for suite in (suite for suite in SUITES if suite.name in results):
        one = results[suite.name]
        lines += [
            f" {json.dumps(suite.name)}: {{",
            f'  "version": {json.dumps(one["version"])},',
            f'  "date": "{one["date"]}",',
            '  "servers": {',
        ]
        for server, outcomes in one["servers"].items():
            lines.append(f"   {json.dumps(server)}: {{")
            lines += [
                f"    {json.dumps(id_)}: {json.dumps(told, ensure_ascii=False)},"
                for id_, told in outcomes.items()
            ]
            lines[-1] = lines[-1].rstrip(",")
            lines.append("   },")
        lines[-1] = "   }"
        lines += ["  }", " },"]
    lines[-1] = " }"
    RESULTS.write_text("\n".join([*lines, "}", ""]), "utf-8")


def main(arguments: Sequence[str]) -> int:
    """Run; return 1 if a check that reads a stream passes straight and not through the proxy."""
    parser = argparse.ArgumentParser(prog="python -m tests.labs.conformance.run", description=__doc__)
    names = [suite.name for suite in SUITES]
    parser.add_argument("--suite", action="append", choices=names, help="a suite by its name; all without")
    parser.add_argument("--upstream", metavar="URL", help="a running server instead of the recorded ones")
    parser.add_argument("--write", action="store_true", help="write results.json")
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
    if options.write:
        write_results(made)
    return int(any(_is_worse(suite, made[suite.name]["servers"]) for suite in chosen))


def _is_worse(suite: Suite, servers: dict[str, Outcomes]) -> bool:
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
