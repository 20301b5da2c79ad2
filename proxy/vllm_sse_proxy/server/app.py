"""A running proxy: its two ports, everything that is wired together behind them, and an orderly end.

:class:`Server` runs within a running event loop and can be embedded.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import web

from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.metrics import Metrics
from vllm_sse_proxy.server.addresses import TrustedProxies
from vllm_sse_proxy.server.clients import ClientServer
from vllm_sse_proxy.server.credentials import Credentials
from vllm_sse_proxy.server.first_look import look_at
from vllm_sse_proxy.server.gateway import Gateway
from vllm_sse_proxy.server.handlers import handlers_of
from vllm_sse_proxy.server.headers import Forwarding
from vllm_sse_proxy.server.health import admin_app
from vllm_sse_proxy.server.lag import LoopLag
from vllm_sse_proxy.server.lifecycle import CUT_SECONDS, announce, wait
from vllm_sse_proxy.server.recording import Recorder
from vllm_sse_proxy.server.reloading import Reloader, check
from vllm_sse_proxy.server.routes import RouteTable
from vllm_sse_proxy.server.silence import SilenceWatch
from vllm_sse_proxy.server.sockets import LISTEN_BACKLOG, listen, naming, port_of, stop_listening
from vllm_sse_proxy.server.spans import StreamSpans
from vllm_sse_proxy.server.tls import listener_context
from vllm_sse_proxy.server.upstream import Upstream
from vllm_sse_proxy.settings import Mode

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Sequence

    from vllm_sse_proxy.settings import ServerSettings
    from vllm_sse_proxy.stream.family import Family

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
        self._reloader: Reloader | None = None
        self._open = AsyncExitStack()  # what has to be closed, the last first
        self._looking: asyncio.Task[None] | None = None

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

        :raises SettingsError: a file that the settings name cannot be used.
        :raises OSError: a port cannot be opened; nothing is left open then.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        self._tls = listener_context(settings)
        check(settings)
        recorder = None
        if settings.record is not None:
            recorder = Recorder(settings, self.metrics)
            recorder.start()
            self._open.push_async_callback(recorder.close)
        spans = StreamSpans.of(settings)
        if spans is not None:
            self._open.push_async_callback(asyncio.to_thread, spans.close)
        upstream = Upstream(settings, self.metrics)
        self._open.push_async_callback(upstream.close)
        gateway = self.gateway = self._wire(upstream, recorder)
        gateway.spans = spans
        self._reloader = Reloader(settings, self._tls, self._use)
        self._reloader.watch()
        self._open.callback(self._reloader.stop)
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
            with naming("admin_port", settings.admin_host_setting, settings.admin_address):
                await listen(self._admin, settings.admin_address, settings.admin_port)
            with naming("port", "host", settings.host):
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

    def look_at_upstream(self) -> None:
        """Begin to ask upstream who it is, for the log; does nothing if the settings say so, or before the start."""
        gateway = self.gateway
        if gateway is None or not self._settings.look_at_upstream:
            return
        self._looking = asyncio.create_task(
            look_at(gateway.upstream, gateway.forwarding.credentials, self._settings.shown_upstream)
        )
        self._open.push_async_callback(self._stop_looking, self._looking)

    async def _stop_looking(self, looking: asyncio.Task[None]) -> None:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    def reload(self) -> None:
        """Read the certificate of the data port and the key for upstream again, for what comes from now on."""
        if self._reloader is not None:
            self._reloader.reload()

    def _use(self, credentials: Credentials) -> None:
        """Send these credentials with the requests that come from now on."""
        if self.gateway is not None:
            self.gateway.forwarding = replace(self.gateway.forwarding, credentials=credentials)

    def _wire(self, upstream: Upstream, recorder: Recorder | None) -> Gateway:
        settings = self._settings
        observing = (
            settings.mode is Mode.OBSERVE
        )  # then upstream's bytes are all that is sent, and it is asked nothing
        return Gateway(
            settings=settings,
            routes=RouteTable(handlers_of(self._families, settings, upstream)),
            metrics=self.metrics,
            upstream=upstream,
            recorder=recorder,
            watch=SilenceWatch(
                keepalive_seconds=0.0 if observing else settings.keepalive_seconds,
                idle_timeout_seconds=settings.idle_timeout_seconds,
                status_poll_seconds=0.0 if observing else settings.status_poll_seconds,
                write_timeout_seconds=settings.client_write_timeout_seconds,
            ),
            forwarding=Forwarding(
                instance=f"vllm-sse-proxy-{secrets.token_hex(4)}",
                credentials=Credentials(),  # the reloader reads them
                preserve_host=settings.preserve_host,
            ),
            trusted=TrustedProxies(settings.trusted_proxies) if settings.trusted_proxies else None,
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
