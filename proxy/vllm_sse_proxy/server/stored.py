"""Responses that upstream has stored, read in the name of the client that asks something about them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp
import orjson
from aiohttp import hdrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from multidict import CIMultiDict

    from vllm_sse_proxy.server.upstream import Upstream

RESPONSES_PATH: Final = "/v1/responses"

# What a client's headers say about its own request's body, or about which part or version of another answer it wants.
_NOT_OURS: Final = ("content-", "if-", "range")


class UnreadableError(Exception):
    """Upstream did not give the response."""


class RefusedError(UnreadableError):
    """Nobody listens where upstream was: it will not go on with any stream either."""


class StoredResponses:
    """Reads response objects.

    :param headers: makes the client's own end-to-end headers; only called when something is read.
    :param timeout_seconds: limit for the whole answer.
    :param max_bytes: limit for its body.
    """

    __slots__ = ("_headers", "_max_bytes", "_timeout_seconds", "_upstream")

    def __init__(
        self,
        upstream: Upstream,
        headers: Callable[[], CIMultiDict[str]],
        *,
        timeout_seconds: float,
        max_bytes: int,
    ) -> None:
        self._upstream = upstream
        self._headers = headers
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes

    async def read(self, response_id: str) -> dict[str, Any]:
        """Return the response object.

        :raises RefusedError: the connection was refused.
        :raises UnreadableError: there is no answer, or it is no JSON object.
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
                    document = orjson.loads(await self._body(answer))
                finally:
                    answer.close()  # its connection is in the pool already, if the whole body came
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise (RefusedError if refused else UnreadableError)(str(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise UnreadableError(str(error) or type(error).__name__) from None
        if not isinstance(document, dict):
            raise UnreadableError("the answer is no response object")
        return document

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        if answer.status != HTTPStatus.OK:
            raise UnreadableError(f"HTTP status {answer.status}")
        body = bytearray()
        while piece := await answer.content.readany():
            body += piece
            if len(body) > self._max_bytes:
                raise UnreadableError("the answer is too large")
        return bytes(body)
