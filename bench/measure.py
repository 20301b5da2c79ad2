"""What is measured, and how: each load against each contender in turn, in rounds whose order is reversed every other time.

Machines are noisy, and the noise lasts for seconds. So contenders are never compared across rounds: a ratio is made of two
runs of one round, and the median over the rounds counts.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench import contenders
from bench.contenders import DIRECT, HAPROXY, NGINX, PASSTHROUGH, PROXY, Contender
from bench.machine import get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bench.machine import Rig

Run = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of load (the head of upstream.c explains ``spec``, that of client.c ``options``).

    :ivar rounds: share of ROUNDS that it is run for; at least one.
    :ivar only: the contenders that it concerns; None: all.
    :ivar body: the request; None: one that holds nothing but ``spec``.
    """

    title: str
    spec: str
    options: str
    path: str = "/v1/responses"
    rounds: float = 1.0
    only: tuple[str, ...] | None = None
    body: dict[str, Any] | None = None


SECONDS: Final = 0.5
"""How long a load that has no end of its own is run."""

_FLAT_OUT: Final = f"-n 1000000 -t {SECONDS}"

LOADS: Final = {
    "burst": Load("coalesced bursts, streams of 200 deltas", "burst-bad-200-0-0", f"-c 32 {_FLAT_OUT}"),
    "short": Load("coalesced bursts, streams of 10 deltas", "burst-bad-10-0-0", f"-c 16 {_FLAT_OUT}"),
    "clean": Load("the same, conforming streams", "burst-ok-200-0-0", f"-c 32 {_FLAT_OUT}"),
    "burst2000": Load("coalesced bursts, 2,000 deltas", "burst-bad-2000-0-0", f"-c 16 {_FLAT_OUT}"),
    "single": Load(
        "single writes flat out, 2,000 deltas",
        "paced-bad-2000-0-0",
        f"-c 32 {_FLAT_OUT}",
    ),
    "light": Load(
        "10 streams, 40 events/s each, a new connection for each",
        "paced-bad-40-25-0",
        "-c 10 -n 10 -s 2500 -1 -t 8",
    ),
    "paced": Load(
        "100 streams, 50 events/s each, staggered", "paced-bad-50-20-0", "-c 100 -n 100 -s 200 -t 8"
    ),
    "lockstep": Load("100 streams, 50 events/s each, in lockstep", "paced-bad-50-20-0", "-c 100 -n 100 -t 8"),
    "json": Load(
        "short JSON answers, passed through", "burst-bad-1-0-0", f"-c 32 {_FLAT_OUT}", path="/v1/embeddings"
    ),
    "large": Load("events of 1 MB", "burst-bad-8-0-1000000", "-c 2 -n 1000000 -t 1"),
    "long": Load("streams of 100,000 deltas", "burst-bad-100000-0-0", "-c 2 -n 4 -t 20", rounds=0.6),
    "crowd": Load(
        "2,000 streams, 2.5 events/s each",
        "paced-bad-20-400-0",
        "-c 2000 -n 2000 -s 1500 -t 25",
        rounds=0.4,
        only=(DIRECT, NGINX, PASSTHROUGH, PROXY),
    ),
    "rush": Load(
        "2,000 streams, single writes flat out",
        "paced-bad-100000-0-0",
        "-c 2000 -n 2000 -s 50 -t 4",
        rounds=0.4,
        only=(NGINX, PASSTHROUGH, PROXY),
    ),
}

IDLE_STREAMS: Final = (1, 100, 1000)
LENGTHS: Final = (20, 200, 2_000, 20_000, 100_000)
OPEN_STREAMS: Final = (0, 100, 500, 1_000, 2_000)

_SETTLE_SECONDS: Final = 1.0
"""Time for which a contender is left alone after streams were opened."""
_LOOK_SECONDS: Final = 0.1
"""How often a process is asked whether it still works: no event announces it, and long enough for its share to be seen."""
_AT_REST: Final = 0.05
"""Share of a core that a process at rest may take: timers."""
_RELEASE_SECONDS: Final = 6.0
"""How long is waited for upstream to be released."""


