"""The demo as it runs: start both servers, ask every recording both ways, report, and go on serving."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

import aiohttp
import orjson
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from vllm_sse_proxy.demo import asking
from vllm_sse_proxy.demo.report import Comparison, Screen, Side, render, summary
from vllm_sse_proxy.demo.scenarios import SCENARIOS, Scenario
from vllm_sse_proxy.demo.upstream import make_upstream
from vllm_sse_proxy.server import Server
from vllm_sse_proxy.server.errors import reason_of
from vllm_sse_proxy.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from prometheus_client import Metric

    from vllm_sse_proxy.demo.clients import Answer

REQUEST_LIMIT: Final = aiohttp.ClientTimeout(
    total=60
)  # a recording takes seconds; a demo that hangs shows nothing


_COUNTED: Final = {
    "sse_proxy_repairs_total": "repairs",
    "sse_proxy_request_repairs_total": "request",
    "sse_proxy_events_renumbered_total": "renumbered",
}
"""Metric → what it counts."""

TRAFFIC_PAUSE_SECONDS: Final = 0.5
"""Between two requests of --traffic: enough to be seen in every interval of a dashboard."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    once: bool = False
    only: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 0
    event_delay_seconds: float = 0.004
    upstream_only: bool = False
    traffic: str | None = None


def main(options: Options, out: TextIO | None = None) -> int:
    """Run the demo, writing to `out` (standard output by default), and return the exit status."""
    out = out or sys.stdout
    unknown = set(options.only) - {name for scenario in SCENARIOS for name in (scenario.name, scenario.model)}
    if unknown:
        known = ", ".join(scenario.name for scenario in SCENARIOS)
        out.write(f"There is no recording {', '.join(sorted(unknown))}. There are: {known}\n")
        return 2
    try:
        return asyncio.run(run(options, out))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        out.write(f"Cannot listen: {error.strerror or error}\n")
        return 1


async def run(options: Options, out: TextIO) -> int:
    """Start the servers, compare, report; serve on until interrupted unless `once`."""
    scenarios = [each for each in SCENARIOS if not options.only or {each.name, each.model} & {*options.only}]
    if options.traffic is not None:
        return await make_traffic(options.traffic.rstrip("/"), scenarios, out, once=options.once)
    if options.upstream_only:
        return await serve_upstream(options, out)
    screen = Screen.for_stream(out)
    upstream = make_upstream(event_delay_seconds=options.event_delay_seconds)
    async with serving(upstream, options.host) as direct, proxying(direct, options) as (proxied, admin):
        out.write(f"upstream {direct}, replaying recordings\nproxy    {proxied}, in front of it\n")
        imitations = (
            "Codex, the openai helper and the agent are imitations, true to measurements of the real ones."
        )
        out.write(textwrap.fill(imitations, screen.width) + "\n\n")
        comparisons = []
        async with aiohttp.ClientSession(timeout=REQUEST_LIMIT) as client:
            for scenario in scenarios:
                comparison = await compare(client, scenario, direct=direct, proxied=proxied, admin=admin)
                comparisons.append(comparison)
                out.write(render(comparison, screen) + "\n")
                out.flush()
        out.write(summary(comparisons, screen) + "\n")
        if not options.once:
            out.write(invitation(direct, proxied, admin, screen))
            out.flush()
            await interrupted()
    return 0 if all(comparison.is_served for comparison in comparisons) else 1


async def serve_upstream(options: Options, out: TextIO) -> int:
    """Serve the recordings, and nothing else, until interrupted."""
    upstream = make_upstream(event_delay_seconds=options.event_delay_seconds)
    async with serving(upstream, options.host, options.port) as url:
        out.write(f"upstream {url}, replaying recordings\n")
        out.flush()
        await interrupted()
    return 0


