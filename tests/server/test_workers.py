"""Several workers: one port, one set of metrics, and the death of one is not the others' business."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.http import RawClient
from tests.support.upstream import PATIENCE_SECONDS, Chunk, End, Head, Wait
from tests.support.whole_stream import BODY, CREATED, DONE, WHOLE
from vllm_sse_proxy import Ending, Tally
from vllm_sse_proxy.metrics import MergedMetrics, Metrics, Report
from vllm_sse_proxy.server.sockets import close_all
from vllm_sse_proxy.server.supervisor import Supervisor, _next_pause, worker_count
from vllm_sse_proxy.settings import ServerSettings, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiohttp

    from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="several workers need Linux")

STREAMS = 12
"""So many connections that they do not all fall to one of two workers, but once in two thousand runs."""


class Running:
    """A proxy with two workers, run as users do."""

    def __init__(
        self, process: asyncio.subprocess.Process, started: dict[str, Any], http: aiohttp.ClientSession
    ) -> None:
        self.process = process
        self.started = started
        self.port = int(started["address"].rpartition(":")[2])
        self._admin = f"http://{started['admin_address']}"
        self._http = http
        self._clients: list[RawClient] = []

    async def connect(self) -> RawClient:
        client = await RawClient.connect(self.port)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            client.leave()
            with suppress(ConnectionError):
                await client.writer.wait_closed()

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text("ascii").split()}

    async def metric(self, series: str) -> float:
        async with self._http.get(self._admin + "/metrics") as answer:
            found = re.search(rf"^{re.escape(series)} (\S+)$", await answer.text(), re.MULTILINE)
        assert found is not None, series
        return float(found[1])

    async def until(self, series: str, value: float) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS * 2):
            while await self.metric(series) != value:  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.02)

    async def readiness(self) -> int:
        async with self._http.get(self._admin + "/readyz") as answer:
            return answer.status

    async def lines(self) -> list[dict[str, Any]]:
        """Return what it logged, once it has ended."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS * 2):
            output = await self.process.stdout.read()
        return [orjson.loads(line) for line in output.splitlines()]

    async def code(self) -> int:
        async with asyncio.timeout(PATIENCE_SECONDS * 2):
            return await self.process.wait()


