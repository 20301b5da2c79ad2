"""Many streams at once for a while, of all families, with faults at random: nothing may be left behind, neither memory nor
tasks nor sockets.

SECONDS=600 STREAMS=200 make soak
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import statistics
import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from tests.labs.faults.family_faults import CASES, QUESTION, Case
from tests.labs.faults.judge import TERMINAL_OF, gained, judge_count, judge_error, judge_stream
from tests.labs.faults.paced import PacedUpstream, repeating
from tests.labs.faults.process import MIB, ProxyProcess, wait_until
from tests.labs.faults.relay import ByteRelay, Fault, Kind
from tests.labs.faults.report import Row
from tests.labs.faults.upstream_faults import next_id, post
from tests.support.http import RawClient

if TYPE_CHECKING:
    from tests.support.http import Answer

SECONDS = float(os.environ.get("SECONDS") or 600)
STREAMS = int(os.environ.get("STREAMS") or 200)
SEED = 20261121

DELTAS = (10, 40)
GAP_SECONDS = 0.8
ANSWER_BYTES = 12_000
"""About the length of an answer: faults fall anywhere in it, and behind its end, where they do nothing."""

IDLE_SECONDS = 5.0
SAMPLE_SECONDS = 5.0
WARM_UP_SHARE = 0.25
QUIET_SECONDS = 60.0

GROWTH_BYTES = 8 * MIB
"""Most that memory may grow between the second and the last quarter; allocators keep a little more than is used."""

KINDS = (
    *(Kind.PASS,) * 5,
    Kind.LATENCY,
    Kind.CLOSE,
    Kind.RESET,
    Kind.HALF_CLOSE,
    Kind.STALL,
    Kind.GARBAGE,
)


RESPONSES = "responses"
FAMILIES = (RESPONSES, *CASES)


@dataclass
class Sample:
    """What the process held at one time; memory in bytes."""

    resident: int
    descriptors: int
    connections: int
    tasks: int
    objects: int


class Soak:
    """The load and its bookkeeping."""

    def __init__(self, proxy: ProxyProcess) -> None:
        self._proxy = proxy
        self._random = random.Random(SEED)  # noqa: S311 - a load, no secret
        self.over = asyncio.Event()
        self.endings: Counter[str] = Counter()
        self.families: Counter[str] = Counter()
        self.left = 0
        self.wrong: list[str] = []

    def fault(self) -> Fault:
        """Choose what happens to an answer."""
        return Fault(self._random.choice(KINDS), self._random.randrange(ANSWER_BYTES), settle=False)

    async def client(self) -> None:
        """Ask again and again; now and then leave in the middle."""
        while not self.over.is_set():
            leaves = self._random.random() < 0.1
            try:
                client = await RawClient.connect(self._proxy.port, limit=2**20)
            except OSError as error:
                self.wrong.append(repr(error))
                continue
            try:
                await self._ask(client, leaves=leaves)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.wrong.append(f"the client got {error!r}")
            finally:
                client.leave()

    async def _ask(self, client: RawClient, *, leaves: bool) -> None:
        request_id = next_id()
        family = self._random.choice(FAMILIES)
        case = CASES.get(family)
        await client.send(post(request_id) if case is None else post(request_id, QUESTION, case.path))
        if leaves:
            await asyncio.sleep(self._random.random() * 5)
            if self._random.random() < 0.5:
                sock = client.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.left += 1
            return
        answer = await client.answer()
        if answer.status != 200:
            self.endings[f"HTTP {answer.status}"] += 1
            self.wrong += judge_error(answer) if case is None else judge_family_error(answer)
            return
        line = await self._proxy.request_line(request_id)
        ending = str(line["ending"])
        self.endings[ending] += 1
        self.families[family] += 1
        if case is not None:
            self.wrong += judge_family_stream(case, answer, ending)
            return
        # The judge costs more than the proxy: one stream in eight is read by the `openai` types too.
        deep = self._random.random() < 1 / 8
        self.wrong += judge_stream(answer, deep=deep) + judge_count(answer, ending)

    async def sample(self) -> Sample:
        """Look at the process."""
        census = await self._proxy.census()
        return Sample(
            self._proxy.resident(),
            self._proxy.descriptors(),
            self._proxy.connections(),
            census["tasks"],
            census["objects"],
        )


def judge_family_error(answer: Answer) -> list[str]:
    """Return what is wrong with an HTTP error of chat completions, completions or messages."""
    try:
        error = orjson.loads(answer.body)["error"]
        found = [] if error["message"] and error["type"] else ["no message or type"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return [f"HTTP {answer.status} with a body that is not an error object: {answer.body[:80]!r}"]
    return found if answer.complete and answer.value("X-SSE-Proxy-Error") else [*found, "cut, or no reason"]


def judge_family_stream(case: Case, answer: Answer, ending: str) -> list[str]:
    """Return what is wrong with a stream of chat completions, completions or messages, and with how it was counted."""
    found = [] if answer.complete else ["the body is cut"]
    found += [f"{case.path}: {violation}" for violation in list(case.judge(answer.body))[:3]]
    is_error, is_success = case.error in answer.body, case.success in answer.body
    if is_success == is_error or is_success != (ending in TERMINAL_OF):
        found.append(f"{case.path}: counted as {ending}, an error: {is_error}, a success: {is_success}")
    return found


async def soak(seconds: float = SECONDS, streams: int = STREAMS) -> list[Row]:
    """Load the proxy for so long, and compare what it holds at the beginning, on the way and at the end."""
    async with (
        PacedUpstream(
            deltas=DELTAS,
            gap_seconds=GAP_SECONDS,
            seed=SEED,
            others={case.path: repeating(case.stream, b"Hi") for case in CASES.values()},
        ) as upstream,
        ByteRelay(upstream.port) as relay,
        ProxyProcess(
            relay.url,
            idle_timeout_seconds=IDLE_SECONDS,
            first_byte_timeout_seconds=IDLE_SECONDS,
            keepalive_seconds=1,
        ) as proxy,
    ):
        load = Soak(proxy)
        relay.fault = load.fault
        await _warm(proxy)
        empty = await load.sample()
        before = await proxy.metrics()
        clients = [asyncio.create_task(load.client()) for _ in range(streams)]
        samples = []
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(SAMPLE_SECONDS)
            samples.append(await load.sample())
            proxy.forget()
            del relay.passages[: -10 * streams]
        load.over.set()
        await asyncio.gather(*clients)

        async def quiet() -> bool:
            held = await proxy.metrics()
            return held["requests_in_flight"] == 0 and proxy.connections(remote=relay.port) == 0

        settled = await wait_until(quiet, seconds=QUIET_SECONDS)
        after = await proxy.metrics()

        async def resting() -> bool:
            return (await load.sample()).tasks <= empty.tasks

        await wait_until(resting, seconds=QUIET_SECONDS)  # the question for the metrics was a connection too
        rest = await load.sample()
        return _rows(load, samples, empty, rest, gained(before, after, "streams_total"), settled=settled)


async def _warm(proxy: ProxyProcess) -> None:
    """Let everything be imported and made that the first request needs."""
    client = await RawClient.connect(proxy.port)
    await client.get("/v1/models")
    await client.answer()
    client.leave()
    await asyncio.sleep(IDLE_SECONDS)  # the pool lets its connection go


def _rows(
    load: Soak,
    samples: list[Sample],
    empty: Sample,
    rest: Sample,
    counted: dict[str, float],
    *,
    settled: bool,
) -> list[Row]:
    quarter = max(1, int(len(samples) * WARM_UP_SHARE))
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    rows = [
        Row(
            "soak",
            "answers",
            "",
            ", ".join(f"{name}: {count}" for name, count in sorted(load.endings.items())),
            [] if not load.wrong else [f"{len(load.wrong)} wrong: {load.wrong[:3]}"],
            f"{load.endings.total()} answers judged, {load.left} clients left",
        ),
        Row(
            "soak",
            "streams of",
            "",
            ", ".join(f"{name}: {load.families[name]}" for name in FAMILIES),
            [f"no stream of {name} was judged" for name in FAMILIES if not load.families[name]],
        ),
        Row(
            "soak",
            "endings in /metrics",
            "",
            ", ".join(f"{name[9:-2]}: {count:.0f}" for name, count in sorted(counted.items())),
            [] if counted.get('{ending="client_gone"}') else ["no client_gone was counted"],
        ),
        Row(
            "soak", "in flight at the end", "", "none" if settled else "some", [] if settled else ["not none"]
        ),
    ]
    for name in ("resident", "descriptors", "connections", "tasks", "objects"):
        unit = MIB if name == "resident" else 1
        first = statistics.median(getattr(sample, name) for sample in early)
        last = statistics.median(getattr(sample, name) for sample in late)
        before, after = getattr(empty, name), getattr(rest, name)
        wrong = []
        if name == "resident" and last - first > GROWTH_BYTES:
            wrong.append("memory grew")
        if name in {"descriptors", "connections", "tasks"} and after > before:
            wrong.append("more than before")
        figures = [
            f"{value / unit:.1f} MiB" if unit == MIB else f"{value:.0f}"
            for value in (before, first, last, after)
        ]
        rows.append(Row("soak", name, "", " → ".join(figures), wrong))
    return rows
