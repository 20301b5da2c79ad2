"""Responses that upstream has stored, read in the name of the client whose request needs them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp
import orjson
from aiohttp import hdrs

from vllm_sse_proxy.server.errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from multidict import CIMultiDict

    from vllm_sse_proxy.server.upstream import Upstream

# Headers about the body of the client's own request, or about the part or version of another answer that it wants.
_NOT_OURS: Final = ("content-", "if-", "range")


class UnreadableError(Exception):
    """Upstream did not return the response."""


class RefusedError(UnreadableError):
    """Nothing listens where upstream was: it will not go on with any stream either."""


@dataclass(eq=False)
class StoredResponses:
    """Reads response objects.

    :param headers: makes the client's own end-to-end headers; only called when a response is read.
    :param timeout_seconds: limit for the whole answer.
    :param max_bytes: limit for its body.
    :param prefix: what the client's own request has before ``/v1/responses``.
    """

    upstream: Upstream
    headers: Callable[[], CIMultiDict[str]]
    timeout_seconds: float
    max_bytes: int
    prefix: str = ""

    async def read(self, response_id: str) -> dict[str, Any]:
        """Return the response object.

        :raises RefusedError: the connection was refused.
        :raises UnreadableError: there is no answer, or it is not a JSON object.
        """
        path = f"{self.prefix}/v1/responses/{quote(response_id, safe='')}"
        headers = self.headers()
        for name in [name for name in headers if name.lower().startswith(_NOT_OURS)]:
            headers.popall(name, None)
        headers[hdrs.ACCEPT] = "application/json"
        try:
            async with asyncio.timeout(self.timeout_seconds):
                answer = await self.upstream.send(hdrs.METH_GET, path, headers, None)
                try:
                    document = orjson.loads(await self._body(answer))
                finally:
                    answer.close()  # its connection is in the pool already, if the whole body came
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise (RefusedError if refused else UnreadableError)(reason_of(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise UnreadableError(reason_of(error)) from None
        if not isinstance(document, dict):
            raise UnreadableError("the answer is not a response object")
        return document

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        if answer.status != HTTPStatus.OK:
            raise UnreadableError(f"HTTP status {answer.status}")
        body = bytearray()
        while piece := await answer.content.readany():
            body += piece
            if len(body) > self.max_bytes:
                raise UnreadableError("the answer is too large")
        return bytes(body)