@asynccontextmanager
async def run(upstream: FakeUpstream, http: aiohttp.ClientSession, **settings: str) -> AsyncIterator[Running]:
    given = {
        "WORKERS": "2",
        "PORT": "0",
        "ADMIN_PORT": "0",
        "UPSTREAM": upstream.url,
        "LOOK_AT_UPSTREAM": "false",
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SSE_PROXY_")}
    environment |= {f"SSE_PROXY_{name}": value for name, value in given.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vllm_sse_proxy", "serve", env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS * 3):
            started = orjson.loads(await process.stdout.readline())
        running = Running(process, started, http)
        try:
            yield running
        finally:
            await running.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def open_streams(upstream: FakeUpstream, running: Running, go_on: asyncio.Event) -> list[RawClient]:
    clients = []
    for _ in range(STREAMS):
        upstream.answer(Head(), Chunk(CREATED), Wait(go_on), *map(Chunk, WHOLE[1:]), End())
        client = await running.connect()
        await client.post("/v1/responses", BODY)
        await client.head()
        assert await client.chunk() == CREATED
        clients.append(client)
    return clients


async def rest_of(client: RawClient) -> bytes | None:
    """Return the rest of a stream; None if it was cut."""
    rest = b""
    try:
        while piece := await client.chunk():
            rest += piece
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return rest


async def test_all_of_it(upstream: FakeUpstream, http: aiohttp.ClientSession) -> None:
    """Connections are spread, counts add up, a killed worker is replaced and its counts stay, the rest drains."""
    async with run(upstream, http, DRAIN_DELAY_SECONDS="0", DRAIN_TIMEOUT_SECONDS="60") as running:
        assert (running.started["msg"], running.started["workers"]) == ("listening", 2)
        assert await running.readiness() == 200
        assert await running.metric("sse_proxy_workers") == 2
        answered = 'sse_proxy_requests_total{code="2xx",route="other"}'
        assert await running.metric(answered) == 0
        for _ in range(STREAMS):
            client = await running.connect()
            await client.get("/x")
            assert (await client.answer()).status == 200
            client.leave()
        await running.until(answered, STREAMS)

        go_on = asyncio.Event()
        clients = await open_streams(upstream, running, go_on)
        await running.until("sse_proxy_streams_in_flight", STREAMS)
        victim, other = running.workers()
        os.kill(victim, signal.SIGKILL)
        await running.until("sse_proxy_worker_restarts_total", 1)
        await running.until("sse_proxy_workers", 2)
        assert other in running.workers()
        assert victim not in running.workers()
        assert await running.metric(answered) == STREAMS  # counters never go back
        left = await running.metric("sse_proxy_streams_in_flight")
        assert 0 < left < STREAMS
        assert await running.readiness() == 200
        go_on.set()
        rests = [await rest_of(client) for client in clients]
        assert rests.count(b"".join(WHOLE[1:])) == left
        assert rests.count(None) == STREAMS - left

        go_on = asyncio.Event()
        clients = await open_streams(upstream, running, go_on)
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await running.readiness() == 200:  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.02)
        go_on.set()
        assert [await rest_of(client) for client in clients] == [b"".join(WHOLE[1:])] * STREAMS
        lines = await running.lines()
        assert await running.code() == 0
    requests = [line for line in lines if line["msg"] == "request"]
    assert {line["worker"] for line in requests} == {1, 2}
    assert [line["exit_code"] for line in lines if line["msg"] == "worker ended"] == [-9]
    assert lines[-1]["msg"] == "stopped"


async def test_a_second_signal_stops_at_once(upstream: FakeUpstream, http: aiohttp.ClientSession) -> None:
    async with run(upstream, http, DRAIN_DELAY_SECONDS="60", DRAIN_TIMEOUT_SECONDS="60") as running:
        clients = await open_streams(upstream, running, asyncio.Event())
        assert running.process.stdout is not None
        running.process.send_signal(signal.SIGTERM)
        assert orjson.loads(await running.process.stdout.readline())["msg"] == "draining"
        running.process.send_signal(signal.SIGTERM)
        rests = [await rest_of(client) for client in clients]
        assert all(rest and b"event: response.failed\n" in rest and rest.endswith(DONE) for rest in rests)
        lines = await running.lines()
        assert await running.code() == 1
    assert lines[-1] == {**lines[-1], "msg": "stopped", "requests_cut": STREAMS}


async def test_a_worker_that_is_asked_to_leave(upstream: FakeUpstream, http: aiohttp.ClientSession) -> None:
    """It finishes what is open while another one has taken its place already."""
    async with run(upstream, http, DRAIN_TIMEOUT_SECONDS="60") as running:
        go_on = asyncio.Event()
        clients = await open_streams(upstream, running, go_on)
        before = running.workers()
        os.kill(min(before), signal.SIGTERM)
        await running.until("sse_proxy_worker_restarts_total", 1)
        await running.until("sse_proxy_workers", 2)
        assert before < running.workers()
        for _ in range(STREAMS):
            client = await running.connect()
            await client.get("/x")
            assert (await client.answer()).status == 200
            client.leave()
        go_on.set()
        assert [await rest_of(client) for client in clients] == [b"".join(WHOLE[1:])] * STREAMS
        await running.until('sse_proxy_streams_total{ending="completed",family="responses"}', STREAMS)


async def test_workers_do_not_outlive_their_supervisor(
    upstream: FakeUpstream, http: aiohttp.ClientSession
) -> None:
    async with run(upstream, http, DRAIN_TIMEOUT_SECONDS="60") as running:
        go_on = asyncio.Event()
        clients = await open_streams(upstream, running, go_on)
        workers = running.workers()
        running.process.kill()
        go_on.set()
        assert [await rest_of(client) for client in clients] == [b"".join(WHOLE[1:])] * STREAMS
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(_runs(pid) for pid in workers):  # noqa: ASYNC110 - other processes are waited for
                await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    """Say whether a process runs; one that has ended may wait for whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def settings(**given: Any) -> ServerSettings:
    return ServerSettings(
        **{"upstream": "http://vllm.test", "port": 0, "admin_port": 0, "workers": 2, **given}
    )


async def test_a_port_that_others_share_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            Supervisor(settings(port=taken.getsockname()[1]))._open_ports()


async def test_both_addresses_of_a_name_get_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
        ]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    one = Supervisor(settings())
    one._open_ports()
    ports = {sock.getsockname()[1] for own in one._sockets for sock in own}
    assert len(ports) == 1
    assert [len(own) for own in one._sockets] == [2, 2]
    for own in one._sockets:
        close_all(own)


async def test_workers_that_do_not_start_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await Supervisor(settings()).run() == 1
    assert [record.getMessage() for record in caplog.records][-1] == "cannot start workers"


def test_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_count(settings(workers=3)) == 3
    assert worker_count(settings(workers=0)) == len(os.sched_getaffinity(0))
    monkeypatch.setattr("sys.platform", "darwin")
    assert worker_count(settings(workers=1)) == 1
    with pytest.raises(SettingsError, match="Linux"):
        worker_count(settings(workers=2))


def test_pauses_grow_while_workers_die_young() -> None:
    pauses = [0.0]
    for _ in range(9):
        pauses.append(_next_pause(pauses[-1], lived=1.0))
    assert pauses == [0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert _next_pause(30.0, lived=10.0) == 0


class TestMergedMetrics:
    @staticmethod
    def report(count: Callable[[Metrics], None]) -> Report:
        metrics = Metrics()
        count(metrics)
        return Report(**orjson.loads(orjson.dumps(metrics.report())))

    @staticmethod
    def work(metrics: Metrics) -> None:
        metrics.requests_in_flight.inc(2)
        metrics.requests.labels("other", "2xx").inc(3)
        metrics.flush("responses", Tally(events_in=5), Ending.COMPLETED, duration_seconds=4.0)

    def samples(self, merged: MergedMetrics) -> dict[str, float]:
        lines = [line for line in merged.expose().decode().splitlines() if line[0] != "#"]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def test_sums_and_what_stays(self) -> None:
        own = Metrics()
        own.workers.set(2)
        merged = MergedMetrics(own)
        report = self.report(self.work)
        before = self.samples(merged)
        merged.update("a", report)
        merged.update("b", report)
        found = self.samples(merged)
        assert merged.open() == 4
        counted = {
            'sse_proxy_requests_total{code="2xx",route="other"}': 6,
            'sse_proxy_events_total{direction="in"}': 10,
            'sse_proxy_stream_duration_seconds_bucket{le="5.0"}': 2,
            'sse_proxy_stream_duration_seconds_bucket{le="2.5"}': 0,
            "sse_proxy_stream_duration_seconds_sum": 8,
            "sse_proxy_stream_duration_seconds_count": 2,
        }
        assert {name: found[name] for name in counted} == counted
        assert found["sse_proxy_workers"] == 2
        assert found["sse_proxy_requests_in_flight"] == 4
        assert {name: value for name, value in found.items() if name.startswith("sse_proxy_build_info")} == {
            name: 1.0 for name in before if name.startswith("sse_proxy_build_info")
        }
        memory = "process_resident_memory_bytes"
        assert found[memory] >= 2 * report.process[memory]
        assert found["process_start_time_seconds"] == before["process_start_time_seconds"]
        merged.retire("a")
        merged.retire("never seen")
        found = self.samples(merged)
        assert {name: found[name] for name in counted} == counted
        assert found["sse_proxy_requests_in_flight"] == 2
        assert found["process_cpu_seconds_total"] >= 2 * report.process["process_cpu_seconds_total"]
        assert set(found) == set(before)

    def test_every_series_exists_from_the_start(self) -> None:
        assert self.samples(MergedMetrics(Metrics())).keys() == self.samples_of(Metrics()).keys()

    def samples_of(self, metrics: Metrics) -> dict[str, float]:
        lines = [line for line in metrics.expose().decode().splitlines() if line[0] != "#"]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
