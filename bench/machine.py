"""Processes of the benchmark: started on a core of their own, read out from /proc, ended by id. Linux only."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import time
import urllib.request
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from tests.support.local_server import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROC: Final = Path("/proc")
HERE: Final = Path(__file__).parent
BUILD: Final = HERE.parent / "build" / "bench"
"""Everything that a run leaves behind, but for its results."""
ANSWERS: Final = BUILD / "answers"
"""Where upstream finds the answers that it gives from files (``spec=file-ok-NUMBER``)."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
APART: Final = 4
"""How many cores let upstream, load generator and proxy have one each, and two workers too."""
_MANY_FILES: Final = 16_384
"""Open files that 2,000 streams through one process need, with room to spare."""


class BenchError(Exception):
    """The benchmark cannot go on; the message says why."""


def prepare() -> None:
    """Build the rig and allow as many open files as it needs.

    :raises BenchError: no Linux, no C compiler, or a rig that does not compile.
    """
    if not (PROC / "self" / "smaps_rollup").exists() or shutil.which("taskset") is None:
        raise BenchError("the benchmark reads /proc and needs taskset: run it on Linux, with util-linux")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BenchError("no C compiler found; on Debian and Ubuntu: apt-get install gcc libc6-dev")
    ANSWERS.mkdir(parents=True, exist_ok=True)
    for name in ("upstream", "client"):
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(BUILD / name), str(HERE / f"{name}.c")]
        if subprocess.run(command, check=False).returncode:
            raise BenchError(f"bench/{name}.c does not compile")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_MANY_FILES, hard), hard))


class Cores(NamedTuple):
    """Who runs where, as taskset names cores.

    :ivar upstream: upstream's.
    :ivar client: the load generator's: upstream's own where there are fewer than four.
    :ivar proxy: that of the contenders, which take turns.
    :ivar workers: those of a proxy with several processes: all of them where there are fewer than four.
    :ivar workers_client: the load generator's beside it, likewise.
    """

    upstream: str
    client: str
    proxy: str
    workers: str
    workers_client: str


def cores(usable: Sequence[int]) -> Cores:
    """Return who runs where.

    :param usable: the numbers of the cores, ascending. Upstream's, the client's and the proxy's are as far apart as that
        allows: neighbours may be two threads of one.
    """
    first, half, last = usable[0], usable[len(usable) // 2], usable[-1]
    if len(usable) < APART:
        every = ",".join(map(str, usable))
        return Cores(str(first), str(first), str(last), every, every)
    rest = ",".join(str(core) for core in usable if core not in {first, half})
    return Cores(str(first), str(half), str(last), rest, str(half))


def get(url: str) -> bytes:
    """Fetch a page from loopback."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        content: bytes = answer.read()
        return content


class Process:
    """One process with its descendants, on the given cores. Use it as a context: it is ended with it.

    :param log: name of the file in build/bench/ that takes its output.
    :param environment: variables that it gets beside those of this process.
    """

    def __init__(
        self, command: Sequence[str], *, core: str, log: str, environment: Mapping[str, str] | None = None
    ) -> None:
        with (BUILD / f"{log}.log").open("wb") as output:
            self._process = subprocess.Popen(
                ["taskset", "-c", core, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        family = self._family()
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in family[1:]:  # a launcher may leave the server that it started
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def running(self) -> bool:
        """Return whether it has not ended."""
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """Return the processor time that the process and its descendants have used."""
        return sum(map(_cpu_seconds, self._family()))

    def memory_bytes(self) -> int:
        """Return their memory; what they share with others is counted in proportion (PSS)."""
        return sum(map(_memory_bytes, self._family()))

    def _family(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for entry in PROC.iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(entry.name))
        found = [self.pid]
        for pid in found:
            found += children.get(pid, [])
        return found


def _cpu_seconds(pid: int) -> float:
    """Read the scheduler's nanoseconds where the kernel keeps them; clock ticks (10 ms) else."""
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in _tasks(pid)) / 1e9
    except OSError:
        pass
    with contextlib.suppress(OSError):
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0


def _tasks(pid: int) -> list[Path]:
    return list((PROC / str(pid) / "task").iterdir())


def _memory_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class Rig:
    """Upstream and load generator. Use it as a context."""

    def __init__(self) -> None:
        self.cores = cores(sorted(os.sched_getaffinity(0)))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [str(BUILD / "upstream"), str(self.port), str(ANSWERS)]
        self.process = Process(command, core=self.cores.upstream, log="upstream")

    def __enter__(self) -> Self:
        self.process.__enter__()
        _until(lambda: self.open_streams() == 0, seconds=5, what="upstream")
        return self

    def __exit__(self, *error: object) -> None:
        self.process.__exit__(*error)

    def open_streams(self) -> int:
        """Return how many streams upstream has open; -1: it does not answer."""
        try:
            return int(json.loads(get(f"{self.url}/__stats"))["active"])
        except OSError:
            return -1

    def start_client(
        self,
        port: int,
        spec: str,
        options: str,
        *,
        path: str = "/v1/responses",
        core: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> subprocess.Popen[str]:
        """Start the load generator against a port of this machine.

        :param body: the request, which holds ``spec``; None: one that holds nothing else.
        """
        file = BUILD / f"body-{spec}.json"
        request = body or {"model": "bench", "input": f"spec={spec}", "stream": True, "store": False}
        file.write_text(json.dumps(request))
        pin = ["taskset", "-c", core or self.cores.client]
        return subprocess.Popen(
            [*pin, str(BUILD / "client"), *options.split(), f"127.0.0.1:{port}", path, str(file)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def load(
        self,
        port: int,
        spec: str,
        options: str,
        *,
        path: str = "/v1/responses",
        core: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run the load generator to its end and return what it measured (the head of client.c says what)."""
        client = self.start_client(port, spec, options, path=path, core=core, body=body)
        output, _ = client.communicate(timeout=120)
        measured: dict[str, Any] = json.loads(output)
        return measured

    def drain(self, *, seconds: float, down_to: int = 0) -> float | None:
        """Wait until upstream has no more open streams than that; return the seconds it took, None: it did not happen."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if 0 <= self.open_streams() <= down_to:
                return time.monotonic() - began
            time.sleep(0.001)
        return None


def _until(condition: Any, *, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise BenchError(f"{what} does not answer; see {BUILD}")
        time.sleep(0.02)


def describe() -> dict[str, Any]:
    """Return what was measured on: machine, kernel, versions."""
    processor = platform.processor()
    with contextlib.suppress(OSError):
        for line in (PROC / "cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    versions = {"Python": platform.python_version()}
    for package in ("aiohttp", "orjson", "uvloop"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    for program, flag in (("nginx", "-v"), ("haproxy", "-v")):
        if (found := program_path(program)) is not None:
            printed = subprocess.run([found, flag], capture_output=True, text=True, check=False)
            words = (printed.stdout + printed.stderr).replace("/", " ").split()
            versions[program] = next((word for word in words if word[0].isdigit()), "?")
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "versions": versions,
    }


def circumstances(rounds: int, load_before: float) -> dict[str, Any]:
    """Return when, on what and how a run was made; ``load_before``: the load average at its start."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "rounds": rounds,
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        **describe(),
    }


def program_path(name: str) -> str | None:
    """Find a server: Debian puts them where only root's PATH looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
