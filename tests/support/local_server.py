"""The life of a server on loopback: what tests and laboratories put beside the proxy derives from it.

class Echo(LocalServer):
    async def serve(self, reader, writer):
        writer.write(await reader.readuntil(b"\\n"))

async with Echo() as echo:
    ...                     # connect to echo.port
"""

from __future__ import annotations

import asyncio
import socket
from typing import Self

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now, for a program that wants to be given one."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


class LocalServer:
    """A server on a free port of 127.0.0.1 with a task for each connection; a context manager.

    A subclass implements :meth:`serve`; the connection is closed when that returns or raises. A peer that leaves in the middle
    is not an error; asyncio reports any other exception. On exit the server stops listening and cancels the remaining tasks.

    :param limit: the most bytes that a read up to a separator may take.
    :param backlog: how many connections may wait to be accepted.
    :param sock: a socket to listen on instead, as one of another network namespace.
    """

    def __init__(self, *, limit: int = 2**16, backlog: int = 100, sock: socket.socket | None = None) -> None:
        self._limit = limit
        self._backlog = backlog
        self._sock = sock
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> asyncio.Server:
        """Start to listen; overridden where a server wants a protocol instead of streams."""
        if self._sock is not None:
            return await asyncio.start_server(self._connected, sock=self._sock, limit=self._limit)
        return await asyncio.start_server(
            self._connected, LOOPBACK, 0, limit=self._limit, backlog=self._backlog
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        raise NotImplementedError

    def refuse(self) -> None:
        """Stop listening; the connections stay."""
        assert self._server is not None
        self._server.close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Its address, as the proxy is given its upstream."""
        return f"http://{LOOPBACK}:{self.port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)
