"""A proxy on free ports, the fake upstream behind it, and clients that see every byte."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import pytest

from tests.support.http import RawClient
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from vllm_sse_proxy.config import checked
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.server.app import Server
from vllm_sse_proxy.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from vllm_sse_proxy.stream.family import Family


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as fake:
        yield fake


class Start(Protocol):
    """Starts a proxy in front of the fake upstream; settings by name."""

    async def __call__(self, families: Sequence[Family] = ..., /, **settings: Any) -> Server: ...


@pytest.fixture
async def start(upstream: FakeUpstream) -> AsyncIterator[Start]:
    servers: list[Server] = []

    async def start_one(families: Sequence[Family] = FAMILIES, /, **settings: Any) -> Server:
        given = {"upstream": upstream.url, "port": 0, "admin_port": 0, **settings}
        server = Server(checked(ServerSettings, given), families=families)
        await server.start()
        servers.append(server)
        return server

    yield start_one
    for server in servers:
        await server.stop()


@pytest.fixture
async def proxy(start: Start) -> Server:
    return await start()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as session:
        yield session


class Connect(Protocol):
    """Opens a raw connection to a proxy."""

    async def __call__(self, server: Server, *, limit: int = 2**16) -> RawClient: ...


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    clients: list[RawClient] = []

    async def open_one(server: Server, *, limit: int = 2**16) -> RawClient:
        client = await RawClient.connect(server.port, limit=limit)
        clients.append(client)
        return client

    yield open_one
    for client in clients:
        client.leave()
        with contextlib.suppress(ConnectionError):
            await client.writer.wait_closed()
