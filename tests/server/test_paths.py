"""Where the endpoints are found: behind prefixes, with slashes too many, and what passes where they are not."""

from __future__ import annotations

import gzip
import logging
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.chunk_streams import ROLE, wire
from tests.support.http import metric
from tests.support.upstream import json_answer, stream
from tests.support.whole_stream import BODY, WHOLE
from vllm_sse_proxy.families import CHAT, COMPLETIONS
from vllm_sse_proxy.families.recognition import MOST_BYTES
from vllm_sse_proxy.server.responses.handler import cancelled_id
from vllm_sse_proxy.server.routes import prefix_of
from vllm_sse_proxy.settings import ServerSettings

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream
    from vllm_sse_proxy.server.app import Server

BROKEN = [frame.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}') for frame in WHOLE]
CUT_CHAT = wire(f'{ROLE}\n{{"content":"Hi"}}', CHAT)
CUT_MESSAGE = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
STRANGE = b'data: {"tokens":[1,2]}\n\n'
WARNING = "a stream passes unrepaired"


def warnings(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record)["fields"] for record in caplog.records if record.getMessage().startswith(WARNING)]


@pytest.mark.parametrize(
    "target",
    [
        "/v1/responses",
        "/v1/responses/",
        "//v1/responses",
        "/v1//responses//",
        "/api/v1/responses",
        "/openai/deployments/a%20b/v1/responses?api-version=1",
        "/%76%31/responses",
    ],
)
async def test_streams_are_repaired_behind_any_prefix(
    upstream: FakeUpstream, proxy: Server, connect: Connect, target: str
) -> None:
    upstream.answer(*stream(*BROKEN))
    client = await connect(proxy)
    await client.post(target, BODY)
    assert (await client.answer()).body == b"".join(WHOLE)
    assert (await upstream.next_request()).target == target.encode()
    assert metric(proxy, "unrepaired_streams_total") == 0


@pytest.mark.parametrize("prefix", ["", "/api", "/a/b"])
async def test_a_resumed_stream_behind_a_prefix(
    upstream: FakeUpstream, proxy: Server, connect: Connect, prefix: str
) -> None:
    upstream.answer(*stream(*BROKEN))
    client = await connect(proxy)
    await client.get(f"{prefix}/v1/responses/resp_1?stream=true&starting_after=4")
    assert (await client.answer()).body == b"".join(WHOLE[5:])
    assert (await upstream.next_request()).target == f"{prefix}/v1/responses/resp_1?stream=true".encode()


async def test_stored_responses_are_read_behind_the_same_prefix(
    upstream: FakeUpstream, proxy: Server, connect: Connect
) -> None:
    answers_call = {"type": "function_call_output", "call_id": "a", "output": "x"}
    stored = {"output": [{"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"}]}
    upstream.answer(*json_answer(stored))
    upstream.answer(*stream(*WHOLE))
    client = await connect(proxy)
    await client.post(
        "/api/v1/responses", orjson.dumps({"previous_response_id": "resp_1", "input": [answers_call]})
    )
    await client.answer()
    assert [seen.target for seen in upstream.requests] == [b"/api/v1/responses/resp_1", b"/api/v1/responses"]


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("/v1/responses", ""), ("//v1/responses/", ""), ("/a/b/v1/responses", "/a/b"), ("/v1%2Fresponses", "")],
)
def test_prefixes(path: str, prefix: str) -> None:
    assert prefix_of(path, 2) == prefix


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/responses/resp_1/cancel", "resp_1"),
        ("POST", "/api//v1/responses/resp%201/cancel/", "resp 1"),
        ("POST", "/v1/responses/resp_1/cancelled", None),
        ("GET", "/v1/responses/resp_1/cancel", None),
        ("POST", "/v1/responses/cancel", None),
    ],
)
def test_cancels_behind_a_prefix(method: str, path: str, expected: str | None) -> None:
    assert cancelled_id(method, path) == expected


