"""Upstream's release: what ``GET /version`` says.

Some requests are accepted and misread by old releases only, so no refusal shows that they must be repaired. Before one of
those is sent, upstream is asked; what it says is believed for a while, and so is its silence.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from aiohttp import hdrs

from vllm_sse_proxy.families.requests import release_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from multidict import CIMultiDict

    from vllm_sse_proxy.server.upstream import Upstream

_FRESH_SECONDS: Final = 60.0
"""How long an answer is believed. An upgrade of vLLM takes longer than that."""
_PATIENCE_SECONDS: Final = 2.0
"""vLLM answers in a millisecond; whatever takes longer is not worth holding a request up for."""
_NOT_OURS: Final = ("content-", "if-", "range")
"""How headers begin that are about the body of the client's own request, or about the answer to it."""
_MAX_BYTES: Final = 4096
"""vLLM's answer has thirty."""


@dataclass(eq=False)
class UpstreamRelease:
    """What is known of upstream's release.

    :ivar known: as (0, 32); None: unknown.
    :ivar version: as upstream spells it; empty: unknown.
    """

    upstream: Upstream
    known: tuple[int, int] | None = None
    version: str = ""
    _asked_at: float | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def forget(self) -> None:
        """Ask again before the next request that depends on it."""
        self._asked_at = None

    async def refresh(self, headers: Callable[[], CIMultiDict[str]]) -> None:
        """Ask upstream, unless it was asked a short while ago; never raises.

        :param headers: makes the headers of the client in whose name upstream is asked.
        """
        if self._is_fresh():
            return
        async with self._lock:
            if self._is_fresh():
                return
            version = await self._ask(headers())
            self.version = version if isinstance(version, str) else ""
            self.known = release_of(version)
            self._asked_at = asyncio.get_running_loop().time()

    def _is_fresh(self) -> bool:
        asked_at = self._asked_at
        return asked_at is not None and asyncio.get_running_loop().time() - asked_at < _FRESH_SECONDS

    async def _ask(self, headers: CIMultiDict[str]) -> Any:
        """Return the version that upstream names; None if it names none."""
        for name in [name for name in headers if name.lower().startswith(_NOT_OURS)]:
            headers.popall(name, None)
        headers[hdrs.ACCEPT] = "application/json"
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = await self.upstream.send(hdrs.METH_GET, "/version", headers, None)
                try:
                    body = await answer.content.read(_MAX_BYTES) if answer.status == HTTPStatus.OK else b""
                finally:
                    answer.close()
                document = orjson.loads(body)
        except (aiohttp.ClientError, OSError, ValueError):  # TimeoutError is an OSError
            return None
        return document.get("version") if isinstance(document, dict) else None
