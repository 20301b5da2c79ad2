"""What the client is told for each way in which upstream can fail to answer."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aioresponses import aioresponses

from proxy.server.errors import ProxyError
from proxy.server.handlers import Upload
from tests.support.http import metric
from tests.support.whole_stream import BODY

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start

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
    told = orjson.loads(got.body)["error"]
    assert (told["type"], told["param"], told["code"]) == ("server_error", None, code)
    assert "vllm.test" not in told["message"]
    assert metric(proxy, "upstream_failures_total", **{"class": cause}) == 1


async def test_a_body_that_is_no_http() -> None:
    """aiohttp's Python parser tells the reader; its C parser lets the request run into its time limit."""

    class Request:
        body_exists = True
        content: Any = aiohttp.StreamReader(
            aiohttp.base_protocol.BaseProtocol(asyncio.get_running_loop()),
            1024,
            loop=asyncio.get_running_loop(),
        )

    Request.content.set_exception(aiohttp.web.RequestPayloadError("bad chunk"))
    upload = Upload(Request(), limit_seconds=1)  # type: ignore[arg-type]
    with pytest.raises(ProxyError) as caught:
        await upload.read(10)
    assert caught.value is upload.refusal
    assert (caught.value.status, caught.value.code, caught.value.close) == (400, "invalid_body", True)
