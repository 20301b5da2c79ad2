"""What is not repaired crosses byte for byte, in both directions, as it comes."""

from __future__ import annotations

import asyncio
import gzip
import io
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.http import metric, until_open
from tests.support.upstream import (
    PATIENCE_SECONDS,
    Chunk,
    Cut,
    End,
    Head,
    Raw,
    Reset,
    Wait,
    answer,
    json_answer,
    stream,
)

if TYPE_CHECKING:
    import aiohttp

    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream, Step
    from vllm_sse_proxy.server.app import Server


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1/models",
        "/v1/models?",
        "/v1//models/../x/./y",
        "/a%2fb%2Fc%20d/%7Euser?q=%zz&&a=b+c%2B&=&x",
        "/v1/responses/resp_1/cancel?stream=true",
        "/a;b=c?d?e",
        "/v1/responses/",
    ],
)
async def test_the_target_is_unchanged(
    upstream: FakeUpstream, proxy: Server, connect: Connect, target: str
) -> None:
    client = await connect(proxy)
    await client.get(target)
    assert (await client.answer()).status == 200
    assert (await upstream.next_request()).target == target.encode()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_any_method(upstream: FakeUpstream, proxy: Server, connect: Connect, method: str) -> None:
    upstream.answer(*json_answer({"ok": True}, status=418, reason="I am a teapot"))
    client = await connect(proxy)
    await client.send(f"{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody".encode())
    got = await client.answer()
    assert got.status_line == b"HTTP/1.1 418 I am a teapot"
    assert got.body == b'{"ok":true}'
    seen = await upstream.next_request()
    await seen.complete.wait()
    assert (seen.method, seen.body) == (method, b"body")