def loads(
    rig: Rig,
    everyone: Sequence[Contender],
    names: Iterable[str],
    rounds: int,
    say: Callable[[str], None],
    *,
    known: Mapping[str, Load] = LOADS,
    rest_seconds: float = 0.0,
) -> dict[str, dict[str, list[Run]]]:
    """Measure loads; return the runs by load and contender, one for each round.

    :param rest_seconds: how long a contender that goes on working after a load is waited for, so that it disturbs no other;
        what it does meanwhile counts as its cost.
    """
    runs: dict[str, dict[str, list[Run]]] = {}
    field = [Contender(DIRECT, rig.port, rig.process), *everyone]
    for number in range(rounds):
        for name in names:
            load = known[name]
            if number >= max(1, round(rounds * load.rounds)):
                continue
            for contender in field if number % 2 == 0 else reversed(field):
                if load.only is not None and contender.name not in load.only:
                    continue
                run = _run(rig, contender, load, rest_seconds)
                runs.setdefault(name, {}).setdefault(contender.name, []).append(run)
                say(_line(number, name, contender.name, run))
    return runs


def _run(rig: Rig, contender: Contender, load: Load, rest_seconds: float = 0.0) -> Run:
    lag = _lag(contender)
    kept = max(0, rig.open_streams())  # what a contender before it never gave back
    before = contender.process.cpu_seconds()
    core = rig.cores.proxy if contender.name == DIRECT else None
    run = rig.load(contender.port, load.spec, load.options, path=load.path, core=core, body=load.body)
    rig.drain(seconds=3, down_to=kept)
    rest(contender, rest_seconds)
    run["cpu_s"] = contender.process.cpu_seconds() - before
    if lag is not None and (after := _lag(contender)) is not None:
        run["lag"] = {bound: count - lag.get(bound, 0.0) for bound, count in after.items()}
    return run


def rest(contender: Contender, seconds: float) -> None:
    """Wait until a contender does nothing, but no longer than that."""
    end, used = time.monotonic() + seconds, contender.process.cpu_seconds()
    while time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
        before, used = used, contender.process.cpu_seconds()
        if used - before < _AT_REST * _LOOK_SECONDS:
            return


def _line(number: int, load: str, name: str, run: Run) -> str:
    units = run["events"] or run["ok"]
    text = f"{number} {load:10} {name:22} {units / run['wall_s']:11,.0f}/s"
    text += f"  {run['cpu_s'] / units * 1e6 if units else float('nan'):8.2f} µs each"
    if run["latency_us"]:
        text += f"  p50 {run['latency_us']['p50']:8.0f} p99 {run['latency_us']['p99']:8.0f} µs"
    faults = " ".join(f"{fault}={run[fault]}" for fault in ("failed", "bad_status", "error") if run[fault])
    return f"{text}  {faults}".rstrip()


_LAG: Final = re.compile(
    r'^sse_proxy_event_loop_lag_seconds_(?:bucket\{le="([^"]+)"\}|sum|count) (\S+)$', re.MULTILINE
)


def _lag(contender: Contender) -> dict[str, float] | None:
    """Read the proxy's own samples of its event loop's lag: a cumulative count for each bound, in seconds."""
    if not contender.admin_port:
        return None
    page = get(f"http://127.0.0.1:{contender.admin_port}/metrics").decode()
    return {found[1]: float(found[2]) for found in _LAG.finditer(page) if found[1]}


def memory(
    rig: Rig,
    everyone: Sequence[Contender],
    say: Callable[[str], None],
    *,
    numbers: Iterable[int] = IDLE_STREAMS,
    spec: str = "idle-bad-1-0-0",
) -> dict[str, dict[str, Run]]:
    """Measure memory with idle streams open, and how soon upstream is released once their clients have left."""
    found: dict[str, dict[str, Run]] = {}
    for streams in numbers:
        for contender in everyone:
            rig.drain(seconds=_RELEASE_SECONDS)
            kept = max(0, rig.open_streams())  # what a contender before it never gave back
            client = rig.start_client(contender.port, spec, f"-c {streams} -s 300 -h 60 -t 60")
            _await_open(rig, kept + streams)
            time.sleep(_SETTLE_SECONDS)
            size, opened = contender.process.memory_bytes(), rig.open_streams() - kept
            client.kill()  # the kernel closes its connections
            released = rig.drain(seconds=_RELEASE_SECONDS, down_to=kept)
            client.wait()
            run = {"mib": size / 2**20, "open": opened, "released_s": released}
            found.setdefault(contender.name, {})[str(streams)] = run
            say(
                f"{streams:5} idle streams, {contender.name:22} {run['mib']:7.1f} MiB, {opened} open, released {released}"
            )
    return found


