"""Every fault of the way to upstream, in every phase of a stream; and a cut at every byte of one."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import TYPE_CHECKING

from tests.labs.faults.answers import PHASES, PLAIN
from tests.labs.faults.judge import Verdict, gained, judge
from tests.labs.faults.process import ProxyProcess, chain, wait_until
from tests.labs.faults.relay import ByteRelay, Fault, Kind
from tests.labs.faults.report import Row
from tests.support.http import Answer, RawClient
from tests.support.upstream import FakeUpstream, Raw
from tests.support.whole_stream import BODY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.labs.faults.answers import Script

IDLE_SECONDS = 1.0
"""The idle limit of the proxy in these cases: how long a stall lasts."""

FAULTS = {
    "FIN": Kind.CLOSE,
    "RST": Kind.RESET,
    "half-close": Kind.HALF_CLOSE,
    "stall": Kind.STALL,
    "pause of 0.3 s": Kind.LATENCY,
    "bytes that are not HTTP": Kind.GARBAGE,
}
_NUMBERS = itertools.count()


def post(request_id: str, body: bytes = BODY, target: str = "/v1/responses") -> bytes:
    """Return a request."""
    head = (
        f"POST {target} HTTP/1.1\r\nHost: proxy.test\r\nContent-Type: application/json\r\n"
        f"X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def next_id() -> str:
    """Return a request id that was not used before."""
    return f"fault-{next(_NUMBERS)}"


class Bench:
    """A proxy between a client that sees every byte and an upstream that follows a script, with a relay before it."""

    def __init__(self, proxy: ProxyProcess, relay: ByteRelay, upstream: FakeUpstream) -> None:
        self.proxy = proxy
        self.relay = relay
        self.upstream = upstream

    async def ask(self, script: Script) -> tuple[Answer | None, str]:
        """Send one request, let upstream answer with the script, and return what came; None: the connection was closed."""
        self.upstream.answer(Raw(script.wire))
        request_id = next_id()
        client = await RawClient.connect(self.proxy.port, limit=2**20)
        try:
            await client.send(post(request_id))
            return await client.answer(), request_id
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return None, request_id
        finally:
            client.leave()

    async def run(
        self,
        fault: Fault,
        script: Script = PLAIN,
        *,
        whole: tuple[bytes, ...] | None = None,
        counted: bool = True,
    ) -> Verdict:
        """Do one case.

        :param whole: the frames that upstream sends whole; None: as many as the fault lets through.
        :param counted: look at sockets, and at /metrics before and after; that costs more than the case.
        """
        self.relay.fault = fault
        before = await self.proxy.metrics() if counted else {}
        answer, request_id = await self.ask(script)
        line = await self.proxy.request_line(request_id)
        if answer is None:
            return Verdict("nothing", ["the client got no answer"])
        sent = len(script.wire) if fault.kind in {Kind.PASS, Kind.DRIBBLE, Kind.LATENCY} else fault.at
        # After a reset the bytes before it may be lost; garbage in the middle of a chunk takes its length's place.
        verdict = judge(
            answer,
            line,
            script.whole(sent) if whole is None else whole,
            script.readable(sent) if whole is None else None,
            all_words=fault.kind not in {Kind.RESET, Kind.GARBAGE},
        )

        async def released() -> bool:
            return self.released(len(script.wire))

        if counted and not await wait_until(released):
            verdict.wrong.append("the connection to upstream is still open")
        if counted:
            await self._count(verdict, before, answer)
        return verdict

    def released(self, length: int) -> bool:
        """Return whether no connection to upstream is left but one that waits in the pool, after an answer of that length."""
        held = self.proxy.connections(remote=self.relay.port)
        passage = self.relay.passages[-1]
        return held == 0 or (held == 1 and not passage.left.is_set() and passage.sent >= length)

    async def _count(self, verdict: Verdict, before: dict[str, float], answer: Answer) -> None:
        after = await self.proxy.metrics()
        endings = gained(before, after, "streams_total")
        answered = gained(before, after, "requests_total")
        wanted = "2xx" if answer.status == 200 else f"{answer.status // 100}xx"
        if answered != {f'{{code="{wanted}",route="responses"}}': 1.0}:
            verdict.wrong.append(f"requests counted: {answered}")
        if answer.status == 200 and endings != {f'{{ending="{verdict.shown}"}}': 1.0}:
            verdict.wrong.append(f"endings counted: {endings}")
        failures = gained(before, after, "upstream_failures_total")
        if answer.status != 200 and not (endings or failures):
            verdict.wrong.append("neither an ending nor a failure of upstream was counted")
        if after["streams_in_flight"] or after["requests_in_flight"]:
            verdict.wrong.append("something is still in flight")


async def matrix(faults: Iterable[str] = FAULTS, phases: Iterable[str] = PHASES) -> list[Row]:
    """Do every fault in every phase."""
    rows = []
    limits = {"idle_timeout_seconds": IDLE_SECONDS, "first_byte_timeout_seconds": IDLE_SECONDS}
    async with chain(**limits) as (upstream, relay, proxy):
        bench = Bench(proxy, relay, upstream)
        for name, phase in itertools.product(faults, phases):
            verdict = await bench.run(Fault(FAULTS[name], PHASES[phase]))
            rows.append(Row("upstream", name, phase, verdict.shown, verdict.wrong))
        for phase, at in list(PHASES.items())[2:]:
            verdict = await bench.run(Fault(), PLAIN.ended(at), whole=PLAIN.whole(at))
            rows.append(Row("upstream", "clean end of the body", phase, verdict.shown, verdict.wrong))
        verdict = await bench.run(Fault(Kind.DRIBBLE))
        rows.append(
            Row("upstream", "dribble", "every byte in a send of its own", verdict.shown, verdict.wrong)
        )
    return rows


async def every_byte(script: Script = PLAIN, *, step: int = 1) -> list[Row]:
    """Cut an answer at every byte, by FIN and by RST."""
    rows = []
    async with chain() as (upstream, relay, proxy):
        bench = Bench(proxy, relay, upstream)

        async def idle() -> bool:
            return proxy.connections(remote=relay.port) <= 1

        for name, kind in (("FIN", Kind.CLOSE), ("RST", Kind.RESET)):
            endings: Counter[str] = Counter()
            wrong = []
            before = await proxy.metrics()
            for at in range(0, len(script.wire), step):
                verdict = await bench.run(Fault(kind, at, settle=False), script, counted=False)
                endings[verdict.shown] += 1
                wrong += [f"byte {at}: {found}" for found in verdict.wrong]
            await wait_until(idle)
            after = await proxy.metrics()
            if proxy.connections(remote=relay.port) > 1:  # one may wait in the pool
                wrong.append("connections to upstream are still open")
            cases = endings.total()
            if sum(gained(before, after, "requests_total").values()) != cases:
                wrong.append("requests are missing from the count")
            streams = sum(count for ending, count in endings.items() if not ending.startswith("HTTP"))
            counted = sum(gained(before, after, "streams_total").values())
            if not streams <= counted <= cases:
                wrong.append(f"{streams} streams ended, {counted:.0f} endings counted")
            rows.append(Row("upstream", name, f"at each of {cases} bytes", _shown(endings), wrong[:5]))
    return rows


def _shown(endings: Counter[str]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(endings.items()))