async def test_absolute_form_goes_to_the_configured_upstream_only(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    client = await connect(proxy)
    await client.get("http://169.254.169.254/latest?x=1")
    assert (await client.answer()).status == 200
    assert (await upstream.next_request()).target == b"/latest?x=1"


async def test_path_prefix_of_the_upstream_url(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    client = await connect(await start(upstream=upstream.url + "/prefix/"))
    await client.get("/v1/models?a=1")
    await client.answer()
    assert (await upstream.next_request()).target == b"/prefix/v1/models?a=1"


async def test_request_headers(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    client = await connect(proxy)
    await client.get(
        "/x",
        "authorization: Bearer secret",
        "Cookie: a=1; b=2",
        "X-Many: 1",
        "x-many: 2",
        "Accept-Encoding: br",
        "traceparent: 00-1-2-03",
        "Connection: close, X-Hop",
        "X-Hop: 1",
        "Keep-Alive: 5",
        "TE: trailers",
        "Proxy-Authorization: Basic x",
        "Upgrade: h2c",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "Via: 1.0 edge",
        "X-Request-Id: my.id-1",
    )
    got = await client.answer()
    assert got.value("X-Request-Id") == "my.id-1"
    seen = await upstream.next_request()
    via = seen.value("Via")
    assert via is not None
    assert via.startswith("1.0 edge, 1.1 vllm-sse-proxy-")
    assert [(name, value) for name, value in seen.headers if name != "Via"] == [
        ("Host", upstream.url.removeprefix("http://")),
        ("authorization", "Bearer secret"),
        ("Cookie", "a=1; b=2"),
        ("X-Many", "1"),
        ("X-Many", "2"),
        ("Accept-Encoding", "br"),
        ("traceparent", "00-1-2-03"),
        ("X-Forwarded-For", "192.0.2.1, 127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Request-Id", "my.id-1"),
        ("X-Forwarded-Host", "proxy.test"),
    ]


async def test_nothing_is_invented(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    client = await connect(proxy)
    await client.get("/x")
    await client.answer()
    seen = await upstream.next_request()
    assert [name for name, _ in seen.headers] == [
        "Host",
        "X-Request-Id",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "Via",
    ]


async def test_a_bad_request_id_is_replaced(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    client = await connect(proxy)
    await client.get("/x", 'X-Request-Id: {"evil": 1}')
    made = (await client.answer()).value("X-Request-Id")
    assert made is not None
    assert len(made) == 32
    assert (await upstream.next_request()).value("X-Request-Id") == made


async def test_host_can_be_preserved(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    client = await connect(await start(preserve_host=True))
    await client.get("/x")
    await client.answer()
    assert (await upstream.next_request()).value("Host") == "proxy.test"


async def test_credentials_of_the_upstream_url(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    server = await start(upstream=upstream.url.replace("://", "://user:p%40ss@"))
    client = await connect(server)
    await client.get("/x")
    await client.answer()
    assert (await upstream.next_request()).value("Authorization") == "Basic dXNlcjpwQHNz"
    await client.get("/x", "Authorization: Bearer mine")
    await client.answer()
    assert (await upstream.next_request()).value("Authorization") == "Bearer mine"


async def test_response_head(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    headers = [
        ("Server", "uvicorn"),
        ("Set-Cookie", "a=1"),
        ("set-cookie", "b=2; Path=/"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Date", "Sat, 21 Nov 2026 10:00:00 GMT"),
    ]
    upstream.answer(*answer(b"", status=299, reason="Very Fine", headers=headers))
    client = await connect(proxy)
    await client.get("/x", "X-Request-Id: 1")
    got = await client.answer()
    assert got.status_line == b"HTTP/1.1 299 Very Fine"
    assert got.headers == [
        ("Content-Length", "0"),
        ("Server", "uvicorn"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2; Path=/"),
        ("Date", "Sat, 21 Nov 2026 10:00:00 GMT"),
        ("X-Request-Id", "1"),
    ]


async def test_no_content_type_is_invented(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    upstream.answer(*answer(b"?"))
    client = await connect(proxy)
    await client.get("/x")
    got = await client.answer()
    assert got.body == b"?"
    assert {name.lower() for name, _ in got.headers} == {"content-length", "x-request-id", "date"}


async def test_compressed_bodies_stay_compressed(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    packed = gzip.compress(b"hello" * 100)
    upstream.answer(*answer(packed, headers=[("Content-Encoding", "gzip")]))
    client = await connect(proxy)
    await client.post("/x", packed, "Content-Encoding: gzip")
    got = await client.answer()
    assert (got.body, got.value("Content-Encoding")) == (packed, "gzip")
    seen = await upstream.next_request()
    await seen.complete.wait()
    assert (seen.body, seen.value("Content-Encoding")) == (packed, "gzip")


async def test_head_keeps_the_length(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    client = await connect(proxy)
    for _ in range(2):  # the second shows that the connection is still in step
        upstream.answer(Head(headers=(("Content-Length", "1234"), ("Content-Type", "a/b")), chunked=False))
        await client.send(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
        got = await client.answer(method="HEAD")
        assert (got.status, got.value("Content-Length")) == (200, "1234")


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(
    upstream: FakeUpstream, proxy: Server, connect: Connect, status: int
) -> None:
    client = await connect(proxy)
    for _ in range(2):
        upstream.answer(Head(status, "Nothing", (("ETag", '"1"'),), chunked=False))
        await client.get("/x")
        got = await client.answer()
        assert (got.status, got.value("ETag"), got.value("Transfer-Encoding")) == (status, '"1"', None)


async def test_body_until_close(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    upstream.answer(Head(headers=(), chunked=False, version="1.0"), Raw(b"all of it"), Cut())
    client = await connect(proxy)
    await client.get("/x")
    got = await client.answer()
    assert (got.body, got.complete) == (b"all of it", True)


async def test_an_http_1_0_client(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    upstream.answer(*stream(b"data: 1\n\n", b"data: 2\n\n"))
    client = await connect(proxy)
    await client.send(b"GET /x HTTP/1.0\r\n\r\n")
    got = await client.answer()
    assert (got.body, got.value("Transfer-Encoding")) == (b"data: 1\n\ndata: 2\n\n", None)


async def test_answers_are_passed_on_as_they_come(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    second = asyncio.Event()
    frames = (b'data: {"delta":{"content":"chat is never touched"}}\n\n', b"data: [DONE]\n\n")
    upstream.answer(Head(), Chunk(frames[0]), Wait(second), Chunk(frames[1]), End())
    client = await connect(proxy)
    await client.post("/inference/v1/generate", b'{"stream":true}')
    got = await client.head()
    assert got.value("Content-Type") == "text/event-stream; charset=utf-8"
    assert got.value("Cache-Control") is None
    assert await client.chunk() == frames[0]
    second.set()
    assert await client.chunk() == frames[1]
    assert await client.chunk() == b""


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_uploads_are_passed_on_as_they_come(
    upstream: FakeUpstream, proxy: Server, connect: Connect, framing: str
) -> None:
    client = await connect(proxy)
    if framing == "length":
        await client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst")
    else:
        await client.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
    seen = await upstream.next_request()
    assert not seen.complete.is_set()
    await client.send(b"rest" if framing == "length" else b"4\r\nrest\r\n0\r\n\r\n")
    assert (await client.answer()).status == 200
    await seen.complete.wait()
    assert seen.body == b"firstrest"
    lengths = (seen.value("Content-Length"), seen.value("Transfer-Encoding"))
    assert lengths == (("9", None) if framing == "length" else (None, "chunked"))


async def test_expect_continue(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    client = await connect(proxy)
    await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.head()).status == 100
    await client.send(b"body")
    assert (await client.answer()).status == 200
    seen = await upstream.next_request()
    await seen.complete.wait()
    assert (seen.body, seen.value("Expect")) == (b"body", None)


async def test_a_body_is_not_asked_for_before_upstream_is_there(start: Start, connect: Connect) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        client = await connect(await start(upstream=f"http://127.0.0.1:{taken.getsockname()[1]}"))
        await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.head()).status == 502


async def test_other_expectations_are_refused(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    client = await connect(proxy)
    await client.post("/x", b"body", "Expect: the unexpected")
    got = await client.answer()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (417, "expectation_failed")
    assert upstream.requests == []


async def test_alt_svc_leads_nobody_past_the_proxy(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    upstream.answer(*answer(b"", headers=[("Alt-Svc", 'h3=":8000"'), ("X-Kept", "1")]))
    client = await connect(proxy)
    await client.get("/x")
    got = await client.answer()
    assert (got.value("Alt-Svc"), got.value("X-Kept")) == (None, "1")


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/audio/transcriptions"])
async def test_secrets_are_not_logged(
    upstream: FakeUpstream, proxy: Server, connect: Connect, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level("DEBUG"):
        client = await connect(proxy)
        await client.post(
            path + "?key=hush",
            b'{"input":"hush"}',
            "Authorization: Bearer hush",
            "Cookie: hush=hush",
            "Proxy-Authorization: Basic hush",
            "X-Api-Key: hush",
        )
        await client.answer()
        await until_open(proxy, 0)
    fields = [record.__dict__.get("fields", {}) for record in caplog.records]
    assert path in [each.get("path") for each in fields]
    assert "hush" not in caplog.text + repr(fields)


async def test_a_multipart_upload_crosses_byte_for_byte(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    """Its parts reach upstream while the rest is still missing, whatever its preamble and boundaries look like."""
    kind = 'multipart/form-data; boundary="a b"'
    first, rest = b"pre\r\n--a b\r\nX: 1\r\n\r\n\x00\xff", b"\r\n--a b--\r\nepilogue"
    client = await connect(proxy)
    await client.send(
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (kind.encode(), len(first + rest), first)
    )
    seen = await upstream.next_request()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while seen.body != first:  # noqa: ASYNC110 - gives other tasks their turn, waits for no time
            await asyncio.sleep(0)
    await client.send(rest)
    await client.answer()
    assert (seen.body, seen.value("Content-Type")) == (first + rest, kind)


async def test_large_bodies_both_ways(
    upstream: FakeUpstream, proxy: Server, http: aiohttp.ClientSession
) -> None:
    large = bytes(range(256)) * 40_000
    upstream.answer(*answer(large))
    async with http.post(f"http://127.0.0.1:{proxy.port}/x", data=io.BytesIO(large)) as got:
        assert await got.read() == large
    assert upstream.requests[0].body == large
    assert metric(proxy, "response_body_bytes_total", direction="out") == len(large)


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ((Head(headers=()), Chunk(b"some"), Cut()), "cut"),
        ((Head(headers=(("Content-Length", "10"),), chunked=False), Raw(b"some"), Cut()), "cut"),
        ((Head(headers=()), Chunk(b"some"), Raw(b"nonsense\r\n")), "cut"),
    ],
)
async def test_a_cut_answer_is_cut_for_the_client_too(
    upstream: FakeUpstream, proxy: Server, connect: Connect, steps: tuple[Step, ...], cause: str
) -> None:
    upstream.answer(*steps)
    client = await connect(proxy)
    await client.get("/x")
    got = await client.answer()
    assert not got.complete
    assert await client.closed()
    assert metric(proxy, "upstream_failures_total", **{"class": cause}) == 1


@pytest.mark.parametrize("head", [Head(headers=()), Head(headers=(), chunked=False, version="1.0")])
async def test_a_reset_answer_is_cut_and_counted(
    upstream: FakeUpstream, proxy: Server, connect: Connect, head: Head
) -> None:
    reset = asyncio.Event()
    upstream.answer(head, Chunk(b"some"), Wait(reset), Reset())
    client = await connect(proxy)
    await client.get("/x")
    await client.head()
    assert await client.chunk() == b"some"
    reset.set()
    assert await client.closed()
    assert metric(proxy, "upstream_failures_total", **{"class": "reset"}) == 1


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (
            b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TCP\r\n\r\n",
            501,
            "upgrade_not_supported",
        ),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid_target"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid_target"),
    ],
)
async def test_what_cannot_be_passed_on_is_refused(
    upstream: FakeUpstream, proxy: Server, connect: Connect, request_bytes: bytes, status: int, code: str
) -> None:
    client = await connect(proxy)
    await client.send(request_bytes)
    got = await client.answer()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (status, code)
    assert got.body.startswith(b'{"error":{"message":"')
    assert await client.closed()


async def test_a_loop_is_noticed(upstream: FakeUpstream, proxy: Server, connect: Connect) -> None:
    client = await connect(proxy)
    await client.get("/x")
    await client.answer()
    via = (await upstream.next_request()).value("Via")
    await client.get("/x", f"Via: {via}")
    got = await client.answer()
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (508, "loop_detected")
    assert len(upstream.requests) == 1


async def test_redirects_and_cookies_are_the_clients_business(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    upstream.answer(*answer(b"", status=307, headers=[("Location", "/y"), ("Set-Cookie", "a=1")]))
    client = await connect(proxy)
    await client.get("/x")
    assert (await client.answer()).value("Location") == "/y"
    await client.get("/y")
    await client.answer()
    assert [seen.value("Cookie") for seen in upstream.requests] == [None, None]


async def test_a_header_that_is_no_utf_8_is_left_out(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    client = await connect(proxy)
    await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Latin: caf\xe9\r\nX-Utf: caf\xc3\xa9\r\n\r\n")
    await client.answer()
    seen = await upstream.next_request()
    assert (seen.value("X-Latin"), seen.value("X-Utf")) == (None, "café")


async def test_an_ipv6_upstream(start: Start, connect: Connect) -> None:
    seen: list[bytes] = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    try:
        server = await asyncio.start_server(answer_once, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = await connect(await start(upstream=f"http://[::1]:{port}"))
        await client.get("/x")
        assert (await client.answer()).status == 204
    assert seen[0].startswith(b"GET /x HTTP/1.1\r\nHost: [::1]:%d\r\n" % port)