async def make_traffic(server: str, scenarios: Sequence[Scenario], out: TextIO, *, once: bool) -> int:
    """Ask `server` for each recording in turn until interrupted, or `once`; a server that is away is asked again."""
    stop = asyncio.create_task(interrupted())
    async with aiohttp.ClientSession(timeout=REQUEST_LIMIT) as client:
        for scenario in scenarios if once else itertools.cycle(scenarios):
            try:
                answer = await ask(client, server, scenario)
                out.write(f"{scenario.name}: {answer.status}, {len(answer.body)} bytes\n")
            except (aiohttp.ClientError, TimeoutError) as error:
                out.write(f"{scenario.name}: {reason_of(error)}\n")
            out.flush()
            await asyncio.wait({stop}, timeout=TRAFFIC_PAUSE_SECONDS)
            if stop.done():
                break
    stop.cancel()
    return 0


async def compare(
    client: aiohttp.ClientSession, scenario: Scenario, *, direct: str, proxied: str, admin: str
) -> Comparison:
    """Ask for `scenario` directly and through the proxy; the difference of the metrics is what the proxy did."""
    before = await ask(client, direct, scenario)
    counted = await counters(client, admin)
    after = await ask(client, proxied, scenario)
    counted_after = await counters(client, admin)
    grown = {key: counted_after[key] - counted.get(key, 0) for key in counted_after}
    return Comparison(
        asked=scenario,
        before=Side.judge(before, scenario),
        after=Side.judge(after, scenario),
        repairs={name: count for (kind, name), count in grown.items() if kind == "repairs" and count},
        renumbered=grown.get(("renumbered", ""), 0),
    )


async def ask(client: aiohttp.ClientSession, server: str, scenario: Scenario) -> Answer:
    """Send the recorded request and read the answer to its end, whatever that is."""
    return await asking.ask(client, f"{server}{scenario.protocol.path}", scenario.request)


async def counters(client: aiohttp.ClientSession, admin: str) -> dict[tuple[str, str], int]:
    """Read from the proxy's own metrics what it repaired so far."""
    async with client.get(f"{admin}/metrics") as response:
        return counted(text_string_to_metric_families(await response.text()))


def counted(metrics: Iterable[Metric]) -> dict[tuple[str, str], int]:
    """Return how often each repair corrected a stream or a request, and how many events were renumbered."""
    found: dict[tuple[str, str], int] = {}
    for family in metrics:
        for sample in family.samples:
            key = _COUNTED.get(sample.name)
            if key is not None:
                named = key, sample.labels.get("repair", "")  # one recording, one family
                found[named] = found.get(named, 0) + int(sample.value)
    return found


def invitation(direct: str, proxied: str, admin: str, screen: Screen) -> str:
    """Return the lines to try by hand."""
    model = SCENARIOS[0].model
    request = orjson.dumps({"model": model, "input": "What is 2 + 2?", "stream": True}).decode()
    ask_for = f"/v1/responses -H 'content-type: application/json' -d '{request}'"
    return "\n".join(
        (
            "",
            f"{screen.bold}Still serving. Try it, or point a client at {proxied}/v1 (any API key):{screen.off}",
            "",
            f"  curl -N {direct}{ask_for}     # as vLLM sent it",
            f"  curl -N {proxied}{ask_for}     # repaired",
            f"  curl -s {proxied}/v1/models     # the recordings, each a model",
            f"  curl -s {admin}/metrics | grep repairs_total",
            "",
            "Ctrl-C ends it.",
            "",
        )
    )


@contextlib.asynccontextmanager
async def serving(application: web.Application, host: str, port: int = 0) -> AsyncIterator[str]:
    """Serve `application` and yield its URL."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield url_of(host, runner.addresses[0][1])
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def proxying(upstream: str, options: Options) -> AsyncIterator[tuple[str, str]]:
    """Run the real proxy in front of `upstream`; yield the URLs of its data port and its admin port."""
    settings = ServerSettings(upstream=upstream, host=options.host, port=options.port, admin_port=0)
    server = Server(settings)
    await server.start()
    try:
        yield url_of(options.host, server.port), url_of(options.host, server.admin_port)
    finally:
        await server.stop()


def url_of(host: str, port: int) -> str:
    """Return the URL of a server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def interrupted() -> None:
    """Wait for SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, stop.set)
    try:
        await stop.wait()
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
