"""One of several worker processes: a :class:`~vllm_sse_proxy.server.app.Server` on inherited sockets, under orders.

Started by :mod:`vllm_sse_proxy.server.supervisor` as ``python -m vllm_sse_proxy.server.worker CONTROL LISTENER...``, all of
them numbers of open file descriptors. SIGTERM makes it leave by itself: the supervisor starts another at once, while this one
finishes what is open.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy import logs
from vllm_sse_proxy.server import garbage, heap
from vllm_sse_proxy.server.app import Server
from vllm_sse_proxy.server.lifecycle import loop_factory, on_signal, survive_signals
from vllm_sse_proxy.settings import ServerSettings, from_json

if TYPE_CHECKING:
    from collections.abc import Sequence

REPORT_SECONDS: Final = 0.25
"""How old the supervisor's counts may be, and so how much of them is lost with a worker that is killed."""


class WorkerProcess:
    """The worker's side of the channel.

    :param control: connected to the supervisor.
    :param listeners: accept this worker's connections.
    """

    def __init__(self, control: socket.socket, listeners: Sequence[socket.socket]) -> None:
        self._control = control
        self._listeners = listeners
        self._stop_now = asyncio.Event()
        self._drain: asyncio.Future[tuple[float, float]] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Serve until ordered to stop, or until the supervisor is gone; return the exit code."""
        reader, writer = await asyncio.open_connection(sock=self._control)
        self._writer = writer
        line = await reader.readline()
        if not line:
            return 1  # the supervisor went before it had sent anything
        first = orjson.loads(line)
        settings = self._settings = from_json(ServerSettings, first["settings"])
        logs.configure(settings.log_level, settings.log_format, context={"worker": first["worker"]})
        for name in ("SIGTERM", "SIGINT"):
            on_signal(name, lambda _: self._leave())
        server = Server(settings, listeners=self._listeners)
        survive_signals(server.reload)
        heap.keep_freed_memory()
        garbage.collect_less_often()
        await server.start()
        self._send({"is": "ready"})
        if first["worker"] == 1:  # what one of them finds is true of all
            server.look_at_upstream()
        following = asyncio.create_task(self._follow(reader))
        reporting = asyncio.create_task(self._report(server))
        delay, timeout = await self._drain
        cut = await server.stop(delay_seconds=delay, timeout_seconds=timeout, stop_now=self._stop_now)
        for task in (following, reporting):
            task.cancel()
        await asyncio.gather(following, reporting, return_exceptions=True)
        self._send({"report": server.metrics.report(), "cut": cut})
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()
        return 1 if cut else 0

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(ConnectionError, RuntimeError):
            self._writer.write(orjson.dumps(message) + b"\n")

    def _leave(self) -> None:
        """Stop without an order: let the supervisor know, so that it starts another worker at once."""
        self._send({"is": "leaving"})
        if self._drain.done():
            self._stop_now.set()
        else:
            self._drain.set_result((0.0, self._settings.drain_timeout_seconds))

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        """Follow the supervisor's orders."""
        with suppress(ConnectionError):
            while line := await reader.readline():
                message = orjson.loads(line)
                if message["do"] == "stop":
                    self._stop_now.set()
                delay, timeout = message.get("delay", 0.0), message.get("timeout", 0.0)
                if not self._drain.done():
                    self._drain.set_result((delay, timeout))
        self._leave()  # the supervisor is gone

    async def _report(self, server: Server) -> None:
        """Report what was counted, a few times a second while anything happens."""
        reported = -1
        while True:
            gateway = server.gateway
            if gateway is not None and (gateway.open or gateway.answered != reported):
                reported = gateway.answered
                self._send({"report": server.metrics.report()})
                with suppress(ConnectionError):
                    await self._writer.drain()
            await asyncio.sleep(REPORT_SECONDS)


def main(arguments: Sequence[str]) -> int:
    """Run the worker; the arguments are the descriptors."""
    control, *listeners = (socket.socket(fileno=int(number)) for number in arguments)

    async def run() -> int:
        return await WorkerProcess(control, listeners).run()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
