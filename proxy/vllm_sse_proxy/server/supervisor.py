"""Several worker processes behind one port: starts them, replaces those that die, adds up what they count (ADR 21).

Each worker has a listening socket of its own on the same port (SO_REUSEPORT), and the kernel spreads connections over them by
a hash of their addresses. The sockets are opened here and inherited, so connections that wait in the queue of a worker that
dies are accepted by the one that replaces it. Workers share nothing: the streams of the others are not affected.

Orders go to a worker, and reports of what it has counted come back, over a socket pair, one JSON object per line. If the
supervisor dies, that socket closes, and each worker finishes its open requests and exits.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from vllm_sse_proxy import logs
from vllm_sse_proxy.metrics import MergedMetrics, Metrics, Report
from vllm_sse_proxy.server.health import admin_app
from vllm_sse_proxy.server.lifecycle import CUT_SECONDS, StopSignals, announce, begin_drain, end_drain, wait
from vllm_sse_proxy.server.recording import check_folder
from vllm_sse_proxy.server.reloading import check
from vllm_sse_proxy.server.sockets import LISTEN_BACKLOG, bind, close_all, listen, naming, port_of
from vllm_sse_proxy.settings import SettingsError

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from vllm_sse_proxy.settings import ServerSettings

LINE_BYTES: Final = 1024 * 1024
"""Longest line of the channel; a report of all counters is some 10 KiB."""

STEADY_SECONDS: Final = 10.0
"""A worker that lived this long is replaced at once; younger ones are replaced ever more slowly."""

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0

KILL_SECONDS: Final = 5.0
"""How long workers may take beyond everything that they were allowed, before they are killed."""


class WorkerError(Exception):
    """A worker could not be started at all: trying again is of no use."""


@dataclass(eq=False)
class Worker:
    """One process.

    :ivar ready: it accepts connections.
    :ivar leaving: set when it will accept no more: it is dead, or is about to exit by itself.
    """

    process: Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ready: bool = False
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, **order: Any) -> None:
        """Send it an order; nothing if it is gone."""
        with suppress(ConnectionError, RuntimeError):
            self.writer.write(orjson.dumps(order) + b"\n")


class Supervisor:
    """Runs the workers of one proxy.

    :param settings: ``workers`` is how many.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._count = worker_count(settings)
        self._metrics = Metrics(settings=settings)
        self._merged = MergedMetrics(self._metrics)
        self._workers: set[Worker] = set()
        self._ends: set[asyncio.Task[None]] = set()
        self._sockets: list[list[socket.socket]] = []
        self._addresses: list[tuple[socket.AddressFamily, Any]] = []
        self._admin: web.AppRunner | None = None
        self._stopping = asyncio.Event()
        self._draining = False
        self._started = False
        self._cut = 0

    async def run(self) -> int:
        """Serve until a signal comes, drain; return the exit code.

        :raises OSError: a port cannot be opened.
        """
        settings = self._settings
        signals = StopSignals(self._reload)
        with naming("port", "host", settings.host):
            self._open_ports()
        self._admin = web.AppRunner(
            admin_app(self._merged.expose, ready=self._is_ready),
            access_log=None,
            shutdown_timeout=CUT_SECONDS,
        )
        slots: list[asyncio.Task[None]] = []
        try:
            with naming("admin_port", settings.admin_host_setting, settings.admin_address):
                await listen(self._admin, settings.admin_address, settings.admin_port)
            first = await asyncio.gather(*(self._start(slot) for slot in range(self._count)))
            self._started = True
            announce(
                settings,
                port=self._addresses[0][1][1],
                admin_port=port_of(self._admin),
                loop="asyncio" if find_spec("uvloop") is None else "uvloop",
                workers=self._count,
            )
            slots = [asyncio.create_task(self._keep(slot, worker)) for slot, worker in enumerate(first)]
            await self._drain(await signals.first, signals.stop_now)
        except WorkerError as error:
            logs.emit(logging.ERROR, "cannot start workers", reason=str(error))
            return 1
        finally:
            self._stopping.set()
            for task in slots:
                task.cancel()
            await asyncio.gather(*slots, return_exceptions=True)
            await self._end_all()
            for own in self._sockets:
                close_all(own)
            await self._admin.cleanup()
        return end_drain(self._cut)

    def _reload(self) -> None:
        """Have the workers read their certificate again; those that start later read it anyway."""
        for worker in self._workers:
            if worker.ready:
                with suppress(ProcessLookupError):
                    worker.process.send_signal(signal.SIGHUP)

    def _is_ready(self) -> bool:
        return self._started and not self._draining and any(worker.ready for worker in self._workers)

    def _open_ports(self) -> None:
        """Open a listening socket per worker and address.

        :raises OSError: an address cannot be used.
        """
        settings = self._settings
        found = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        port = settings.port
        for family, _, _, _, address in dict.fromkeys(found):
            # Other processes of this user may share a port that is opened for sharing: first make sure that nobody has it.
            with bind(family, (address[0], port, *address[2:]), share=False) as probe:
                port = probe.getsockname()[1]
            self._addresses.append((family, (address[0], port, *address[2:])))
        self._sockets = [self._open() for _ in range(self._count)]

    def _open(self) -> list[socket.socket]:
        made = []
        for family, address in self._addresses:
            sock = bind(family, address, share=True)
            sock.listen(LISTEN_BACKLOG)
            made.append(sock)
        return made

    async def _start(self, slot: int) -> Worker:
        """Start a worker and wait until it accepts connections.

        :raises WorkerError: it ended before it did.
        """
        settings = self._settings
        ours, theirs = socket.socketpair()
        if not self._sockets[slot]:
            self._sockets[slot] = self._open()
        numbers = [theirs.fileno(), *(sock.fileno() for sock in self._sockets[slot])]
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "vllm_sse_proxy.server.worker", *map(str, numbers)),
                stdin=DEVNULL,
                pass_fds=numbers,
                process_group=0,  # a terminal's Ctrl-C is for the supervisor, which then stops the workers
            )
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES)
        worker = Worker(process, reader, writer)
        share = math.ceil(settings.max_streams / self._count)
        worker.send(settings={**asdict(settings), "max_streams": share, "workers": 1}, worker=slot + 1)
        self._workers.add(worker)
        ready = asyncio.get_running_loop().create_future()
        end = asyncio.create_task(self._follow(worker, ready, slot))
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)
        await ready
        return worker

    async def _follow(self, worker: Worker, ready: asyncio.Future[None], slot: int) -> None:
        """Read a worker's reports until it is gone."""
        with suppress(ConnectionError, ValueError):
            while line := await worker.reader.readline():
                message = orjson.loads(line)
                if "report" in message:
                    self._merged.update(worker, Report(**message["report"]))
                self._cut += message.get("cut", 0)
                match message.get("is"):
                    case "ready":
                        worker.ready = True
                        self._metrics.workers.inc()
                        if not ready.done():
                            ready.set_result(None)
                    case "leaving":
                        self._leave(worker)
        code = await worker.process.wait()
        self._merged.retire(worker)
        self._leave(worker)
        self._workers.discard(worker)
        worker.writer.close()
        if not ready.done():
            ready.set_exception(WorkerError(f"worker {slot + 1} exited with {code} before it was ready"))
        elif not self._stopping.is_set() and not self._draining:
            level = logging.WARNING if code else logging.INFO
            logs.emit(level, "worker ended", worker=slot + 1, pid=worker.process.pid, exit_code=code)

    def _leave(self, worker: Worker) -> None:
        if worker.ready:
            worker.ready = False
            self._metrics.workers.dec()
        worker.leaving.set()

    async def _keep(self, slot: int, worker: Worker | None) -> None:
        """Replace the worker of a slot whenever it is leaving."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            began = loop.time()
            if worker is not None:
                await worker.leaving.wait()
            if self._draining:
                return
            self._metrics.worker_restarts.inc()
            pause = _next_pause(pause, lived=loop.time() - began)
            if pause:
                # Meanwhile its share of the connections goes to the others: the kernel spreads them over open sockets only.
                close_all(self._sockets[slot])
                logs.emit(logging.ERROR, "worker not replaced yet", worker=slot + 1, pause_seconds=pause)
                await asyncio.sleep(pause)
            try:
                worker = await self._start(slot)
            except (WorkerError, OSError) as error:
                logs.emit(logging.ERROR, "worker could not be started", worker=slot + 1, reason=str(error))
                worker = None
            else:
                logs.emit(logging.INFO, "worker started", worker=slot + 1, pid=worker.process.pid)

    async def _drain(self, number: signal.Signals, stop_now: asyncio.Event) -> None:
        self._draining = True
        settings = self._settings
        delay = begin_drain(settings, number, open_requests=self._merged.open())
        for own in self._sockets:
            close_all(own)  # the workers have theirs: when they close them, the port is closed
        for worker in self._workers:
            worker.send(do="drain", delay=delay, timeout=settings.drain_timeout_seconds)
        await wait(
            stop_now,
            asyncio.create_task(self._wait_all()),
            seconds=delay + settings.drain_timeout_seconds + 2 * CUT_SECONDS + KILL_SECONDS,
        )

    async def _wait_all(self) -> None:
        if self._ends:
            await asyncio.wait(self._ends)

    async def _end_all(self) -> None:
        """Have the workers that are left stop at once; kill those that do not."""
        if self._ends:
            for worker in self._workers:
                worker.send(do="stop")
            await asyncio.wait(self._ends, timeout=2 * CUT_SECONDS + KILL_SECONDS)
        for worker in list(self._workers):
            with suppress(ProcessLookupError):
                worker.process.kill()
            self._cut += 1
        await self._wait_all()


def worker_count(settings: ServerSettings) -> int:
    """Return how many workers to start.

    :raises SettingsError: this system cannot spread connections over several.
    """
    count = settings.workers or cores()
    if count > 1 and not sys.platform.startswith("linux"):
        raise SettingsError(["workers: more than one needs Linux, which spreads connections over them"])
    return count


def cores() -> int:
    """Return how many cores this process may use, or how many there are where that cannot be found out."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS, not on Windows
    return (len(affinity(0)) if affinity is not None else os.cpu_count()) or 1


def supervise(settings: ServerSettings) -> int:
    """Run several workers until a signal ends them; return the process's exit code.

    :raises SettingsError: a certificate, a key or a file of authorities cannot be used.
    """
    check(settings)  # what cannot be used is reported here once, and not by every worker
    check_folder(settings)

    async def run() -> int:
        return await Supervisor(settings).run()

    return asyncio.run(run())


def _next_pause(pause: float, *, lived: float) -> float:
    """Return how long to wait before a worker is replaced, given the last wait and how long it lived since."""
    if lived >= STEADY_SECONDS:
        return 0.0
    return min(max(pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
