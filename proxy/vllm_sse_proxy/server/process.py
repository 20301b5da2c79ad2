"""The whole process: one server, or a supervisor and its workers, until a signal ends it.

How it stops on SIGTERM: ``/readyz`` answers 503 at once; connections are accepted for ``drain_delay_seconds`` more, until load
balancers have stopped sending new ones; then the port closes, and open requests may finish within ``drain_timeout_seconds``.
What is left is ended visibly: a stream by its family's failure, another body by closing the connection, a request without an
answer by 503. SIGINT (Ctrl-C) skips the delay. A second signal of either kind stops at once. SIGHUP reads the certificate
again; SIGUSR1 and SIGUSR2 do nothing.

Exit codes: 0, stopped and every request was answered to its end; 1, requests were cut, or a port could not be opened.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from vllm_sse_proxy import logs
from vllm_sse_proxy.server import garbage, heap
from vllm_sse_proxy.server.app import Server
from vllm_sse_proxy.server.lifecycle import StopSignals, begin_drain, end_drain, loop_factory
from vllm_sse_proxy.server.supervisor import supervise, worker_count

if TYPE_CHECKING:
    from vllm_sse_proxy.settings import ServerSettings


def serve(settings: ServerSettings) -> int:
    """Run the proxy until a signal ends it; return the process's exit code (see the head of this module).

    :raises SettingsError: a certificate, a key or a file of authorities cannot be used.
    """
    logs.configure(settings.log_level, settings.log_format)
    raise_descriptor_limit()
    try:
        if worker_count(settings) > 1:
            return supervise(settings)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_run(settings))
    except OSError as error:
        logs.emit(logging.ERROR, "cannot listen", reason=error.strerror or str(error))
        return 1


async def _run(settings: ServerSettings) -> int:
    """Start one server, serve until a signal comes, drain; return the exit code."""
    server = Server(settings)
    signals = StopSignals(server.reload)
    heap.keep_freed_memory()
    garbage.collect_less_often()
    await server.start()
    server.look_at_upstream()
    delay = begin_drain(settings, await signals.first, open_requests=server.open_requests)
    return end_drain(
        await server.stop(
            delay_seconds=delay, timeout_seconds=settings.drain_timeout_seconds, stop_now=signals.stop_now
        )
    )


def raise_descriptor_limit() -> None:
    """Let this process open as many files as it is allowed to: each stream needs two, and shells often start with 1024."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
