"""The admin port: /livez, /readyz, /healthz and /metrics.

Liveness means that this process answers, and nothing else: restarting the proxy does not repair upstream. Readiness is false
only before the start and while the process drains; if it depended on a shared upstream, one outage would turn every replica's
honest 502 into "connection refused".
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER_NAME: Final = "vllm-sse-proxy"


def admin_app(metrics: Callable[[], bytes], *, ready: Callable[[], bool]) -> web.Application:
    """Build the admin port's application.

    :param metrics: renders them in Prometheus' text format.
    """

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readiness(_request: web.Request) -> web.Response:
        if ready():
            return web.Response(text="ok\n")
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text="draining\n")

    async def expose(_request: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    app = web.Application()
    app.on_response_prepare.append(_name_server)
    app.router.add_get("/livez", live)
    app.router.add_get("/healthz", live)
    app.router.add_get("/readyz", readiness)
    app.router.add_get("/metrics", expose)
    return app


async def _name_server(_request: web.Request, response: web.StreamResponse) -> None:
    """Say which server answers, as the data port's own answers do; aiohttp would give its and Python's version."""
    response.headers["Server"] = SERVER_NAME
