"""What the log says of requests and streams, and of upstream at the start."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.upstream import Chunk, Cut, End, Head, Wait, answer, json_answer, stream
from tests.support.whole_stream import BODY, CREATED, WHOLE
from vllm_sse_proxy.server.addresses import TrustedProxies
from vllm_sse_proxy.server.app import Server
from vllm_sse_proxy.server.exchange import MAX_NAME_CHARACTERS
from vllm_sse_proxy.settings import ServerSettings

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream, Step

STRING_DELTA = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":9,'
    b'"item_id":"msg_1","output_index":0,"content_index":0,"delta":{"text":"a"},"logprobs":[]}\n\n'
)


def lines(caplog: pytest.LogCaptureFixture, message: str | None = None) -> list[dict[str, Any]]:
    found = [record for record in caplog.records if record.name == "vllm_sse_proxy"]
    return [
        {"msg": record.getMessage(), "level": record.levelname, **record.fields}  # type: ignore[attr-defined]
        for record in found
        if message in {None, record.getMessage()}
    ]


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "vllm_sse_proxy")
    return caplog


@pytest.mark.parametrize(
    ("steps", "ending"),
    [
        (json_answer({"object": "list"}), "ok"),
        (answer(b"", status=302, reason="Found", headers=[("Location", "/x")]), "ok"),
        (json_answer({"error": "no"}, status=404, reason="Not Found"), "upstream_4xx"),
        (json_answer({"error": "no"}, status=503, reason="Unavailable"), "upstream_5xx"),
        ((Head(500, "Error", (), chunked=True), Chunk(b"x"), Cut()), "cut"),
    ],
)
@pytest.mark.parametrize("target", ["/v1/models", "/v1/responses/resp_1"])
async def test_an_error_that_is_passed_through_is_not_ok(
    upstream: FakeUpstream,
    proxy: Server,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    target: str,
    steps: tuple[Step, ...],
    ending: str,
) -> None:
    caplog.set_level(logging.INFO, "vllm_sse_proxy")
    upstream.answer(*steps)
    client = await connect(proxy)
    await client.get(target, "Connection: close")
    await client.answer()
    assert await client.closed()
    (line,) = lines(caplog, "request")
    assert line["ending"] == ending


async def test_who_asks_for_what(
    upstream: FakeUpstream, start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vllm_sse_proxy")
    proxy = await start(trusted_proxies=("127.0.0.1", "10.0.0.0/8"))
    upstream.answer(*stream(*WHOLE))
    client = await connect(proxy)
    await client.post(
        "/v1/responses",
        BODY,
        "User-Agent: codex/1 " + "x" * 1000,
        "Authorization: Bearer sk-secret",
        "Cookie: secret",
        "X-Forwarded-For: 198.51.100.9, 192.0.2.7",
        "X-Forwarded-For: 10.1.2.3",
    )
    await client.answer()
    await client.get("/v1/models?key=secret")
    await client.answer()
    first, second = lines(caplog, "request")
    assert (first["model"], first["client_ip"], first["peer_ip"]) == ("m", "192.0.2.7", "127.0.0.1")
    assert first["user_agent"].startswith("codex")
    assert len(first["user_agent"]) == MAX_NAME_CHARACTERS + 1
    assert (second["model"], second["user_agent"], second["client_ip"], second["peer_ip"]) == (
        None,
        None,
        "127.0.0.1",
        None,
    )
    assert "secret" not in str(lines(caplog))


async def test_nobody_is_trusted_by_default(
    proxy: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vllm_sse_proxy")
    client = await connect(proxy)
    await client.get("/", "X-Forwarded-For: 192.0.2.7")
    await client.answer()
    (line,) = lines(caplog, "request")
    assert (line["client_ip"], line["peer_ip"]) == ("127.0.0.1", None)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (None, ["192.0.2.7"], None),
        ("10.0.0.1", [], "10.0.0.1"),
        ("192.0.2.1", ["192.0.2.7"], "192.0.2.1"),  # who connects is not trusted
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("::ffff:10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["1.1.1.1, 192.0.2.7 ,10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["192.0.2.7:4711"], "192.0.2.7"),
        ("10.0.0.1", ['"[2001:db8::1]:4711"'], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["192.0.2.7, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7\x1b"], "10.0.0.1"),
    ],
)
def test_forwarded_addresses(peer: str | None, forwarded: list[str], client: str | None) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).client_of(peer, forwarded) == client


async def test_debug_follows_a_stream(
    upstream: FakeUpstream, proxy: Server, connect: Connect, debug: pytest.LogCaptureFixture
) -> None:
    upstream.answer(Head(), *map(Chunk, WHOLE[:-2]), Chunk(STRING_DELTA), *map(Chunk, WHOLE[-2:]), End())
    client = await connect(proxy)
    await client.post("/v1/responses", BODY, "X-Request-Id: the-one")
    await client.answer()
    found = lines(debug)
    assert [line["msg"] for line in found][:3] == [
        "upstream answers",
        "stream begins",
        "stream has its first bytes",
    ]
    assert [line["msg"] for line in found][-2:] == ["stream ends", "request"]
    assert {line["request_id"] for line in found} == {"the-one"}
    answers, begins = found[:2]
    assert (answers["connection"], answers["addresses"], answers["target"]) == (
        "new",
        ["127.0.0.1"],
        "/v1/responses",
    )
    assert (begins["family"], begins["model"], begins["upstream_status"]) == ("responses", "m", 200)
    repaired = [line["repairs"] for line in found if line["msg"] == "stream repaired"]
    assert repaired
    total = {name: sum(each.get(name, 0) for each in repaired) for each in repaired for name in each}
    assert total == {name: count for name, count in found[-1]["repairs"].items() if count}


async def test_debug_says_what_became_of_a_connection(
    upstream: FakeUpstream, proxy: Server, connect: Connect, debug: pytest.LogCaptureFixture
) -> None:
    client = await connect(proxy)
    for _ in range(2):
        await client.get("/v1/models?key=secret")
        await client.answer()
    upstream.answer(Cut())
    await client.get("/v1/models")
    await client.answer()
    said = [
        (line["msg"].partition(":")[0], line["connection"])
        for line in lines(debug)
        if line["msg"].startswith("upstream")
    ]
    assert said == [
        ("upstream answers", "new"),
        ("upstream answers", "reused"),
        ("upstream is asked again", "reused"),
    ]
    assert "secret" not in str(lines(debug))


async def test_info_says_nothing_of_it(
    upstream: FakeUpstream, proxy: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vllm_sse_proxy")
    upstream.answer(Head(), Chunk(CREATED), Cut())
    client = await connect(proxy)
    await client.post("/v1/responses", BODY)
    await client.answer()
    assert [line["msg"] for line in lines(caplog)] == ["request"]


class TestFirstLook:
    MODELS = json_answer({"data": [{"id": "a/model"}, {"id": 3}, "x", {"id": "y" * 1000}]})

    async def look(self, proxy: Server) -> None:
        proxy.look_at_upstream()
        assert proxy._looking is not None
        await proxy._looking

    async def test_it_is_logged(
        self, upstream: FakeUpstream, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "vllm_sse_proxy")
        upstream.answer(*json_answer({"version": "0.32.0"}))
        upstream.answer(*self.MODELS)
        proxy = await start(upstream=upstream.url.replace("http://", "http://user:secret@"))
        await self.look(proxy)
        (line,) = lines(caplog, "upstream answers")
        assert (line["upstream_version"], line["models"][0], line["models_count"]) == ("0.32.0", "a/model", 2)
        assert len(line["models"][1]) == MAX_NAME_CHARACTERS + 1
        seen = [await upstream.next_request() for _ in range(2)]
        assert [one.target for one in seen] == [b"/version", b"/v1/models"]
        assert all((one.value("Authorization") or "").startswith("Basic ") for one in seen)
        assert "secret" not in caplog.text

    @pytest.mark.parametrize(
        ("steps", "status"),
        [
            (answer(b"not JSON"), 200),
            (json_answer([]), 200),
            (answer(b"x" * 300_000), 200),
        ],
    )
    async def test_no_list_of_models(
        self,
        upstream: FakeUpstream,
        proxy: Server,
        caplog: pytest.LogCaptureFixture,
        steps: tuple[Step, ...],
        status: int,
    ) -> None:
        upstream.answer(*answer(b"", status=404, reason="Not Found"))
        upstream.answer(*steps)
        await self.look(proxy)
        (line,) = lines(caplog, "upstream answers, but not with a list of models")
        assert (line["level"], line["models_status"], line["version_status"]) == ("WARNING", status, 404)

    @pytest.mark.parametrize(
        ("user", "level", "message"),
        [
            ("", "INFO", "upstream answers, and wants a key"),
            ("user:secret@", "WARNING", "upstream answers, and does not accept the key"),
        ],
    )
    async def test_a_key_is_wanted(
        self,
        upstream: FakeUpstream,
        start: Start,
        caplog: pytest.LogCaptureFixture,
        user: str,
        level: str,
        message: str,
    ) -> None:
        """Where the proxy has none, clients may: then nothing is wrong."""
        caplog.set_level(logging.INFO, "vllm_sse_proxy")
        upstream.answer(*json_answer({"version": "0.32.0"}))
        upstream.answer(*json_answer({"error": "key"}, status=401, reason="Unauthorized"))
        await self.look(await start(upstream=upstream.url.replace("http://", f"http://{user}")))
        (line,) = lines(caplog, message)
        assert (line["level"], line["models_status"], line["upstream_version"]) == (level, 401, "0.32.0")

    @pytest.mark.parametrize("steps", [(Cut(),), (Head(), Chunk(b"{"), Cut())])
    async def test_it_is_never_fatal(
        self,
        upstream: FakeUpstream,
        proxy: Server,
        caplog: pytest.LogCaptureFixture,
        steps: tuple[Step, ...],
    ) -> None:
        upstream.answer(*steps)
        await self.look(proxy)
        (line,) = lines(caplog, "upstream does not answer yet")
        assert line["reason"]

    async def test_it_can_be_switched_off(self, start: Start) -> None:
        proxy = await start(look_at_upstream=False)
        proxy.look_at_upstream()
        assert proxy._looking is None
        Server(ServerSettings(upstream="http://h")).look_at_upstream()  # before the start

    async def test_a_stop_does_not_wait_for_it(self, upstream: FakeUpstream, start: Start) -> None:
        upstream.answer(Wait(asyncio.Event()))
        proxy = await start()
        proxy.look_at_upstream()
        await upstream.next_request()
        await proxy.stop()
        assert proxy._looking is not None
        assert proxy._looking.cancelled()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="several workers need Linux")
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_process_looks_once(upstream: FakeUpstream, workers: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vllm_sse_proxy", "serve", "--upstream", upstream.url, "--workers", workers),
        *("--port", "0", "--admin-port", "0", "--log-level", "debug"),
        stdout=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("SSE_PROXY_")},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            async for raw in process.stdout:
                if orjson.loads(raw)["msg"].startswith("upstream answers, but"):
                    break
    finally:
        process.kill()
        await process.communicate()
    assert [one.target for one in upstream.requests] == [b"/version", b"/v1/models"]
