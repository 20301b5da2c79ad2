"""`python -m tests.labs.clients.loops`: how often opencode asks for one prompt on streams that fail, before and after.

Each conversation is one `opencode run`, to its end or until it has asked so often that it never would end. Writes the results,
from which `make docs` makes the table of docs/clients/opencode.md. Ten minutes, most of them opencode's own waits.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tests.labs import results
from tests.labs.clients.chat_streams import rows, scenarios
from tests.labs.clients.installation import OPENCODE, Client
from tests.labs.clients.runner import Bench, Driver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.labs.clients.scenarios import Scenario

NAME: Final = "opencode"
MOST_REQUESTS: Final = 30
"""More than any conversation that ends needs: opencode asks five times more after an error."""
MOST_SECONDS: Final = 240
"""How long a conversation may take: five waits of at most 38 seconds each, on a busy machine."""
POLLING_SECONDS: Final = 0.05
CHOSEN: Final = (
    "perfect/tools", "ends/text", "done-unfinished/text", "abort/text", "calls-without-call/text", "lost-call/text",
    "only-done/text", "empty-body/text", "cut/text", "reset/text", "error-named/text",
)  # fmt: skip
"""Streams without an end, those that opencode takes for a turn that goes on, and errors as they should be."""


@dataclass(frozen=True)
class Count:
    """How often opencode asked in one conversation.

    :ivar seconds: how long it took; ``ended``: it came to its end; ``failed``: with an error that it showed.
    """

    requests: int
    seconds: int
    ended: bool
    failed: bool

    def __str__(self) -> str:
        asked = f"{self.requests} in {self.seconds} s"
        if not self.ended:
            return f"**{asked}, and on**"
        return f"{asked}, then the error" if self.failed else str(self.requests)


async def count(bench: Bench, driver: Driver, scenario: Scenario, *, through_proxy: bool) -> Count:
    """Have one conversation, and count what was posted."""
    bench.upstream.play("", ())  # what the last one posted does not count
    began = time.monotonic()
    running = asyncio.create_task(
        bench.run(
            driver, scenario.turns, through_proxy=through_proxy, tools=scenario.tools, limit=MOST_SECONDS
        )
    )
    while not running.done() and len(bench.upstream.posts) <= MOST_REQUESTS:
        await asyncio.wait((running,), timeout=POLLING_SECONDS)
    seconds = round(time.monotonic() - began)
    if not running.done():
        await driver.end()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return Count(len(bench.upstream.posts), seconds, ended=False, failed=False)
    run = running.result()
    return Count(run.posts, seconds, ended=not run.hung, failed=run.error is not None)


async def run_all(names: Sequence[str]) -> dict[str, Any]:
    """Run these scenarios; return what is kept."""
    known = {scenario.name: scenario for scenario in scenarios()}
    client = Client("opencode-run", "opencode", OPENCODE, "opencode.py", ("run",))
    client.environment.install()
    counts = {}
    async with Bench() as bench, Driver(client) as driver:
        for name in names:
            both = [await count(bench, driver, known[name], through_proxy=side) for side in (False, True)]
            sys.stdout.write(f"{name:28} {both[0]} → {both[1]}\n")
            sys.stdout.flush()
            counts[name] = [[*asdict(one).values()] for one in both]
        return {"versions": driver.versions, "date": f"{datetime.now(UTC):%Y-%m-%d}", "counts": counts}


def loop_table() -> str:
    """Return how often opencode asked: a row for each stream."""
    what = {name: said for name, _, said in rows()}
    lines = ["| stream | requests without the proxy | with it |", "|---|---|---|"]
    for name, both in results.read(NAME).get("counts", {}).items():
        before, after = (Count(*one) for one in both)
        row = name.partition("/")[0]
        lines.append(f"| `{row}`: {what[row]} | {before} | {after} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Run; return 1 if opencode asked without end through the proxy."""
    parser = argparse.ArgumentParser(prog="python -m tests.labs.clients.loops", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=CHOSEN, help="one by its name; all without")
    chosen = parser.parse_args(arguments).scenario or CHOSEN
    kept = asyncio.run(run_all(chosen))
    if chosen is CHOSEN:
        results.write(NAME, kept)
    return int(any(not Count(*after).ended for _, after in kept["counts"].values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
