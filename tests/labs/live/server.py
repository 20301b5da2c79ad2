"""A real vLLM server as a process: started, watched by its metrics, and ended in the ways in which servers end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.labs.clients.installation import InstallationError
from tests.labs.live.installation import CACHE, Vllm, install_model, install_vocabulary, model_folder
from tests.labs.live.wire import exchange
from tests.support.local_server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

START_SECONDS = 1500
"""How long a start may take: a minute on two idle cores, and ten where they are very busy."""
STOP_SECONDS = 60
LONGEST_CONTEXT = 32768
"""Tokens. A coding agent's first prompt has ten thousand, and the long streams of the faults twenty."""
NAMES = ("tiny", "gpt-4.1", "claude-sonnet-4-5")
"""What the model is called: by this suite, and in the drivers of the real clients."""
ENGINE = "EngineCore"
"""What vLLM calls the process of its engine, since 0.10."""


@dataclass(frozen=True)
class Way:
    """One way through vLLM: a model and the options that choose it.

    :ivar model: `qwen3` or `gpt_oss`, a script in `models`; the empty string for a model of the user's.
    :ivar options: of `vllm serve`; ``kills`` says how the run ends: the engine is killed, else the server gets SIGTERM.
    """

    name: str
    title: str
    model: str
    options: tuple[str, ...]
    kills: bool = False

    @property
    def is_harmony(self) -> bool:
        return self.model == "gpt_oss"


_SIMPLE = ("--reasoning-parser", "qwen3", "--tool-call-parser", "hermes", "--enable-auto-tool-choice")
_HARMONY = ("--tool-call-parser", "openai", "--enable-auto-tool-choice")
_SEVERAL = ("--stream-interval", "8")
WAYS: tuple[Way, ...] = (
    Way("simple", "simple", "qwen3", _SIMPLE, kills=True),
    Way("simple-8", "simple, 8 tokens a step", "qwen3", (*_SIMPLE, *_SEVERAL)),
    Way("harmony", "harmony", "gpt_oss", _HARMONY, kills=True),
    Way("harmony-8", "harmony, 8 tokens a step", "gpt_oss", (*_HARMONY, *_SEVERAL)),
)
"""Several tokens a step are what speculative decoding gives; `--stream-interval` gives them without a second model."""


def own_way(options: str) -> Way:
    """Return the way of a user's model: what follows `vllm serve`, the model first."""
    return Way("own", "own model", "", tuple(shlex.split(options)), kills=True)


class Server:
    """`vllm serve` on loopback; a context manager.

    :ivar url: where it listens; ``running``: whether the process is there.
    """

    def __init__(self, vllm: Vllm, way: Way) -> None:
        self._vllm = vllm
        self._way = way
        self._process: asyncio.subprocess.Process | None = None
        self._log = CACHE / "logs" / f"{vllm.release}-{way.name}.log"
        self.url = ""

    def install(self) -> None:
        """Install what it needs.

        :raises InstallationError: as the parts do.
        """
        self._vllm.install()
        if self._way.model:
            install_model(self._way.model, self._vllm)
        if self._way.is_harmony:
            install_vocabulary()

    def _command(self, port: int) -> list[str]:
        model = [str(model_folder(self._way.model, self._vllm.release))] if self._way.model else []
        tiny = [
            "--dtype",
            "bfloat16",
            "--max-num-seqs",
            "16",
            "--enforce-eager",
            "--max-model-len",
            str(LONGEST_CONTEXT),
        ]
        return [
            str(self._vllm.python), "-m", "vllm.entrypoints.cli.main", "serve", *model, *self._way.options,
            "--host", "127.0.0.1", "--port", str(port), "--served-model-name", *NAMES, *(tiny if model else []),
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        # The responses store is what background responses and previous_response_id need.
        made = {
            **os.environ,
            "VLLM_ENABLE_RESPONSES_API_STORE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
        }
        made["PATH"] = f"{self._vllm.folder / 'bin'}{os.pathsep}{made['PATH']}"
        made["VLLM_CACHE_ROOT"] = str(CACHE / "cache")
        if self._way.model:
            vocabulary = str(CACHE / "vocabulary")
            made |= {
                "HF_HUB_OFFLINE": "1",
                "TRANSFORMERS_OFFLINE": "1",
                "TIKTOKEN_ENCODINGS_BASE": vocabulary,
            }
            made |= {"TIKTOKEN_RS_CACHE_DIR": vocabulary, "VLLM_SYSTEM_START_DATE": "2026-01-01"}
        if self._vllm.on_cpu:
            made |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "1", "OMP_NUM_THREADS": "1"}
            made |= {"VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
        return made

    async def __aenter__(self) -> Self:
        port = free_port()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(port), cwd=CACHE, env=self._environment(), stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.url = f"http://127.0.0.1:{port}"
        try:
            await self._until_ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _until_ready(self) -> None:
        async with asyncio.timeout(START_SECONDS):
            while (await exchange(self.url, "GET", "/health", silence_seconds=5)).status != 200:
                if not self.running:
                    raise InstallationError(
                        f"vLLM ended at its start: {self._log.read_text('utf-8', 'replace')[-2000:]}"
                    )
                await asyncio.sleep(0.5)

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(
                process.pid, signal.SIGKILL
            )  # what it may have left behind: it is the leader of its own group
        await process.wait()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def kill_engine(self) -> None:
        """Kill the process of the engine, as the kernel does when memory runs out; the API server stays.

        :raises LookupError: there is no such process.
        """
        assert self._process is not None
        children = {pid for pid in _descendants(self._process.pid) if ENGINE in _command_of(pid)}
        if not children:
            raise LookupError("vLLM has no process of an engine")
        for pid in children:
            os.kill(pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM to the server, as an orchestrator does."""
        assert self._process is not None
        self._process.terminate()


async def requests_running(url: str) -> float:
    """Return how many requests the engine works on, by vLLM's own metric; -1 if it does not say."""
    answer = await exchange(url, "GET", "/metrics", silence_seconds=10)
    found = re.findall(
        rb"^vllm:num_requests_(?:running|waiting)(?:\{[^}]*\})? ([\d.e+]+)", answer.body, re.MULTILINE
    )
    return sum(map(float, found)) if found else -1


async def until(true: Callable[[float], bool], url: str, seconds: float) -> bool:
    """Ask until the number of running requests is as wanted; False if it is not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not true(await requests_running(url)):
                await asyncio.sleep(0.1)
    except TimeoutError:
        return False
    return True


def _descendants(pid: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found, before = {pid}, set[int]()
    while found != before:
        before = set(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""
