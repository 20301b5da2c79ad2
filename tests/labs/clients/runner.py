"""Runs clients against broken streams, once straight and once through the proxy.

async with Bench() as bench:               # the upstream, and the proxy as the process that users start
    async with Driver(client) as driver:   # the client
        run = await bench.run(driver, turns, through_proxy=True)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from contextlib import AsyncExitStack
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from tests.labs.clients.conversations import PROMPT
from tests.labs.clients.judge import Run, history_of
from tests.labs.clients.upstream import ReplayingUpstream
from tests.support.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.labs.clients.installation import Client
    from tests.support.streams import Json
    from tests.support.upstream import Step

START_SECONDS = 90
"""How long a client may take to start: large Python packages on a loaded machine."""
LIMIT_SECONDS = 45
"""How long a conversation may take. It only runs out when the client hangs."""
STALL_SECONDS = 10
"""The same where upstream falls silent forever: by then a client has heard from the proxy, or never will.
Claude Code asks four times."""
IDLE_TIMEOUT_SECONDS = 1.5
"""The proxy's patience with a silent upstream in these runs."""
LINE_BYTES = 2**24


class DriverError(Exception):
    """A driver did not start, or ended."""


class Driver:
    """The process of one client; started again after a run that hung."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.versions: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def _start(self) -> None:
        # What a user's environment may hold must not steer the client: proxies, keys, tracing.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self._process = await asyncio.create_subprocess_exec(
            *self.client.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, limit=LINE_BYTES, start_new_session=True,
            env={**kept, "OPENAI_AGENTS_DISABLE_TRACING": "1", "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        self.versions = await self._line(START_SECONDS)

    async def end(self) -> None:
        """End the process, in the middle of a conversation if it has one; the next one starts it again."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(
                process.pid, signal.SIGKILL
            )  # with what it has started: it is the leader of its own group
        await process.wait()
        # The transport is closed by the loop's next turn; a pipe that is still open would warn later.
        process._transport.close()  # type: ignore[attr-defined]

    async def _line(self, seconds: float) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise DriverError(f"{self.client.name} ended; run it by hand: {' '.join(self.client.command)}")
        return json.loads(line)

    async def converse(self, job: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """Have one conversation; None if it took longer than this."""
        if self._process is None:
            await self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        await self._process.stdin.drain()
        try:
            answer: dict[str, Any] = await self._line(seconds)
        except TimeoutError:
            await self.end()
            return None
        return answer


class Bench:
    """An upstream that replays, and the proxies before it: one for each way of showing reasoning."""

    def __init__(self) -> None:
        self.upstream = ReplayingUpstream()
        self._proxies: dict[str, Serving] = {}
        self._stack = AsyncExitStack()
        self._keys = count(1)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.upstream)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _base_url(self, *, through_proxy: bool, reasoning: str) -> str:
        if not through_proxy:
            return self.upstream.url
        if reasoning not in self._proxies:
            flags = ("--idle-timeout-seconds", str(IDLE_TIMEOUT_SECONDS), "--reasoning", reasoning)
            proxy = Serving(self.upstream.url, *flags)
            self._proxies[reasoning] = await self._stack.enter_async_context(proxy)
        return self._proxies[reasoning].url

    async def run(
        self,
        driver: Driver,
        turns: Sequence[tuple[Step, ...]],
        *,
        through_proxy: bool,
        stalls: bool = False,
        reasoning: str = "raw",
        tools: Sequence[Json] = (),
        limit: float | None = None,
    ) -> Run:
        """Have one conversation over these answers of upstream.

        :param reasoning: what the user wants to see, and how the proxy is set: `raw` or `summary`.
        :param tools: the functions that the client offers, where the stream says which.
        :param limit: seconds that it may take; without, what all clients may.
        """
        key = f"key-{next(self._keys)}"
        base = await self._base_url(through_proxy=through_proxy, reasoning=reasoning)
        self.upstream.play(key, turns)
        job = {
            "base_url": f"{base}/v1", "key": key, "prompt": PROMPT, "tool": driver.client.tool.name,
            "reasoning": reasoning, "tools": list(tools),
        }  # fmt: skip
        began = time.monotonic()
        usual = STALL_SECONDS if stalls else LIMIT_SECONDS
        result = await driver.converse(job, usual if limit is None else limit)
        seconds = time.monotonic() - began
        posts = self.upstream.posts
        if result is None:
            return Run(posts=len(posts), seconds=seconds, hung=True)
        if not posts:  # the same on every stream, and so "as on a perfect one"
            raise DriverError(f"{driver.client.name} has asked nothing: {result['error']}")
        return Run(**result, posts=len(posts), history=history_of(posts), seconds=seconds)
