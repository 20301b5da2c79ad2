"""A running proxy: its two ports, everything that is wired together behind them, and an orderly end.

:class:`Server` runs within a running event loop and can be embedded.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from aiohttp import web
from yarl import URL

from vllm_sse_proxy import logs
from vllm_sse_proxy.config import Mode, SettingsError
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.metrics import Metrics
from vllm_sse_proxy.server.clients import ClientServer
from vllm_sse_proxy.server.gateway import Gateway
from vllm_sse_proxy.server.handling import FamilyHandler
from vllm_sse_proxy.server.headers import Forwarding
from vllm_sse_proxy.server.health import admin_app
from vllm_sse_proxy.server.lag import LoopLag
from vllm_sse_proxy.server.lifecycle import CUT_SECONDS, announce, wait
from vllm_sse_proxy.server.messages import MessagesHandler
from vllm_sse_proxy.server.responses import ResponsesHandler
from vllm_sse_proxy.server.routes import RouteTable
from vllm_sse_proxy.server.silence import SilenceWatch
from vllm_sse_proxy.server.sockets import LISTEN_BACKLOG, listen, naming, port_of, stop_listening
from vllm_sse_proxy.server.tls import fingerprint_of, listener_context, reload_certificate
from vllm_sse_proxy.server.upstream import Upstream

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Sequence

    from vllm_sse_proxy.config import ServerSettings
    from vllm_sse_proxy.stream.family import Family

_HANDLERS: Final[dict[str, type[FamilyHandler]]] = {
    "responses": ResponsesHandler,
    "messages": MessagesHandler,
}
"""The families for which the shell does more than repair their streams."""

_LAST_REQUEST_SECONDS: Final = 0.1
"""How long a connection that was made just before the port closed has to send its request."""


class Server:
    """A proxy on two ports of the running event loop.

    :param settings: port 0 takes a free one; see ``port`` and ``admin_port`` once started.
    :param listeners: sockets to accept connections from instead of opening a port. Then this is one of several workers, and
        the admin port is its supervisor's.
    :param families: the protocols whose streams are repaired.
    :ivar metrics: what it counts.
    :ivar gateway: answers the requests; None before the start.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        listeners: Sequence[socket.socket] | None = None,
        families: Sequence[Family] = FAMILIES,
    ) -> None:
        self._settings = settings
        self._listeners = listeners
        self._families = families
        self.metrics = Metrics(families, settings)
        self.gateway: Gateway | None = None
        self._data: web.ServerRunner | None = None
        self._admin: web.AppRunner | None = None
        self._tls: ssl.SSLContext | None = None
        self._fingerprint = ""
        self._open = AsyncExitStack()  # what has to be closed, the last first

    @property
    def port(self) -> int:
        """The data port, once started."""
        return port_of(self._data)

    @property
    def admin_port(self) -> int:
        """The admin port, once started."""
        return port_of(self._admin)

    @property
    def open_requests(self) -> int:
        """How many requests are being answered."""
        return 0 if self.gateway is None else len(self.gateway.open)

    async def start(self) -> None:
        """Open both ports.

        :raises SettingsError: a certificate, a key or a file of authorities cannot be used.
        :raises OSError: a port cannot be opened; nothing is left open then.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        self._tls = listener_context(settings)
        self._fingerprint = fingerprint_of(settings)
        upstream = Upstream(settings, self.metrics)
        self._open.push_async_callback(upstream.close)
        gateway = self.gateway = self._wire(upstream)
        if self._listeners is None:
            self._admin = web.AppRunner(
                admin_app(self.metrics.expose, ready=lambda: not gateway.draining),
                access_log=None,
                shutdown_timeout=CUT_SECONDS,
            )
            self._open.push_async_callback(self._admin.cleanup)
        self._data = web.ServerRunner(
            ClientServer(gateway.handle, settings, self.metrics), shutdown_timeout=CUT_SECONDS
        )
        self._open.push_async_callback(self._data.cleanup)
        lag = LoopLag(loop, self.metrics.event_loop_lag)
        lag.start()
        self._open.callback(lag.stop)
        if self._admin is None:
            await self._data.setup()
            for sock in self._listeners or ():
                await web.SockSite(self._data, sock, backlog=LISTEN_BACKLOG, ssl_context=self._tls).start()
            return
        try:
            with naming("admin_port"):
                await listen(self._admin, settings.admin_address, settings.admin_port)
            with naming("port"):
                await listen(self._data, settings.host, settings.port, self._tls)
        except OSError:
            await self._open.aclose()
            raise
        self.metrics.workers.set(1)
        announce(
            settings,
            port=self.port,
            admin_port=self.admin_port,
            loop=type(loop).__module__.partition(".")[0],
        )

    def reload(self) -> None:
        """Read the certificate of the data port again, for new connections; one that cannot be used changes nothing."""
        if self._tls is None:
            logs.emit(logging.INFO, "nothing to reload: the data port has no certificate")
            return
        try:
            fingerprint = reload_certificate(self._tls, self._settings)
        except (SettingsError, OSError) as error:
            logs.emit(logging.ERROR, "certificate not reloaded", reason=str(error))
            return
        changed, self._fingerprint = fingerprint != self._fingerprint, fingerprint
        logs.emit(logging.INFO, "certificate reloaded", changed=changed, file_sha256=fingerprint)

    def _wire(self, upstream: Upstream) -> Gateway:
        settings = self._settings
        observing = (
            settings.mode is Mode.OBSERVE
        )  # then upstream's bytes are all that is sent, and it is asked nothing
        handlers = [
            _HANDLERS.get(family.name, FamilyHandler)(family, settings, upstream) for family in self._families
        ]
        return Gateway(
            settings=settings,
            routes=RouteTable(handlers),
            metrics=self.metrics,
            upstream=upstream,
            watch=SilenceWatch(
                keepalive_seconds=0.0 if observing else settings.keepalive_seconds,
                idle_timeout_seconds=settings.idle_timeout_seconds,
                status_poll_seconds=0.0 if observing else settings.status_poll_seconds,
                write_timeout_seconds=settings.client_write_timeout_seconds,
            ),
            forwarding=Forwarding(
                instance=f"vllm-sse-proxy-{secrets.token_hex(4)}",
                authorization=_basic_authorization(settings.upstream),
                preserve_host=settings.preserve_host,
            ),
        )

    async def stop(
        self,
        *,
        delay_seconds: float = 0.0,
        timeout_seconds: float = 0.0,
        stop_now: asyncio.Event | None = None,
    ) -> int:
        """Drain and close; return how many requests had to be cut.

        :param delay_seconds: time for which connections are still accepted.
        :param timeout_seconds: time for which open requests may then still finish.
        :param stop_now: ends both waits when it is set.
        """
        gateway = self.gateway
        if gateway is None or self._data is None:
            return 0
        gateway.draining = True
        stop_now = stop_now or asyncio.Event()
        await wait(stop_now, seconds=delay_seconds)
        await wait(stop_now, asyncio.create_task(self._accept_the_last(self._data)), seconds=timeout_seconds)
        await wait(stop_now, seconds=min(timeout_seconds, _LAST_REQUEST_SECONDS))
        await wait(stop_now, asyncio.create_task(gateway.wait_idle()), seconds=timeout_seconds)
        cut = gateway.stop_all()
        await wait(asyncio.Event(), asyncio.create_task(gateway.wait_idle()), seconds=CUT_SECONDS)
        await self._open.aclose()
        return cut

    async def _accept_the_last(self, runner: web.ServerRunner) -> None:
        """Close the port, and serve the connections that were still queued there."""
        loop = asyncio.get_running_loop()
        made = (
            loop.connect_accepted_socket(runner.server, sock, ssl=self._tls)  # type: ignore[arg-type]
            for sock in await stop_listening(runner.sites)
        )
        await asyncio.gather(*made, return_exceptions=True)


def _basic_authorization(upstream: str) -> str | None:
    url = URL(upstream)
    if url.user is None and url.password is None:
        return None
    return "Basic " + base64.b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()
