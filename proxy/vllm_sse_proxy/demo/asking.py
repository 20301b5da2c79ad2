"""How a server is asked: one request, and everything that comes back until the body ends, breaks off or falls silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import aiohttp

from vllm_sse_proxy.demo.clients import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a body: a server that sends more never ends it."""


async def ask(client: aiohttp.ClientSession, url: str, request: Mapping[str, Any]) -> Answer:
    """Send a request and read the answer to its end, whatever that is.

    :param client: its timeouts say how long a server may be silent.
    :raises aiohttp.ClientError: no answer.
    :raises TimeoutError: no answer in time.
    """
    body = bytearray()
    cut = silent = False
    async with client.post(url, json=dict(request), allow_redirects=False) as response:
        try:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MOST_BYTES:
                    cut = True
                    break
        except TimeoutError:  # some of aiohttp's are both
            cut = silent = True
        except aiohttp.ClientError:
            cut = True
        return Answer(response.status, response.content_type, bytes(body), cut=cut, silent=silent)
