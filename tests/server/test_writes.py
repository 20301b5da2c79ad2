"""How often the client's socket is written to: each write is a system call, a packet and a wake-up at the other end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from aiohttp import http_parser
from aiohttp.http import StreamWriter
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from vllm_sse_proxy import logs
from vllm_sse_proxy.server.answers import RelayedResponse

if TYPE_CHECKING:
    from tests.server.conftest import Start


class Wire:
    """A transport that keeps each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.transport = mock.Mock()
        self.transport.is_closing.return_value = False
        self.transport.write = self.writes.append
        self.transport.writelines = lambda pieces: self.writes.append(b"".join(pieces))
        protocol = mock.Mock(transport=self.transport)
        protocol._drain_helper = mock.AsyncMock()
        self.writer = StreamWriter(protocol, asyncio.get_running_loop())

    async def prepare(self, *, body_follows: bool) -> RelayedResponse:
        response = RelayedResponse(
            status=200, reason="OK", headers=CIMultiDict({"X-A": "1"}), body_follows=body_follows
        )
        await response.prepare(make_mocked_request("GET", "/", writer=self.writer))
        return response


async def test_head_goes_out_with_the_first_bytes_of_the_body() -> None:
    wire = Wire()
    response = await wire.prepare(body_follows=True)
    assert wire.writes == []
    await response.write(b"data: 1\n\n")
    assert len(wire.writes) == 1
    assert wire.writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"data: 1\n\n" in wire.writes[0]


async def test_head_body_and_end_are_one_write_when_all_is_here() -> None:
    wire = Wire()
    response = await wire.prepare(body_follows=True)
    await response.write_eof(b"data: 1\n\n")
    assert len(wire.writes) == 1
    assert wire.writes[0].endswith(b"data: 1\n\n\r\n0\r\n\r\n")


async def test_head_goes_ahead_of_a_body_that_is_not_here_yet() -> None:
    wire = Wire()
    await wire.prepare(body_follows=False)
    assert len(wire.writes) == 1
    assert wire.writes[0].endswith(b"\r\n\r\n")


@pytest.mark.parametrize("compiled", [True, False])
async def test_a_missing_parser_in_c_is_logged_at_the_start(
    *, compiled: bool, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = object() if compiled else http_parser.HttpResponseParserPy
    monkeypatch.setattr(http_parser, "HttpResponseParser", parser)
    logged: list[str] = []
    monkeypatch.setattr(logs, "emit", lambda _level, message, **_fields: logged.append(message))
    await start()
    assert any("no compiled HTTP parser" in message for message in logged) is not compiled
