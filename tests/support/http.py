"""A client that sees every byte of an answer, and a look at the proxy's counters."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.upstream import PATIENCE_SECONDS

if TYPE_CHECKING:
    from vllm_sse_proxy.server.app import Server


@dataclass
class Answer:
    """An HTTP answer as it stood on the wire."""

    status_line: bytes
    headers: list[tuple[str, str]]
    body: bytes
    complete: bool
    """Whether the body came to its end as its framing says; False: it was cut."""

    @property
    def status(self) -> int:
        return int(self.status_line.split(b" ")[1])

    def value(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class RawClient:
    """One connection to the proxy, in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.chunked = False

    @classmethod
    async def connect(cls, port: int, *, limit: int = 2**16) -> RawClient:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=limit))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def get(self, target: str, *headers: str) -> None:
        await self.send(
            "\r\n".join([f"GET {target} HTTP/1.1", "Host: proxy.test", *headers, "", ""]).encode()
        )

    async def post(self, target: str, body: bytes, *headers: str) -> None:
        head = [
            f"POST {target} HTTP/1.1",
            "Host: proxy.test",
            f"Content-Length: {len(body)}",
            *headers,
            "",
            "",
        ]
        await self.send("\r\n".join(head).encode() + body)

    async def head(self) -> Answer:
        """Read status line and headers."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        lines = raw.rstrip(b"\r\n").split(b"\r\n")
        pairs = (line.partition(b":") for line in lines[1:])
        headers = [(name.decode(), value.strip().decode()) for name, _, value in pairs]
        answer = Answer(lines[0], headers, b"", complete=False)
        self.chunked = answer.value("Transfer-Encoding") == "chunked"
        return answer

    async def chunk(self) -> bytes:
        """Read one chunk; ``b""`` is the last one."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        return data

    async def until(self, wanted: bytes) -> bytes:
        """Read chunks until these bytes have come; return all that came."""
        got = b""
        while wanted not in got:
            piece = await self.chunk()
            assert piece, got
            got += piece
        return got

    async def rest(self) -> bytes:
        """Read the chunks that are left."""
        got = []
        while piece := await self.chunk():
            got.append(piece)
        return b"".join(got)

    async def answer(self, *, method: str = "GET") -> Answer:
        """Read a whole answer."""
        answer = await self.head()
        try:
            if method == "HEAD" or answer.status in {204, 304}:
                answer.complete = True
            elif self.chunked:
                while piece := await self.chunk():
                    answer.body += piece
                answer.complete = True
            elif (length := answer.value("Content-Length")) is not None:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    answer.body = await self.reader.readexactly(int(length))
                answer.complete = True
            else:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    answer.body = await self.reader.read()
                answer.complete = True
        except asyncio.IncompleteReadError as error:
            answer.body += error.partial if not self.chunked else b""
        return answer

    async def closed(self) -> bool:
        """Wait for the proxy to close the connection; False if it sends something instead."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.read(1) == b""

    def leave(self) -> None:
        self.writer.close()


async def until_open(server: Server, count: int) -> None:
    """Wait until so many requests are being answered."""
    assert server.gateway is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(server.gateway.open) != count:  # noqa: ASYNC110 - gives other tasks their turn, waits for no time
            await asyncio.sleep(0)


async def until_idle(server: Server) -> None:
    """Wait until every request is over, so that it has been counted."""
    assert server.gateway is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server.gateway.wait_idle()


async def happens(event: asyncio.Event) -> None:
    """Wait until an event is set; fail if that takes too long."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await event.wait()


def metric(server: Server, name: str, **labels: str) -> float:
    """Read a sample from the proxy's registry; the sum of those that have these labels, and others."""
    values = [
        sample.value
        for each in server.metrics.registry.collect()
        for sample in each.samples
        if sample.name == f"sse_proxy_{name}" and labels.items() <= sample.labels.items()
    ]
    assert values, f"no series {name}{labels}"
    return sum(values)
