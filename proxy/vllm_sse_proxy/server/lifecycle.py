"""How a process of the proxy starts and stops: its event loop, its first log line, the signals that end it.

Shared by the single process, the supervisor and the workers.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Final

from aiohttp import http_parser

from vllm_sse_proxy import __version__, logs
from vllm_sse_proxy.server.sockets import bracketed
from vllm_sse_proxy.stream import CORE

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm_sse_proxy.settings import ServerSettings

CUT_SECONDS: Final = 2.0
"""How long requests that are cut at the end have to write their last bytes."""


class StopSignals:
    """SIGTERM and SIGINT, received from now on. SIGHUP reloads; the user's signals, which would kill, do nothing.

    :param reload: is called for SIGHUP.
    :ivar first: the first one.
    :ivar stop_now: set by every other.
    """

    def __init__(self, reload: Callable[[], None]) -> None:
        survive_signals(reload)
        self.first: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
        self.stop_now = asyncio.Event()
        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
            on_signal(name, self._receive)

    def _receive(self, number: signal.Signals) -> None:
        if self.first.done():
            self.stop_now.set()
        else:
            self.first.set_result(number)


def survive_signals(reload: Callable[[], None]) -> None:
    """Have SIGHUP call something, and SIGUSR1 and SIGUSR2 do nothing: without a handler they kill the process at once."""
    on_signal("SIGHUP", lambda _: reload())
    for name in ("SIGUSR1", "SIGUSR2"):
        on_signal(name, _ignore)


def on_signal(name: str, receive: Callable[[signal.Signals], None]) -> None:
    """Have a signal call something within the running loop; nothing if this system does not have that signal.

    :param name: as in :mod:`signal`. SIGBREAK is Windows' only; the user's signals and SIGHUP it does not have.
    """
    number = getattr(signal, name, None)
    if number is None:
        return
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, receive, number)
    except NotImplementedError:  # on Windows: there a handler of Python's own wakes the loop
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(receive, number))


def _ignore(number: signal.Signals) -> None:
    logs.emit(logging.INFO, "signal ignored", signal=number.name)


async def wait(stop_now: asyncio.Event, until: asyncio.Task[None] | None = None, *, seconds: float) -> None:
    """Wait until the task is done, ``stop_now`` is set or the time has passed, whichever comes first."""
    tasks = {asyncio.create_task(stop_now.wait())} | ({until} if until is not None else set())
    _, pending = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


def begin_drain(settings: ServerSettings, number: signal.Signals, *, open_requests: int) -> float:
    """Log that a signal has stopped the proxy; return for how long connections are still accepted, in seconds."""
    delay = settings.drain_delay_seconds if number is signal.SIGTERM else 0.0  # nobody waits for Ctrl-C
    logs.emit(
        logging.INFO,
        "draining",
        signal=number.name,
        delay_seconds=delay,
        open_requests=open_requests,
    )
    return delay


def end_drain(cut: int) -> int:
    """Log that the proxy has stopped; return the exit code.

    :param cut: how many requests had to be cut.
    """
    logs.emit(logging.WARNING if cut else logging.INFO, "stopped", requests_cut=cut)
    return 1 if cut else 0


def announce(
    settings: ServerSettings, *, port: int, admin_port: int, loop: str, workers: int | None = None
) -> None:
    """Log what was started."""
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
    if settings.has_version_in_upstream:
        logs.emit(
            logging.WARNING,
            "the /v1 at the end of the upstream URL is left out: the paths of requests bring it",
            upstream=str(settings.upstream_base.with_user(None)).rstrip("/"),
        )
    if not has_fast_parser():
        logs.emit(
            logging.WARNING,
            "aiohttp has no compiled HTTP parser here: bursts cost about four times as much; install it from a wheel",
        )


def has_fast_parser() -> bool:
    """Return whether aiohttp parses HTTP in C. It does if it was installed from a wheel, and falls back silently if not."""
    return http_parser.HttpResponseParser is not http_parser.HttpResponseParserPy


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Prefer uvloop where it is installed: it writes sooner, which removes most of the latency (docs/benchmarks.md)."""
    try:
        import uvloop  # noqa: PLC0415 - optional: not on Windows, not on PyPy
    except ImportError:
        return None
    return uvloop.new_event_loop
