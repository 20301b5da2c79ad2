"""The server that the laboratories derive theirs from."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.local_server import LocalServer


class Echo(LocalServer):
    """Sends every line back."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(await reader.readuntil(b"\n"))


async def test_each_connection_is_served_until_it_leaves() -> None:
    async with Echo() as echo:
        assert echo.url == f"http://127.0.0.1:{echo.port}"
        (one, to_one), (other, to_other) = [
            await asyncio.open_connection("127.0.0.1", echo.port) for _ in range(2)
        ]
        for reader, writer in ((one, to_one), (other, to_other)):
            writer.write(b"hello\nhalf a line")
            assert await reader.readuntil(b"\n") == b"hello\n"
        to_one.close()
        to_other.write_eof()
        assert await other.read() == b"", "the half line is nobody's error"
        to_other.close()


async def test_leaving_ends_what_is_open() -> None:
    async with Echo() as echo:
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(b"hello\n")
        await reader.readuntil(b"\n")
        port = echo.port
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