@pytest.mark.parametrize(
    "path",
    ["/v1/responses/resp_1/events", "/v1/responsesx", "/xv1/responses", "/responses", "/v1/messages/x"],
)
async def test_other_paths_stay_other(start: Start, path: str) -> None:
    proxy = await start()
    assert proxy.gateway is not None
    assert proxy.gateway.routes.find("POST", path, "").label == "other"


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://vllm:8000/v1", "http://vllm:8000"),
        ("http://vllm:8000/v1/", "http://vllm:8000"),
        ("http://u:p@vllm/a%20b/v1", "http://u:p@vllm/a%20b"),
        ("http://vllm/a/v10", "http://vllm/a/v10"),
        ("http://vllm/av1", "http://vllm/av1"),
        ("http://vllm", "http://vllm"),
    ],
)
def test_the_version_at_the_end_of_the_upstream_url_is_left_out(url: str, base: str) -> None:
    assert str(ServerSettings(upstream=url).upstream_base) == base


async def test_an_upstream_url_with_a_version(
    upstream: FakeUpstream, start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        proxy = await start(upstream=f"{upstream.url}/v1")
    said = [record for record in caplog.records if "/v1 at the end" in record.getMessage()]
    assert [vars(record)["fields"]["upstream"] for record in said] == [upstream.url]
    upstream.answer(*stream(*BROKEN))
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    assert (await client.answer()).body == b"".join(WHOLE)
    assert (await upstream.next_request()).target == b"/v1/responses"


async def test_no_word_of_the_version_where_there_is_none(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await start()
    assert "/v1 at the end" not in caplog.text


@pytest.mark.parametrize(
    ("body", "family"),
    [
        (b"".join(WHOLE), "responses"),
        (CUT_CHAT, "chat"),
        (wire('"Hi"', COMPLETIONS), "completions"),
        (CUT_MESSAGE, "messages"),
        (b'data: {"object":"transcription.chunk","choices":[]}\n\n', "transcriptions"),
    ],
)
async def test_a_stream_that_passes_unrepaired_is_counted_and_logged_once(
    upstream: FakeUpstream,
    proxy: Server,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    family: str,
) -> None:
    client = await connect(proxy)
    with caplog.at_level(logging.WARNING):
        for path in ("/elsewhere", "/again"):
            upstream.answer(*stream(*(body[n : n + 7] for n in range(0, len(body), 7))))
            await client.post(path, BODY)
            assert (await client.answer()).body == body
    assert metric(proxy, "unrepaired_streams_total", family=family) == 2
    assert metric(proxy, "unrepaired_streams_total") == 2
    assert [(each["family"], each["path"]) for each in warnings(caplog)] == [(family, "/elsewhere")]


@pytest.mark.parametrize(
    "frames",
    [
        [STRANGE] * 3,
        [b":" + b"x" * MOST_BYTES, b"\n\n", CUT_CHAT],
        [b"data: " + b"x" * MOST_BYTES + b"\n\n", CUT_CHAT],
    ],
    ids=["strange", "late", "large"],
)
async def test_a_stream_of_no_known_family_is_not_counted(
    upstream: FakeUpstream, proxy: Server, connect: Connect, frames: list[bytes]
) -> None:
    client = await connect(proxy)
    upstream.answer(*stream(*frames))
    await client.post("/elsewhere", BODY)
    assert (await client.answer()).body == b"".join(frames)
    assert metric(proxy, "unrepaired_streams_total") == 0


async def test_a_compressed_stream_is_counted(
    upstream: FakeUpstream, proxy: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    body = gzip.compress(CUT_CHAT)
    client = await connect(proxy)
    upstream.answer(*stream(body, headers=[("Content-Encoding", "gzip")]))
    with caplog.at_level(logging.WARNING):
        await client.post("/v1/chat/completions", b"{}")
        assert (await client.answer()).body == body
    assert metric(proxy, "unrepaired_streams_total", family="chat") == 1
    assert [each["family"] for each in warnings(caplog)] == ["chat"]
