"""A request on its way to upstream, and again where its family knows better after a refusal.

Nothing is sent again once upstream has accepted a request: what is read here is the JSON body of a refusal, and nothing else.
Every post has the same target, the same headers but for the length, and the same timeout: all of them are one request to the
client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import hdrs

from vllm_sse_proxy.metrics import code_class
from vllm_sse_proxy.server.content import JSON, has_type

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from multidict import CIMultiDict

    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.handling import StreamRequest
    from vllm_sse_proxy.server.upstream import Upstream

MAX_REFUSAL_BYTES: Final = 16 * 1024 * 1024
"""A longer one passes unread. Old releases repeat an item once for every type that it is not: 145 times 40 KiB of tools."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One of upstream's answers.

    :ivar read: what was read of its body.
    """

    head: aiohttp.ClientResponse
    read: bytes = b""


@dataclass(frozen=True, slots=True)
class Posting:
    """Sends one request.

    :ivar headers: for upstream.
    :ivar reader: may have a refused body sent again in another form; None: nobody does.
    """

    upstream: Upstream
    exchange: Exchange
    method: str
    target: str
    headers: CIMultiDict[str]
    reader: StreamRequest | None

    async def send(self, body: bytes | AsyncIterator[bytes] | None) -> Answer:
        """Send the request, again after each refusal that its reader has an answer to, and return what the client gets.

        :raises aiohttp.ClientError: no answer.
        """
        reader = self.reader
        answer = await self._post(body)
        if reader is None:
            return answer
        answers = [answer]
        while reader.may_be_refused(answer.head.status) and has_type(answer.head.headers, JSON):
            refusal, is_whole = await self._refusal(answer.head)
            answers[-1] = Answer(answer.head, refusal)
            again = reader.after_refusal(answer.head.status, refusal) if is_whole else None
            if again is None:
                break
            answer = await self._post(again)
            answers.append(answer)
        return answers[reader.settle(answer.head.status)]

    async def _post(self, body: bytes | AsyncIterator[bytes] | None) -> Answer:
        headers = self.headers.copy()
        if isinstance(body, bytes) and hdrs.CONTENT_LENGTH in headers:
            headers[hdrs.CONTENT_LENGTH] = str(len(body))  # the reader may have changed it
        # A body that nobody has read may ask for anything, which may have been done before the connection closed.
        may_repeat = body is None or self.reader is not None
        head = await self.upstream.send(self.method, self.target, headers, body, may_repeat=may_repeat)
        self.exchange.metrics.upstream_requests.labels(code_class(head.status)).inc()
        return Answer(head)

    async def _refusal(self, head: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """Return what was read of a refusal, and whether that is all of it."""
        pieces: list[bytes] = []
        size = 0
        try:
            while size <= MAX_REFUSAL_BYTES and (piece := await head.content.readany()):
                pieces.append(piece)
                size += len(piece)
        except aiohttp.ClientError:
            return b"".join(pieces), False  # whoever reads on finds the same
        except BaseException:
            head.close()
            raise
        self.exchange.bytes_in += size
        return b"".join(pieces), size <= MAX_REFUSAL_BYTES