def by_length(
    rig: Rig, everyone: Sequence[Contender], rounds: int, say: Callable[[str], None]
) -> dict[str, dict[str, list[float]]]:
    """Measure the CPU time per event over the length of the stream: contender, length, µs of each round."""
    found: dict[str, dict[str, list[float]]] = {}
    field = [contender for contender in everyone if contender.name in {PASSTHROUGH, PROXY}]
    for number in range(rounds):
        for length in LENGTHS:
            load = Load("", f"burst-bad-{length}-0-0", f"-c 4 -n {max(8, 60_000 // length)} -t 20")
            for contender in field if number % 2 == 0 else reversed(field):
                run = _run(rig, contender, load)
                cost = run["cpu_s"] / run["events"] * 1e6
                found.setdefault(contender.name, {}).setdefault(str(length), []).append(cost)
                say(f"{number} length {length:7} {contender.name:22} {cost:8.2f} µs per event")
    return found


def by_open_streams(
    rig: Rig, everyone: Sequence[Contender], rounds: int, say: Callable[[str], None]
) -> dict[str, dict[str, list[float]]]:
    """Measure the CPU time per paced event while other streams are open and silent: contender, streams, µs of each round."""
    found: dict[str, dict[str, list[float]]] = {}
    field = [contender for contender in everyone if contender.name in {NGINX, PASSTHROUGH, PROXY}]
    load = LOADS["paced"]
    for number in range(rounds):
        for others in OPEN_STREAMS:
            for contender in field if number % 2 == 0 else reversed(field):
                client = None
                if others:
                    client = rig.start_client(
                        contender.port, "idle-bad-1-0-0", f"-c {others} -s 100 -h 60 -t 60"
                    )
                    _await_open(rig, others)
                    time.sleep(
                        _SETTLE_SECONDS
                    )  # upstream has them all, the contender may still be busy with them
                before = contender.process.cpu_seconds()
                run = rig.load(contender.port, load.spec, load.options)
                cost = (contender.process.cpu_seconds() - before) / (run["events"] or math.nan) * 1e6
                if client is not None:
                    client.terminate()
                    client.wait()
                    rig.drain(seconds=_RELEASE_SECONDS)
                if run["events"] and not run["bad_status"]:
                    found.setdefault(contender.name, {}).setdefault(str(others), []).append(cost)
                say(f"{number} beside {others:5} idle streams, {contender.name:22} {cost:8.2f} µs per event")
    return found


def _await_open(rig: Rig, streams: int) -> None:
    end = time.monotonic() + 10
    while rig.open_streams() < streams and time.monotonic() < end:
        time.sleep(0.01)


def workers(rig: Rig, rounds: int, say: Callable[[str], None]) -> dict[str, list[float]] | None:
    """Measure events per second of one and of two worker processes; None: there are no workers yet."""
    if not contenders.can_have_workers():
        return None
    found: dict[str, list[float]] = {}
    load = LOADS["burst2000"]
    one, two = (contenders.start_proxy(rig, "--workers", str(n), core=rig.cores.workers) for n in (1, 2))
    with one.process, two.process:
        for contender in (one, two):
            contenders.wait_ready(rig, contender)
        for number in range(rounds):
            pairs = [("1", one), ("2", two)]
            for name, contender in pairs if number % 2 == 0 else reversed(pairs):
                options = f"-c 32 -n 1000000 -t {2 * SECONDS}"
                run = rig.load(contender.port, load.spec, options, core=rig.cores.workers_client)
                found.setdefault(name, []).append(run["events"] / run["wall_s"])
                say(f"{number} {name} workers {found[name][-1]:11,.0f} events/s")
                rig.drain(seconds=3)
    return found


__all__ = [
    "DIRECT",
    "HAPROXY",
    "LOADS",
    "NGINX",
    "PASSTHROUGH",
    "PROXY",
    "by_length",
    "by_open_streams",
    "loads",
    "memory",
    "workers",
]
