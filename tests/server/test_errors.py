"""What the client is answered for each way in which upstream can fail to answer."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import orjson
import pytest
from aiohttp.client_exceptions import UnixClientConnectorError
from aiohttp.client_reqrep import ConnectionKey
from aioresponses import aioresponses

from tests.support.http import metric, until_open
from tests.support.whole_stream import BODY
from vllm_sse_proxy.metrics import UPSTREAM_FAILURES
from vllm_sse_proxy.server import errors
from vllm_sse_proxy.server.errors import Problem

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream
    from vllm_sse_proxy.server.app import Server

ROOT = Path(__file__).parents[2]
KEY = ConnectionKey(
    "vllm.test", 80, is_ssl=False, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)


@pytest.mark.parametrize(
    ("error", "status", "code", "cause"),
    [
        (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), 502, "upstream_connect", "connect"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), 502, "upstream_connect", "connect"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "bad")), 502, "upstream_connect", "connect"),
        (aiohttp.ConnectionTimeoutError("slow"), 504, "upstream_connect_timeout", "connect"),
        (aiohttp.ServerDisconnectedError(), 502, "upstream_disconnect", "disconnect"),
        (aiohttp.ClientOSError(104, "reset"), 502, "upstream_reset", "reset"),
        (ConnectionResetError(104, "reset"), 502, "upstream_reset", "reset"),
        (aiohttp.ClientPayloadError("bad"), 502, "upstream_protocol", "protocol"),
    ],
)
async def test_mapping(
    start: Start, connect: Connect, error: Exception, status: int, code: str, cause: str
) -> None:
    proxy = await start(upstream="http://vllm.test")
    client = await connect(proxy)
    with aioresponses() as session:
        session.post("http://vllm.test/v1/responses", exception=error)
        await client.post("/v1/responses", BODY)
        got = await client.answer()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (status, code)
    shown = orjson.loads(got.body)["error"]
    assert (shown["type"], shown["param"], shown["code"]) == ("server_error", None, code)
    assert "vllm.test" not in shown["message"]
    assert metric(proxy, "upstream_failures_total", **{"class": cause}) == 1


PROBLEMS = {name: problem for name, problem in vars(errors).items() if isinstance(problem, Problem)}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_is_documented(name: str) -> None:
    problem = PROBLEMS[name]
    table = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("\n## Errors of the proxy")[2]
    rows = [line.split("|") for line in table.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    assert any(str(problem.status) in row[1] and f"`{problem.code}`" in row[2] for row in rows)


def test_every_problem_is_counted_where_it_can_be() -> None:
    assert len(PROBLEMS) > 20
    for problem in PROBLEMS.values():
        assert problem.failure in {None, *UPSTREAM_FAILURES}
        assert problem.close or problem.status >= 500


@pytest.mark.parametrize("path", ["/v1/responses", "/x"])
async def test_a_body_that_is_no_http(proxy: Server, connect: Connect, path: str) -> None:
    client = await connect(proxy)
    await client.send(
        f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n".encode()
    )
    await until_open(proxy, 1)
    await client.send(b"nonsense\r\n")
    got = await client.answer()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (400, "invalid_body")
    assert b"nonsense" not in got.body
    assert await client.closed()


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid_http"),
        (b"hello\r\n\r\n", 400, "invalid_http"),
        (b"\x16\x03\x01\x02\x00\x01", 400, "invalid_http"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer secret\r\n\r\n", 400, "invalid_http"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431, "header_too_large"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431, "header_too_large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431, "header_too_large"),
    ],
)
async def test_what_is_no_http_is_answered_without_repeating_it(
    upstream: FakeUpstream,
    proxy: Server,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    request_bytes: bytes,
    status: int,
    code: str,
) -> None:
    client = await connect(proxy)
    with caplog.at_level("DEBUG"):
        await client.send(request_bytes)
        got = await client.answer()
        assert await client.closed()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (status, code)
    shown = orjson.loads(got.body)["error"]
    assert (shown["type"], shown["code"]) == ("invalid_request_error", code)
    assert "secret" not in caplog.text
    assert b"xxx" not in got.body
    assert metric(proxy, "requests_total", route="other", code="4xx") == 1
    assert upstream.requests == []


REFUSED = ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 80)")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (aiohttp.ClientConnectorError(KEY, REFUSED), "vllm.test:80: Connection refused"),
        (aiohttp.ClientConnectorError(KEY._replace(host="::1"), REFUSED), "[::1]:80: Connection refused"),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "Name or service not known")),
            "vllm.test:80: Name or service not known",
        ),
        (aiohttp.ClientConnectorError(KEY, OSError("all failed")), "vllm.test:80: all failed"),
        (
            aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "[SSL] wrong version number")),
            "vllm.test:80: [SSL] wrong version number",
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ValueError("has expired")),
            "vllm.test:80: has expired",
        ),
        (
            UnixClientConnectorError("/run/vllm.sock", KEY, FileNotFoundError(2, "whatever")),
            "/run/vllm.sock: No such file or directory",
        ),
        (TimeoutError(), "no answer in time"),
        (TimeoutError("slow"), "slow"),
        (ValueError("is not JSON"), "is not JSON"),
    ],
)
def test_reasons_are_plain(error: Exception, said: str) -> None:
    assert errors.reason_of(error) == said
    assert "ssl:" not in said
