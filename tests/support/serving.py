"""The proxy as its users start it: a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from typing import Self

START_SECONDS = 90
"""How long a start may take: a loaded machine, and vLLM beside it."""


class Serving:
    """`vllm-sse-proxy serve` on free ports of 127.0.0.1; a context manager.

    :param upstream: the URL of what stands behind it; ``flags``: further options of the command line.
    :ivar url: where clients reach it; ``admin_url``: where its metrics are.
    """

    def __init__(self, upstream: str, *flags: str) -> None:
        self.url = ""
        self.admin_url = ""
        self._flags = ("--upstream", upstream, "--port", "0", "--admin-port", "0", *flags)
        self._process: asyncio.subprocess.Process | None = None
        self._log: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vllm_sse_proxy", "serve", "--host", "127.0.0.1", "--log-level", "info",
            "--no-look-at-upstream", *self._flags,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if not name.startswith("SSE_PROXY_")},
        )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            first = json.loads(await self._process.stdout.readline())
        self.url, self.admin_url = f"http://{first['address']}", f"http://{first['admin_address']}"
        self._log = asyncio.create_task(_discard(self._process.stdout))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._log is not None:
            await self._log
        # The loop closes the transport in its next turn; a pipe that is still open would warn later.
        self._process._transport.close()  # type: ignore[attr-defined]


async def _discard(log: asyncio.StreamReader) -> None:
    while await log.readline():
        pass
