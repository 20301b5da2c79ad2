"""`python -m tests.labs.clients.quick`: openai-python and openai-node against one stream of each kind of defect.

What CI runs of the clients: seconds where `make clients` takes half an hour. openai-python is that of the tests' environment;
openai-node is installed into `.clients` (20 MB, needs npm). They run side by side, each with its own upstream and proxy.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.labs.clients.conversations import WEATHER
from tests.labs.clients.installation import CLIENTS, NODE_OPENAI, OWN, Client, InstallationError
from tests.labs.clients.judge import Outcome, judge
from tests.labs.clients.runner import Bench, Driver
from tests.labs.clients.scenarios import references, scenarios

if TYPE_CHECKING:
    from tests.labs.clients.installation import Environment
    from tests.labs.clients.judge import Run

ENVIRONMENTS: Final[dict[str, Environment]] = {
    "openai-python": OWN,
    "openai-python-stream": OWN,
    "openai-node": NODE_OPENAI,
    "openai-node-stream": NODE_OPENAI,
}
"""The clients that are run, and where they are installed here."""

CHOSEN: Final = (
    "perfect/text", "perfect/tools", "byte-wise/tools", "crlf/text", "multi-line/text",
    "object-deltas/reasoning", "object-deltas/tools", "fork-reasoning/reasoning", "fork-call-slices/tools",
    "deltas-only/reasoning", "deltas-only/tools", "message-as-reasoning/reasoning", "last-not-closed/text",
    "call-ids-disagree/parallel", "arguments-cut/tools", "calls-unsent/tools", "response-ids-new/text",
    "limit-as-completed/text", "summary-asked/reasoning", "cut-call-as-message/preamble",
    "text-closed-empty/preamble", "call-final-text/tools",
    "open-after-terminal/text", "cut/text", "ends/tools", "error-untyped/text", "empty-body/text",
)  # fmt: skip
"""At least one of each kind of defect, and the ways in which a stream fails."""

BROKEN_FOR_ALL: Final = ("object-deltas/tools", "cut/text", "empty-body/text")
"""Of these, what all of the clients fail on without the proxy: proof that the streams are broken, and judged so."""


async def faults(client: Client) -> list[str]:
    """Run a client; return where it does not do through the proxy what it does on a perfect stream."""
    known = {scenario.name: scenario for scenario in scenarios(WEATHER)}
    perfect = references(client.tool)
    done: dict[str, Run] = {}
    found = []
    async with Bench() as bench, Driver(client) as driver:
        for scenario in (known[name] for name in CHOSEN):
            reference, shown = scenario.reference, scenario.reasoning
            if reference not in done:
                done[reference] = await bench.run(
                    driver, perfect[reference], through_proxy=False, reasoning=shown
                )
            run = await bench.run(driver, scenario.turns, through_proxy=True, reasoning=shown)
            after = judge(run, done[reference])
            if after.outcome is not Outcome.SAME:
                found.append(f"{scenario.name}: {after.outcome.value} {after.detail}")
            if scenario.name in BROKEN_FOR_ALL:
                straight = await bench.run(driver, scenario.turns, through_proxy=False)
                if judge(straight, done[reference]).outcome is Outcome.SAME:
                    found.append(f"{scenario.name}: nothing is wrong without the proxy, so nothing is proved")
    return found


async def run_all() -> int:
    """Run the clients that can be installed; return 1 if anything is wrong."""
    able = []
    for client in CLIENTS:
        if client.name not in ENVIRONMENTS:
            continue
        chosen = replace(client, environment=ENVIRONMENTS[client.name])
        try:
            chosen.environment.install()
        except InstallationError as error:
            sys.stdout.write(f"SKIPPED {client.name}: {error}\n")
        else:
            able.append(chosen)
    found = await asyncio.gather(*map(faults, able))
    for client, wrong in zip(able, found, strict=True):
        sys.stdout.write(f"{client.name}: {len(CHOSEN)} streams, {len(wrong)} wrong\n")
        sys.stdout.write("".join(f"  {line}\n" for line in wrong))
    return int(any(found) or not able)


if __name__ == "__main__":
    sys.exit(asyncio.run(run_all()))
