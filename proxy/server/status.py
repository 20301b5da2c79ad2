"""How a response stands, asked of upstream itself: the only way to tell a dead or cancelled producer from a slow one.

vLLM ends the stream of a background response at its terminal event only. A producer that dies or is cancelled tells none, and
the stream stays open and silent for ever; but ``GET /v1/responses/{id}`` knows. What it proves is told as the terminal event
that upstream should have sent.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import aiohttp
import orjson
from aiohttp import hdrs

from proxy.sse import encode_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from multidict import CIMultiDict

    from proxy.server.upstream import Upstream

RESPONSES_PATH: Final = "/v1/responses"

# The statuses that a response never leaves again.
_OVER: Final = frozenset({"completed", "incomplete", "failed", "cancelled"})

# What a client's headers say about its own request's body, or about which part or version of another answer it wants.
_NOT_OURS: Final = ("content-", "if-", "range")

# Ends whatever part of a frame upstream fell silent in, so that it cannot become a part of ours.
_FRAME_END: Final = b"\n\n"


class ProbeError(Exception):
    """Upstream did not say how the response stands."""


class RefusedError(ProbeError):
    """Nobody listens at upstream's address."""


class Verdict(NamedTuple):
    """A response is over, whatever its stream says."""

    status: str
    """``completed``, ``incomplete``, ``failed`` or ``cancelled``."""
    frame: bytes
    """The terminal event for the normalizer, which gives it the type that its status proves."""


class StatusProbe:
    """Asks how the response of one stream stands, in the name of the client that the stream goes to.

    :param headers: makes the client's own end-to-end headers; only called when something is asked.
    :param response_id: the response's id if the client named it: upstream knows it by that.
    :param timeout_seconds: limit for the whole answer.
    :param max_bytes: limit for its body, and for the event that is made of it.
    :ivar regular: ask whenever the stream is silent, not only when the response was cancelled through this process.
    """

    def __init__(
        self,
        upstream: Upstream,
        headers: Callable[[], CIMultiDict[str]],
        *,
        response_id: str | None,
        timeout_seconds: float,
        max_bytes: int,
        regular: bool,
    ) -> None:
        self._upstream = upstream
        self._headers = headers
        self._response_id = response_id
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self.regular = regular

    def id_of(self, streamed: str | None) -> str | None:
        """Return the response's id; ``streamed`` is what the stream says, None if it has said nothing yet."""
        return streamed if self._response_id is None else self._response_id

    async def ask(self, response_id: str) -> Verdict | None:
        """Ask; None if the response is not over.

        :raises RefusedError: the connection was refused.
        :raises ProbeError: there is no answer, or it says nothing of the kind.
        """
        path = f"{RESPONSES_PATH}/{quote(response_id, safe='')}"
        headers = self._headers()
        for name in [name for name in headers if name.lower().startswith(_NOT_OURS)]:
            headers.popall(name, None)
        headers[hdrs.ACCEPT] = "application/json"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._upstream.send(hdrs.METH_GET, path, headers, None)
                try:
                    return self._read(await self._document(answer))
                finally:
                    answer.close()  # its connection is in the pool already, if the whole body came
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise (RefusedError if refused else ProbeError)(str(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise ProbeError(str(error) or type(error).__name__) from None

    async def _document(self, answer: aiohttp.ClientResponse) -> Any:
        if answer.status != HTTPStatus.OK:
            raise ProbeError(f"HTTP status {answer.status}")
        body = bytearray()
        while piece := await answer.content.readany():
            body += piece
            if len(body) > self._max_bytes:
                raise ProbeError("the answer is too large")
        return orjson.loads(body)

    def _read(self, document: Any) -> Verdict | None:
        status = document.get("status") if isinstance(document, dict) else None
        if not isinstance(status, str):
            raise ProbeError("the answer is no response object")
        if status not in _OVER:
            return None
        event = orjson.dumps({"type": "response.completed", "response": document})
        frame = _FRAME_END + encode_event("response.completed", event)
        if len(frame) > self._max_bytes:
            raise ProbeError("the answer is too large")
        return Verdict(status, frame)
