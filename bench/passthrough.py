"""The yardstick: the least that a proxy made of this build of aiohttp does. Bytes in, the same bytes out.

    python -m bench.passthrough PORT UPSTREAM

It reads nothing, counts nothing, logs nothing and keeps no time limits. What it costs is the price of the stack.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import aiohttp
from aiohttp import web

_HOP_BY_HOP: Final = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


async def _serve(port: int, upstream: str) -> None:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
    ) as session:

        async def relay(request: web.Request) -> web.StreamResponse:
            headers = {n: v for n, v in request.headers.items() if n.lower() not in _HOP_BY_HOP}
            body = await request.read() if request.can_read_body else None
            async with session.request(
                request.method, upstream + request.path_qs, headers=headers, data=body, allow_redirects=False
            ) as answer:
                response = web.StreamResponse(
                    status=answer.status,
                    headers={n: v for n, v in answer.headers.items() if n.lower() not in _HOP_BY_HOP},
                )
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response

        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", relay)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        await asyncio.Event().wait()


def _main() -> None:
    serve = _serve(int(sys.argv[1]), sys.argv[2])
    try:
        import uvloop  # noqa: PLC0415 - optional, as for the proxy
    except ImportError:
        asyncio.run(serve)
    else:
        uvloop.run(serve)


if __name__ == "__main__":
    _main()
