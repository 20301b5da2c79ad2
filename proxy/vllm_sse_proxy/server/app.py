"""The server: two ports, signals, and an orderly end.

``Server`` runs within a running event loop and can be embedded; ``serve`` is the whole process.

How it stops, on SIGTERM: ``/readyz`` says 503 at once; connections are accepted for ``drain_delay_seconds`` more, until
load balancers have looked away; then the port is closed and open requests may finish within ``drain_timeout_seconds``. What
is left is ended visibly: a stream by ``response.failed``, another body by a closed connection, a request without an answer
by 503. SIGINT (Ctrl-C) skips the delay. A second signal of either kind stops at once.

Exit codes: 0, stopped and every request was answered to its end; 1, requests were cut, or a port could not be opened.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import secrets
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import http_parser, web
from yarl import URL

from vllm_sse_proxy import __version__, logs
from vllm_sse_proxy.config import Mode
from vllm_sse_proxy.metrics import Metrics
from vllm_sse_proxy.server import garbage, heap
from vllm_sse_proxy.server.clients import ClientServer
from vllm_sse_proxy.server.handlers import Gateway
from vllm_sse_proxy.server.headers import Forwarding
from vllm_sse_proxy.server.health import admin_app
from vllm_sse_proxy.server.lag import LoopLag
from vllm_sse_proxy.server.silence import SilenceWatch
from vllm_sse_proxy.server.tls import listener_context
from vllm_sse_proxy.server.upstream import Upstream
from vllm_sse_proxy.stream import CORE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from vllm_sse_proxy.config import Settings

CUT_SECONDS: Final = 2.0
"""How long streams that are cut at the end have to write their last event."""

LISTEN_BACKLOG: Final = 1024

LAST_REQUEST_SECONDS: Final = 0.1
"""How long a connection that was made just before the port closed has to send its request."""


class Server:
    """A proxy on two ports of the running event loop.

    :param settings: port 0 takes a free one; see ``port`` and ``admin_port`` once started.
    :param listeners: sockets to accept connections from instead of opening a port: then this is one of several workers, and
        the admin port is its supervisor's.
    :ivar metrics: what it counts.
    :ivar gateway: what answers requests; None before the start.
    """

    def __init__(self, settings: Settings, *, listeners: Sequence[socket.socket] | None = None) -> None:
        self._settings = settings
        self._listeners = listeners
        self.metrics = Metrics()
        self._upstream: Upstream | None = None
        self.gateway: Gateway | None = None
        self._data: web.ServerRunner | None = None
        self._admin: web.AppRunner | None = None
        self._lag: LoopLag | None = None
        self._tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        """The data port, once started."""
        return port_of(self._data)

    @property
    def admin_port(self) -> int:
        """The admin port, once started."""
        return port_of(self._admin)

    async def start(self) -> None:
        """Open both ports.

        :raises SettingsError: a certificate, key or file of authorities cannot be used.
        :raises OSError: a port cannot be opened; nothing is left open then.
        """
        settings = self._settings
        self._tls = listener_context(settings)
        upstream = self._upstream = Upstream(settings, self.metrics)
        gateway = self.gateway = Gateway(
            settings,
            plan=settings.plan(),
            metrics=self.metrics,
            upstream=upstream,
            watch=SilenceWatch(
                keepalive_seconds=settings.keepalive_seconds,
                idle_timeout_seconds=settings.idle_timeout_seconds,
                status_poll_seconds=0.0 if settings.mode is Mode.OBSERVE else settings.status_poll_seconds,
                write_timeout_seconds=settings.client_write_timeout_seconds,
            ),
            forwarding=Forwarding(
                instance=f"vllm-sse-proxy-{secrets.token_hex(4)}",
                authorization=_basic_authorization(settings.upstream),
                preserve_host=settings.preserve_host,
            ),
        )
        self._data = web.ServerRunner(
            ClientServer(gateway.handle, settings, self.metrics), shutdown_timeout=CUT_SECONDS
        )
        self._lag = LoopLag(asyncio.get_running_loop(), self.metrics.event_loop_lag)
        self._lag.start()
        if self._listeners is not None:
            await self._data.setup()
            for sock in self._listeners:
                await web.SockSite(self._data, sock, backlog=LISTEN_BACKLOG, ssl_context=self._tls).start()
            return
        self._admin = web.AppRunner(
            admin_app(self.metrics.expose, ready=lambda: not gateway.draining),
            access_log=None,
            shutdown_timeout=CUT_SECONDS,
        )
        try:
            await listen(self._admin, settings.admin_address, settings.admin_port)
            await listen(self._data, settings.host, settings.port, self._tls)
        except OSError:
            await self._close()
            raise
        self.metrics.workers.set(1)
        announce(
            settings,
            port=self.port,
            admin_port=self.admin_port,
            loop=type(asyncio.get_running_loop()).__module__.partition(".")[0],
        )

    async def stop(
        self, *, delay_seconds: float = 0.0, timeout_seconds: float = 0.0, hurry: asyncio.Event | None = None
    ) -> int:
        """Drain and close; return how many requests had to be cut.

        :param delay_seconds: time for which connections are still accepted.
        :param timeout_seconds: time for which open requests may then still finish.
        :param hurry: ends both waits when it is set.
        """
        gateway = self.gateway
        if gateway is None or self._data is None:
            return 0
        gateway.draining = True
        hurry = hurry or asyncio.Event()
        await wait(hurry, seconds=delay_seconds)
        await wait(hurry, asyncio.create_task(self._accept_the_last(self._data)), seconds=timeout_seconds)
        await wait(hurry, seconds=min(timeout_seconds, LAST_REQUEST_SECONDS))
        await wait(hurry, asyncio.create_task(gateway.wait_idle()), seconds=timeout_seconds)
        cut = gateway.stop_all()
        await wait(asyncio.Event(), asyncio.create_task(gateway.wait_idle()), seconds=CUT_SECONDS)
        await self._close()
        return cut

    async def run(self) -> int:
        """Start, serve until a signal comes, drain; return the exit code."""
        received = signals()
        heap.keep_some()
        garbage.settle()
        await self.start()
        number = await received.first()
        delay = self._settings.drain_delay_seconds if number is signal.SIGTERM else 0.0
        open_requests = len(self.gateway.open) if self.gateway is not None else 0
        logs.emit(
            logging.INFO,
            "draining",
            signal=number.name,
            delay_seconds=delay,
            open_requests=open_requests,
        )
        cut = await self.stop(
            delay_seconds=delay, timeout_seconds=self._settings.drain_timeout_seconds, hurry=received.second
        )
        logs.emit(logging.WARNING if cut else logging.INFO, "stopped", requests_cut=cut)
        return 1 if cut else 0

    async def _accept_the_last(self, runner: web.ServerRunner) -> None:
        """Close the port, and accept the connections that nobody has accepted yet.

        The kernel makes connections by itself and lets them wait. It resets those that still wait when their port closes,
        and a load balancer does not try a POST again that was already sent.
        """
        loop = asyncio.get_running_loop()
        queues = [queue for site in runner.sites for queue in _duplicates(site)]
        for site in list(runner.sites):
            await site.stop()
        last = []
        for queue in queues:
            with queue, suppress(BlockingIOError):
                while True:
                    last.append(queue.accept()[0])
        for sock in last:
            sock.setblocking(False)
        made = (
            loop.connect_accepted_socket(runner.server, sock, ssl=self._tls)  # type: ignore[arg-type]
            for sock in last
        )
        await asyncio.gather(*made, return_exceptions=True)

    async def _close(self) -> None:
        if self._lag is not None:
            self._lag.stop()
        for runner in (self._data, self._admin):
            if runner is not None:
                await runner.cleanup()
        if self._upstream is not None:
            await self._upstream.close()


class Received:
    """The signals that ask the process to stop.

    :ivar second: set by every one but the first.
    """

    def __init__(self) -> None:
        self._first: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
        self.second = asyncio.Event()

    async def first(self) -> signal.Signals:
        """Wait for the first one."""
        return await self._first

    def take(self, number: signal.Signals) -> None:
        """Take note of one."""
        if self._first.done():
            self.second.set()
        else:
            self._first.set_result(number)


def signals() -> Received:
    """Begin to receive SIGTERM and SIGINT."""
    received = Received()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received.take, number)
    return received


def announce(
    settings: Settings, *, port: int, admin_port: int, loop: str, workers: int | None = None
) -> None:
    """Write the line that says what was started."""
    logs.emit(
        logging.INFO,
        "listening",
        address=f"{bracketed(settings.host)}:{port}",
        admin_address=f"{bracketed(settings.admin_address)}:{admin_port}",
        tls=settings.tls_cert_file is not None,
        upstream=settings.shown_upstream,
        version=__version__,
        mode=settings.mode.value,
        dialect=settings.dialect.value,
        reasoning=settings.reasoning.value,
        disabled_repairs=list(settings.disable_repairs),
        event_loop=loop,
        core=CORE,
        workers=workers,
    )
    if not has_fast_parser():
        logs.emit(
            logging.WARNING,
            "aiohttp has no compiled HTTP parser here: bursts cost about four times as much; install it from a wheel",
        )


def serve(settings: Settings) -> int:
    """Run the proxy until a signal ends it; return the process's exit code (see the head of this module).

    :raises SettingsError: a certificate, key or file of authorities cannot be used.
    """
    from vllm_sse_proxy.server.supervisor import supervise, worker_count  # noqa: PLC0415 - it builds on this module

    logs.configure(settings.log_level, settings.log_format)
    raise_descriptor_limit()
    try:
        if worker_count(settings) > 1:
            return supervise(settings)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(Server(settings).run())
    except OSError as error:
        logs.emit(logging.ERROR, "cannot listen", reason=error.strerror or str(error))
        return 1


def raise_descriptor_limit() -> None:
    """Allow this process as many open files as it may have: each stream needs two, and shells give 1024 at first."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def has_fast_parser() -> bool:
    """Say whether aiohttp parses HTTP in C. It does wherever a wheel was installed, and falls back silently elsewhere."""
    return http_parser.HttpResponseParser is not http_parser.HttpResponseParserPy


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Prefer uvloop where it is installed: it writes sooner, which takes most of the latency away (performance.md)."""
    try:
        import uvloop  # noqa: PLC0415 - optional: not on Windows, not on PyPy
    except ImportError:
        return None
    return uvloop.new_event_loop


async def listen(runner: web.BaseRunner, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
    """Set a runner up and open its port."""
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=LISTEN_BACKLOG, ssl_context=tls).start()


async def wait(hurry: asyncio.Event, until: asyncio.Task[None] | None = None, *, seconds: float) -> None:
    """Wait for the task, for ``hurry``, or for the time to pass, whichever comes first."""
    tasks = {asyncio.create_task(hurry.wait())} | ({until} if until is not None else set())
    _, pending = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


def _duplicates(site: web.BaseSite) -> list[socket.socket]:
    """Return further descriptors of the sockets that a site listens on: the port stays open until these are closed too."""
    server = site._server  # noqa: SLF001 - aiohttp has no other way to them
    return [socket.socket(fileno=os.dup(sock.fileno())) for sock in getattr(server, "sockets", ())]


def _basic_authorization(upstream: str) -> str | None:
    url = URL(upstream)
    if url.user is None and url.password is None:
        return None
    return "Basic " + base64.b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()


def bracketed(host: str) -> str:
    """Return a host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def port_of(runner: web.BaseRunner | None) -> int:
    """Return the port a runner listens on; 0: none."""
    return int(runner.addresses[0][1]) if runner is not None and runner.addresses else 0
