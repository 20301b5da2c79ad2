"""Upstream fails, or the client leaves: an honest answer, one retry at most, and nothing left open."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
import pytest

from tests.support.compiled import python_core
from tests.support.http import happens, metric, until_idle
from tests.support.upstream import Chunk, Cut, Head, Raw, Reset, Wait, stream
from tests.support.whole_stream import BODY, CREATED, WHOLE
from vllm_sse_proxy.families.responses.family import Responses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.server.conftest import Connect, Start
    from tests.support.http import Answer
    from tests.support.upstream import FakeUpstream, Step
    from vllm_sse_proxy.server.app import Server


def assert_error(got: Answer, status: int, code: str) -> None:
    assert (got.status, got.value("X-SSE-Proxy-Error")) == (status, code)
    assert got.value("Content-Type") == "application/json"
    error = orjson.loads(got.body)["error"]
    assert error["code"] == code
    assert error["message"]
    assert b"127.0.0.1" not in got.body


@pytest.mark.parametrize("path", ["/v1/responses", "/x"])
async def test_connection_refused(start: Start, connect: Connect, path: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        proxy = await start(upstream=f"http://127.0.0.1:{taken.getsockname()[1]}")
        client = await connect(proxy)
        await client.post(path, BODY)
        assert_error(await client.answer(), 502, "upstream_connect")
        await client.post(path, BODY)  # the client's connection stays in use
        assert_error(await client.answer(), 502, "upstream_connect")
    assert metric(proxy, "upstream_failures_total", **{"class": "connect"}) == 2


async def test_unknown_name(start: Start, connect: Connect) -> None:
    proxy = await start(upstream="http://no-such-host.invalid")
    client = await connect(proxy)
    await client.get("/x")
    assert_error(await client.answer(), 502, "upstream_connect")


@pytest.mark.parametrize("path", ["/v1/responses", "/x"])
async def test_no_answer_in_time(upstream: FakeUpstream, start: Start, connect: Connect, path: str) -> None:
    proxy = await start(first_byte_timeout_seconds=0.1)
    upstream.answer(Wait(asyncio.Event()))
    client = await connect(proxy)
    await client.post(path, BODY)
    assert_error(await client.answer(), 504, "upstream_timeout")
    assert metric(proxy, "upstream_failures_total", **{"class": "timeout"}) == 1
    await happens((await upstream.next_request()).closed)


@pytest.mark.parametrize("path", ["/v1/responses", "/x"])
async def test_a_request_that_stops_half_way(start: Start, connect: Connect, path: str) -> None:
    proxy = await start(request_body_timeout_seconds=0.1)
    client = await connect(proxy)
    await client.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf".encode())
    assert_error(await client.answer(), 408, "request_timeout")
    assert metric(proxy, "upstream_failures_total", **{"class": "timeout"}) == 0


@pytest.mark.parametrize(
    ("steps", "code", "cause"),
    [
        ((Cut(),), "upstream_disconnect", "disconnect"),
        ((Reset(),), "upstream_reset", "reset"),
        ((Raw(b"HTTP/1.1 200 OK\r\nContent-"), Cut()), "upstream_disconnect", "disconnect"),
        ((Raw(b"SSH-2.0-OpenSSH_9\r\n\r\n"), Cut()), "upstream_protocol", "protocol"),
    ],
)
async def test_no_answer(
    upstream: FakeUpstream, proxy: Server, connect: Connect, steps: tuple[Step, ...], code: str, cause: str
) -> None:
    upstream.answer(*steps)
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    assert_error(await client.answer(), 502, code)
    assert metric(proxy, "upstream_failures_total", **{"class": cause}) == 1
    assert len(upstream.requests) == 1  # a fresh connection: nothing is sent twice


@pytest.mark.parametrize("host", ["nowhere.invalid", "127.0.0.1:1"])
async def test_a_connection_that_cannot_be_opened_is_not_tried_twice(
    start: Start, connect: Connect, host: str
) -> None:
    proxy = await start(upstream=f"http://{host}")
    client = await connect(proxy)
    await client.get("/x")
    assert_error(await client.answer(), 502, "upstream_connect")
    assert metric(proxy, "upstream_failures_total", **{"class": "connect"}) == 1
    assert metric(proxy, "upstream_retries_total") == 0


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("DELETE", b""), ("POST", BODY)])
async def test_a_reused_connection_that_just_died_is_retried_once(
    upstream: FakeUpstream, proxy: Server, connect: Connect, method: str, body: bytes
) -> None:
    client = await connect(proxy)
    await client.get("/warm-up")
    await client.answer()
    upstream.answer(Cut())
    upstream.answer(*stream(*WHOLE))
    head = f"{method} /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    await client.send(head.encode() + body)
    assert (await client.answer()).body == b"".join(WHOLE)
    first, second = upstream.requests[1:]
    assert (first.connection, second.connection) == (0, 1)
    assert (first.head, first.body) == (second.head, second.body)
    assert second.body == body
    assert metric(proxy, "upstream_retries_total") == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_once(upstream: FakeUpstream, proxy: Server, connect: Connect, method: str) -> None:
    client = await connect(proxy)
    await client.get("/warm-up")
    await client.answer()
    upstream.answer(Cut())
    upstream.answer(Cut())
    await client.send(f"{method} /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
    assert_error(await client.answer(), 502, "upstream_disconnect")
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("/x", (Cut(),)),  # nobody knows what it asks for
        ("/v1/responses", (Raw(b"HTTP/1.1 200 OK\r\n"), Cut())),  # an answer had begun
    ],
)
async def test_what_is_never_retried(
    upstream: FakeUpstream, proxy: Server, connect: Connect, path: str, steps: tuple[Step, ...]
) -> None:
    client = await connect(proxy)
    await client.get("/warm-up")
    await client.answer()
    upstream.answer(*steps)
    await client.post(path, BODY)
    assert_error(await client.answer(), 502, "upstream_disconnect")
    assert len(upstream.requests) == 2


async def test_unused_connections_that_upstream_closed_are_not_used(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    client = await connect(proxy)
    await client.get("/warm-up")
    await client.answer()
    upstream.close_idle()
    await happens(upstream.requests[0].closed)
    await client.post("/x", BODY)
    assert (await client.answer()).status == 200


@pytest.mark.parametrize("path", ["/v1/responses", "/inference/v1/generate"])
@pytest.mark.parametrize("phase", ["before the answer", "after its head", "mid-stream"])
async def test_a_client_that_leaves(
    upstream: FakeUpstream, proxy: Server, connect: Connect, path: str, phase: str
) -> None:
    never = asyncio.Event()
    steps: dict[str, tuple[Step, ...]] = {
        "before the answer": (Wait(never),),
        "after its head": (Head(), Wait(never)),
        "mid-stream": (Head(), Chunk(CREATED), Wait(never)),
    }
    upstream.answer(*steps[phase])
    client = await connect(proxy)
    await client.post(path, BODY)
    seen = await upstream.next_request()
    if phase == "mid-stream":
        await client.head()
        assert await client.chunk() == CREATED
    elif phase == "after its head" and path != "/v1/responses":
        await client.head()
    client.leave()
    await happens(seen.closed)
    await until_idle(proxy)
    if path == "/v1/responses" and phase == "mid-stream":
        assert metric(proxy, "streams_total", ending="client_gone") == 1
        assert metric(proxy, "streams_in_flight") == 0
    if phase == "before the answer":
        route = "responses" if path == "/v1/responses" else "other"
        assert metric(proxy, "requests_total", route=route, code="none") == 1
    assert metric(proxy, "requests_in_flight") == 0


async def test_a_client_that_leaves_while_uploading(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    client = await connect(proxy)
    await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    seen = await upstream.next_request()
    client.leave()
    await happens(seen.closed)
    await until_idle(proxy)


async def test_an_early_answer_to_a_long_upload(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    now = asyncio.Event()
    now.set()
    refusal = b'{"error":{}}'
    upstream.answer(
        Wait(now), Head(413, "Too Large", (("Content-Length", "12"),), chunked=False), Raw(refusal), Cut()
    )
    client = await connect(proxy)
    await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf")
    got = await client.answer()
    assert (got.status, got.body) == (413, refusal)


@python_core
async def test_a_fault_of_our_own_is_a_500(upstream: FakeUpstream, start: Start, connect: Connect) -> None:
    class Broken(Responses):
        def context(self, resource: str, body: Mapping[str, Any] | None) -> NoReturn:  # noqa: ARG002 - it fails anyway
            raise RuntimeError("secret detail")

    proxy = await start((Broken(),))
    upstream.answer(*stream(*WHOLE))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    got = await client.answer()
    assert_error(got, 500, "internal_error")
    assert b"secret" not in got.body


async def test_after_a_committed_answer_a_fault_of_our_own_is_a_cut(
    upstream: FakeUpstream, proxy: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()
    upstream.answer(Head(), Chunk(CREATED), Wait(go_on), Chunk(WHOLE[1]), Wait(asyncio.Event()))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    await client.head()
    await client.chunk()

    def fail(*_: object) -> bytes:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("vllm_sse_proxy.stream.normalizer.StreamNormalizer.feed", fail)
    go_on.set()
    assert await client.closed()
    await happens(upstream.requests[0].closed)
