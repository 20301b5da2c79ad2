"""A proxy as its users run it, a process of its own, and what can be seen of it from outside: log, metrics, /proc."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.labs import ROOT
from tests.labs.faults.relay import ByteRelay
from tests.support.http import RawClient
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from vllm_sse_proxy.settings import ServerSettings, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

KIB = 1024
MIB = 1024 * 1024

START_SECONDS = 60
"""How long a start may take on a busy machine."""

_TIME_WAIT = "06"
_LISTEN = "0A"
_STEP_SECONDS = 0.002


async def wait_until(true: Callable[[], Awaitable[bool]], *, seconds: float = PATIENCE_SECONDS) -> bool:
    """Ask until the answer is yes; False if it is not yes in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await true():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_STEP_SECONDS)
    return True


def known(**settings: Any) -> dict[str, Any]:
    """Return the settings that this release has: the suite is also run on older ones, where a limit may be missing."""
    return {name: value for name, value in settings.items() if name in settings_of(ServerSettings)}


class ProxyProcess:
    """One `vllm-sse-proxy serve`; a context manager.

    :param upstream: URL of what stands behind it.
    :param prefix: a command to run it with, as `ip netns exec NAME`.
    :param settings: settings by name; the ports are free ones unless they are given.
    :ivar lines: its log, one decoded line each, without those that report a request's end.
    """

    def __init__(self, upstream: str, *, prefix: Sequence[str] = (), **settings: Any) -> None:
        given = {
            "upstream": upstream,
            "host": "127.0.0.1",
            "port": 0,
            "admin_port": 0,
            "drain_delay_seconds": 0,
            "drain_timeout_seconds": 1,
            **settings,
        }
        flags = [
            word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))
        ]
        self._folder = tempfile.TemporaryDirectory(prefix="sse-proxy-faults-")
        self._door = Path(self._folder.name) / "door"
        self._command = [
            *prefix,
            sys.executable,
            "-m",
            "tests.labs.faults.observed",
            str(self._door),
            "serve",
            "--no-look-at-upstream",  # upstreams answer what they are asked in the order of a script
            *flags,
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._ended: dict[str, dict[str, Any]] = {}
        self._ended_before: dict[str, dict[str, Any]] = {}
        self._awaited: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.lines: list[dict[str, Any]] = []
        self.ports: tuple[int, int] = (0, 0)
        self.pid = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        self._folder.cleanup()

    async def start(self) -> None:
        """Start it and wait until it listens.

        :raises RuntimeError: it ended instead.
        """
        self._door.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
            env={name: value for name, value in os.environ.items() if not name.startswith("SSE_PROXY_")},
        )
        self.pid = self._process.pid
        seen = len(self.lines)
        self._reading = asyncio.create_task(self._read(self._process))
        line = await self.line(lambda line: line.get("msg") == "listening", since=seen, seconds=START_SECONDS)
        self.ports = (
            int(line["address"].rpartition(":")[2]),
            int(line["admin_address"].rpartition(":")[2]),
        )

    @property
    def port(self) -> int:
        """The data port."""
        return self.ports[0]

    @property
    def admin_port(self) -> int:
        """The admin port."""
        return self.ports[1]

    async def line(
        self, wanted: Callable[[dict[str, Any]], bool], *, since: int = 0, seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        """Wait for a line of the log.

        :raises RuntimeError: it did not come; the message holds the end of the log.
        """

        def found() -> dict[str, Any] | None:
            return next((line for line in self.lines[since:] if wanted(line)), None)

        try:
            async with asyncio.timeout(seconds), self._changed:
                while True:
                    line = found()
                    if line is not None:
                        return line
                    if self._reading is None or self._reading.done():
                        break
                    await self._changed.wait()
        except TimeoutError:
            pass
        raise RuntimeError(f"the log does not say it: {self.lines[-5:]}")

    async def request_line(self, request_id: str, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait for the line of a request's end, and forget it.

        :raises TimeoutError: it did not come.
        """
        known = self._ended.pop(request_id, None) or self._ended_before.pop(request_id, None)
        if known is not None:
            return known
        future: asyncio.Future[dict[str, Any]]
        future = self._awaited[request_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                return await future
        finally:
            del self._awaited[request_id]

    def forget(self) -> None:
        """Drop what was logged before the last call of this, and nobody asked for."""
        self.lines.clear()
        self._ended_before, self._ended = self._ended, {}

    async def metrics(self, client: RawClient | None = None) -> dict[str, float]:
        """Read /metrics: samples as Prometheus writes them (`name{label="value"}`), without the prefix `sse_proxy_`."""
        own = client is None
        client = client or await RawClient.connect(self.admin_port)
        await client.get("/metrics")
        answer = await client.answer()
        if own:
            client.leave()
        samples: dict[str, float] = {}
        for family in text_string_to_metric_families(answer.body.decode()):
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                name = sample.name.removeprefix("sse_proxy_")
                samples[f"{name}{{{labels}}}" if labels else name] = sample.value
        return samples

    async def census(self) -> dict[str, int]:
        """Return the tasks and objects that the process holds."""
        reader, writer = await asyncio.open_unix_connection(self._door)
        try:
            counted: dict[str, int] = json.loads(await reader.read())
        finally:
            writer.close()
        return counted

    def resident(self) -> int:
        """Return the memory it holds, in bytes."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """Return the most memory it held since :meth:`forget_peak`, in bytes."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Begin to measure the peak anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        """Return how many file descriptors are open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def connections(self, *, remote: int | None = None, local: int | None = None) -> int:
        """Return how many TCP connections it holds, those that wait for a close included, by either port."""
        inodes = set()
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
        held = 0
        for line in Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] not in inodes or fields[3] in {_LISTEN, _TIME_WAIT}:
                continue
            ports = (int(fields[1].rpartition(":")[2], 16), int(fields[2].rpartition(":")[2], 16))
            held += (local in {None, ports[0]}) and (remote in {None, ports[1]})
        return held

    def terminate(self) -> None:
        """Ask it to stop."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def kill(self) -> None:
        """End it, whatever it is doing."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * KIB
        raise ValueError(f"the kernel does not report {name}")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            try:
                line = json.loads(raw)
            except ValueError:
                line = {"msg": "no log line", "text": raw.decode(errors="replace").rstrip()}
            if line.get("msg") == "request":
                request_id = str(line["request_id"])
                future = self._awaited.get(request_id)
                if future is None:
                    self._ended[request_id] = line
                elif not future.done():
                    future.set_result(line)
                continue
            async with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()


@contextlib.asynccontextmanager
async def chain(**settings: Any) -> AsyncIterator[tuple[FakeUpstream, ByteRelay, ProxyProcess]]:
    """Start a proxy, what stands behind it, and the relay between both, where faults are made.

    :param settings: the proxy's, by name.
    """
    async with (
        FakeUpstream() as upstream,
        ByteRelay(upstream.port) as relay,
        ProxyProcess(relay.url, **settings) as proxy,
    ):
        yield upstream, relay, proxy
