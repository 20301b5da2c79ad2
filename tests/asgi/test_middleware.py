"""The middleware, driven by hand: an application that says what vLLM says, and a server that records what it is sent."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from tests.support.goldens import load_goldens
from tests.support.refusals import SERVERS, Server
from tests.support.refusing import RefusingUpstream
from tests.support.upstream import Chunk, Head, Raw, Seen
from tests.support.whole_stream import BODY, WHOLE
from vllm_sse_proxy.asgi import Repair, middleware
from vllm_sse_proxy.asgi import answers as answers_module
from vllm_sse_proxy.asgi.upstream import AppUpstream, current
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.metrics import Metrics
from vllm_sse_proxy.server.headers import ERROR_HEADER
from vllm_sse_proxy.settings import SettingsError
from vllm_sse_proxy.stream.ending import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from tests.support.goldens import Golden
    from vllm_sse_proxy.asgi.protocol import Application, Message, Receive, Scope, Send

STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"content-length", b"9"),
    (b"x-custom", b"1"),
]
JSON = [(b"content-type", b"application/json")]
GOOD = b"".join(WHOLE)
BROKEN = [frame.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}') for frame in WHOLE]


@pytest.fixture(autouse=True)
def _metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Count in a registry of the test's own."""
    made = Metrics(FAMILIES, registry=CollectorRegistry())
    monkeypatch.setattr(middleware, "metrics_of_this_process", lambda: made)
    return made


@pytest.fixture
def counts(_metrics: Metrics) -> Metrics:
    return _metrics


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"sse_proxy_{name}", labels) or 0.0


@dataclass
class Exchange:
    """One request as a server has it: what it gives, and what it is sent."""

    path: str = "/v1/responses"
    body: bytes = BODY
    method: str = "POST"
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    leaves: asyncio.Event = field(default_factory=asyncio.Event)
    pieces: int = 1

    def __post_init__(self) -> None:
        size = max(1, -(-len(self.body) // self.pieces))
        cut = [self.body[at : at + size] for at in range(0, len(self.body), size)] or [b""]
        self.waiting = [
            {"type": "http.request", "body": piece, "more_body": piece is not cut[-1]} for piece in cut
        ]

    async def receive(self) -> Message:
        if self.waiting:
            return self.waiting.pop(0)
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        assert not (
            self.sent and self.sent[-1]["type"] == "http.response.body" and not self.sent[-1]["more_body"]
        )
        self.sent.append(
            {"more_body": False, **message} if message["type"] == "http.response.body" else message
        )

    async def through(self, app: Application) -> Exchange:
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def scope(self) -> Scope:
        length = [(b"content-length", str(len(self.body)).encode())] if self.body else []
        return {
            "type": "http",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query,
            "headers": [*length, *self.headers],
            "client": ("127.0.0.1", 1),
        }

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def answer(self) -> bytes:
        return b"".join(
            message.get("body", b"") for message in self.sent if message["type"] == "http.response.body"
        )

    @property
    def answer_headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def is_over(self) -> bool:
        return self.sent[-1]["type"] == "http.response.body" and not self.sent[-1]["more_body"]


def answering(
    pieces: Iterable[bytes],
    *,
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = STREAM,
    then: Callable[[Receive], Awaitable[None]] | None = None,
) -> Application:
    """Make an application that answers everything so, and then waits or raises."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if then is not None:
            await then(receive)
        await send({"type": "http.response.body"})

    return app


async def crash(_: Receive) -> None:
    raise RuntimeError("the parser")


class TestStreams:
    async def test_repaired(self, counts: Metrics) -> None:
        got = await Exchange().through(Repair(answering(BROKEN)))
        assert got.answer == GOOD
        assert got.is_over
        assert got.answer_headers["x-custom"] == "1"
        assert got.answer_headers["cache-control"] == "no-cache, no-transform"
        assert "content-length" not in got.answer_headers
        assert value(counts, "repairs_total", family="responses", repair="string_deltas") == 1
        assert value(counts, "streams_total", family="responses", ending="completed") == 1
        assert value(counts, "requests_total", route="responses", code="2xx") == 1
        assert value(counts, "streams_in_flight") == value(counts, "requests_in_flight") == 0
        assert value(counts, "response_body_bytes_total", direction="out") == len(GOOD)

    async def test_each_piece_leaves_at_once(self) -> None:
        got = await Exchange().through(Repair(answering(WHOLE)))
        assert [message["body"] for message in got.sent[1:3]] == list(WHOLE[:2])

    @pytest.mark.parametrize(
        "golden",
        [one for family in FAMILIES for one in load_goldens(family) if one.end in {BodyEnd.EOF, BodyEnd.CUT}],
        ids=lambda golden: golden.folder.name,
    )
    async def test_goldens(self, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
        endpoint = golden.family.endpoints[0]
        monkeypatch.setenv("SSE_PROXY_REASONING", golden.reasoning)
        monkeypatch.setenv("SSE_PROXY_DIALECT", golden.dialect)
        body = (
            json.dumps({"stream": True, **(golden.request or {})}).encode() if endpoint.has_json_body else b""
        )
        then = crash if golden.end is BodyEnd.CUT else None
        exchange = Exchange(path=f"/prefix{endpoint.path}", body=body)
        app = Repair(answering([golden.upstream], then=then))
        if then is None:
            await exchange.through(app)
        else:
            with pytest.raises(RuntimeError, match="the parser"):
                await exchange.through(app)
        assert exchange.is_over
        if exchange.status == 200:
            assert exchange.answer == golden.run([golden.upstream])[0] or golden.request is None

    async def test_others_pass_untouched(self) -> None:
        for path in ("/v1/embeddings", "/health", "/v1/models"):
            got = await Exchange(path=path).through(Repair(answering(BROKEN)))
            assert got.answer == b"".join(BROKEN)
            assert got.answer_headers["content-length"] == "9"

    async def test_compressed_answers_pass(self) -> None:
        headers = [*STREAM, (b"content-encoding", b"gzip")]
        got = await Exchange().through(Repair(answering(BROKEN, headers=headers)))
        assert got.answer == b"".join(BROKEN)

    async def test_observe_mode(self, monkeypatch: pytest.MonkeyPatch, counts: Metrics) -> None:
        monkeypatch.setenv("SSE_PROXY_MODE", "observe")
        got = await Exchange().through(Repair(answering(BROKEN)))
        assert got.answer == b"".join(BROKEN)
        assert value(counts, "repairs_total", family="responses", repair="string_deltas") == 1

    async def test_a_resumed_stream_is_asked_for_whole(self) -> None:
        asked: list[bytes] = []
        inner = answering(WHOLE)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            asked.append(scope["query_string"])
            await inner(scope, receive, send)

        exchange = Exchange(
            path="/v1/responses/resp_1", method="GET", body=b"", query=b"stream=true&starting_after=1"
        )
        got = await exchange.through(Repair(app))
        assert b"starting_after" not in asked[0]
        assert got.answer == b"".join(WHOLE[2:])

    async def test_on_a_shared_path(self, counts: Metrics) -> None:
        chunk = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'
        exchange = Exchange(path="/invocations", body=b'{"messages":[],"stream":true}')
        got = await exchange.through(Repair(answering([chunk])))
        assert b'"error"' in got.answer
        assert value(counts, "events_total", direction="in") == 1
        other = await Exchange(path="/invocations", body=b'{"input":"x"}').through(Repair(answering([chunk])))
        assert other.answer == chunk


class TestFailures:
    async def test_the_application_raises_in_mid_stream(self, counts: Metrics) -> None:
        exchange = Exchange()
        with pytest.raises(RuntimeError, match="the parser"):
            await exchange.through(Repair(answering(WHOLE[:4], then=crash)))
        assert b"response.failed" in exchange.answer
        assert exchange.is_over
        assert value(counts, "streams_total", family="responses", ending="cut") == 1

    async def test_it_raises_before_the_first_event(self) -> None:
        exchange = Exchange()
        with pytest.raises(RuntimeError):
            await exchange.through(Repair(answering([], then=crash)))
        assert exchange.status == 502
        assert exchange.answer_headers[ERROR_HEADER.lower()]
        assert json.loads(exchange.answer)["error"]["message"]

    async def test_it_raises_before_its_answer(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise RuntimeError("early")

        exchange = Exchange()
        with pytest.raises(RuntimeError, match="early"):
            await exchange.through(Repair(app))
        assert exchange.sent == [], "the server answers"

    async def test_a_stream_of_nothing(self) -> None:
        got = await Exchange().through(Repair(answering([])))
        assert got.status == 502

    async def test_an_error_as_the_first_event(self) -> None:
        error = b'data: {"error":{"message":"too long","type":"BadRequestError","code":400}}\n\n'
        got = await Exchange().through(Repair(answering([error])))
        assert got.status == 400
        assert json.loads(got.answer)["error"]["message"] == "too long"

    async def test_the_client_leaves(self, counts: Metrics) -> None:
        exchange = Exchange()

        async def wait(receive: Receive) -> None:
            exchange.leaves.set()
            assert (await receive())["type"] == "http.disconnect"

        await exchange.through(Repair(answering(WHOLE[:3], then=wait)))
        assert value(counts, "streams_total", family="responses", ending="client_gone") == 1

    async def test_the_server_cancels(self, counts: Metrics) -> None:
        begun = asyncio.Event()

        async def wait(receive: Receive) -> None:
            begun.set()
            await receive()

        task = asyncio.create_task(Exchange().through(Repair(answering(WHOLE[:3], then=wait))))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert value(counts, "streams_total", family="responses", ending="client_gone") == 1
        assert value(counts, "streams_in_flight") == 0

    async def test_the_client_leaves_before_its_body_is_here(self) -> None:
        exchange = Exchange(pieces=2)
        exchange.waiting[1:] = [{"type": "http.disconnect"}]
        await exchange.through(Repair(answering(WHOLE)))
        assert exchange.sent == []

    async def test_an_application_that_goes_on_after_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answers_module, "_LAST_WORDS_SECONDS", 0.0)
        heard: list[str] = []

        async def wait(receive: Receive) -> None:
            heard.append((await receive())["type"])
            heard.append((await receive())["type"])

        exchange = Exchange()
        await exchange.through(Repair(answering(WHOLE, then=wait)))
        assert exchange.answer == GOOD
        assert heard == ["http.disconnect"] * 2


class TestSilence:
    async def test_keep_alive(self, monkeypatch: pytest.MonkeyPatch, counts: Metrics) -> None:
        monkeypatch.setenv("SSE_PROXY_KEEPALIVE_SECONDS", "0.01")
        exchange = Exchange()

        async def wait(_: Receive) -> None:
            async with asyncio.timeout(10):
                while b": keep-alive" not in exchange.answer:  # noqa: ASYNC110 - what the timer sends can only be looked for
                    await asyncio.sleep(0)

        await exchange.through(Repair(answering(WHOLE[:3], then=wait)))
        assert value(counts, "keepalives_total") >= 1
        assert exchange.is_over

    async def test_a_stream_that_falls_silent_is_given_up(
        self, monkeypatch: pytest.MonkeyPatch, counts: Metrics
    ) -> None:
        monkeypatch.setenv("SSE_PROXY_IDLE_TIMEOUT_SECONDS", "0.01")
        exchange = Exchange()

        async def wait(receive: Receive) -> None:
            assert (await receive())["type"] == "http.disconnect"

        await exchange.through(Repair(answering(WHOLE[:3], then=wait)))
        assert b"response.failed" in exchange.answer
        assert value(counts, "limits_hit_total", limit="idle_timeout_seconds") == 1

    async def test_no_timer_without_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSE_PROXY_IDLE_TIMEOUT_SECONDS", "0")
        monkeypatch.setenv("SSE_PROXY_KEEPALIVE_SECONDS", "0")
        assert (await Exchange().through(Repair(answering(WHOLE)))).answer == GOOD

    async def test_a_limit(self, monkeypatch: pytest.MonkeyPatch, counts: Metrics) -> None:
        monkeypatch.setenv("SSE_PROXY_MAX_FRAME_BYTES", "300")
        got = await Exchange().through(Repair(answering([*WHOLE[:1], b"data: " + b"x" * 400])))
        assert value(counts, "limits_hit_total", limit="max_frame_bytes") == 1
        assert got.is_over


class Refusing:
    """An application that answers as :class:`RefusingUpstream` does, over ASGI."""

    def __init__(self, server: Server) -> None:
        self.upstream = RefusingUpstream(server, version=f"{server.release}.0")
        self.asked: list[tuple[str, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pieces = []
        while (message := await receive())["type"] == "http.request":
            pieces.append(message["body"])
            if not message["more_body"]:
                break
        body = b"".join(pieces)
        headers = dict(scope["headers"])
        assert headers.get(b"content-length", str(len(body)).encode()) == str(len(body)).encode()
        self.asked.append((scope["path"], body))
        query = scope["query_string"]
        target = scope["path"].encode() + (b"?" + query if query else b"")
        line = f"{scope['method']} {target.decode()} HTTP/1.1\r\n\r\n"
        seen = Seen(line.encode(), 0, asyncio.Event(), body)
        head, *steps = self.upstream.script(seen, ())
        assert isinstance(head, Head)
        await send(
            {
                "type": "http.response.start",
                "status": head.status,
                "headers": [(name.lower().encode(), text.encode()) for name, text in head.headers],
            }
        )
        for step in steps:
            if isinstance(step, Chunk | Raw):
                await send({"type": "http.response.body", "body": step.data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


CODEX: dict[str, Any] = {
    "model": "gpt-oss",
    "stream": True,
    "input": [{"role": "user", "content": "hi"}],
    "tools": [
        {
            "type": "namespace",
            "name": "agents",
            "description": "d",
            "tools": [
                {"type": "function", "name": "spawn", "parameters": {"type": "object", "properties": {}}}
            ],
        }
    ],
}


class TestRequests:
    @pytest.mark.parametrize(
        "server", [one for one in SERVERS if one.harmony], ids=lambda server: server.name
    )
    async def test_refused_and_sent_again(self, server: Server, counts: Metrics) -> None:
        app = Refusing(server)
        repair = Repair(app)
        got = await Exchange(body=json.dumps(CODEX).encode()).through(repair)
        assert got.status == 200
        assert b'"namespace":"agents"' in got.answer.replace(b'": "', b'":"')
        posts = [body for path, body in app.asked if path == "/v1/responses"]
        assert app.asked[0][0] == "/version", "a release that misreads it is sent the repaired one at once"
        assert len(posts) == (1 if server.release == "0.24" else 2)
        assert value(counts, "request_repairs_total", repair="namespace_tools") == 1
        assert value(counts, "request_refusals_total", outcome="repaired") == len(posts) - 1
        again = await Exchange(body=json.dumps(CODEX).encode()).through(repair)
        assert again.status == 200
        assert len([path for path, _ in app.asked if path == "/v1/responses"]) == len(posts) + 1

    async def test_refused_all_the_same(self) -> None:
        refusal = json.dumps({"error": {"message": "no such model", "type": "BadRequestError"}}).encode()
        got = await Exchange(body=json.dumps(CODEX).encode()).through(
            Repair(answering([refusal], status=400, headers=JSON))
        )
        assert (got.status, got.answer) == (400, refusal)

    async def test_a_refusal_that_is_not_json(self) -> None:
        got = await Exchange().through(Repair(answering([b"no"], status=400, headers=[])))
        assert (got.status, got.answer) == (400, b"no")

    async def test_a_refusal_that_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answers_module, "MAX_REFUSAL_BYTES", 3)
        got = await Exchange().through(Repair(answering([b'{"a"', b":1}"], status=400, headers=JSON)))
        assert (got.status, got.answer) == (400, b'{"a":1}')

    async def test_a_large_body_is_not_held(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSE_PROXY_MAX_REQUEST_BODY_INSPECT_BYTES", "10")
        bodies: list[bytes] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            more = True
            while more:
                message = await receive()
                bodies.append(message["body"])
                more = message["more_body"]
            await answering(BROKEN)(scope, receive_nothing, send)

        got = await Exchange(pieces=4).through(Repair(app))
        assert b"".join(bodies) == BODY
        assert len(bodies) > 1
        assert got.answer == GOOD, "streams are repaired all the same"

    async def test_a_body_in_pieces(self) -> None:
        app = Refusing(SERVERS[-1])
        await Exchange(body=json.dumps(CODEX).encode(), pieces=5).through(Repair(app))
        assert json.loads(next(body for _, body in app.asked if body)) == CODEX

    async def test_a_compressed_body_passes(self) -> None:
        seen: list[bytes] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append((await receive())["body"])
            await answering(BROKEN)(scope, receive_nothing, send)

        headers = [(b"content-encoding", b"gzip")]
        got = await Exchange(body=b"\x1f\x8b", headers=headers).through(Repair(app))
        assert (seen, got.answer) == ([b"\x1f\x8b"], GOOD)


async def receive_nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


class TestJsonAnswers:
    ANSWER = json.loads(WHOLE[-2].partition(b"data: ")[2])["response"]

    async def test_repaired(self, counts: Metrics) -> None:
        answer = {name: value for name, value in self.ANSWER.items() if name != "error"}
        raw = json.dumps(answer).encode()
        headers = [*JSON, (b"content-length", str(len(raw)).encode())]
        got = await Exchange(body=b'{"model":"m","input":"hi"}').through(
            Repair(answering([raw], headers=headers))
        )
        assert json.loads(got.answer)["error"] is None
        assert got.answer_headers["content-length"] == str(len(got.answer))
        assert value(counts, "json_answers_total", outcome="repaired") == 1

    async def test_stored(self) -> None:
        answer = {name: value for name, value in self.ANSWER.items() if name != "error"}
        exchange = Exchange(path="/v1/responses/resp_1", method="GET", body=b"")
        got = await exchange.through(Repair(answering([json.dumps(answer).encode()], headers=JSON)))
        assert json.loads(got.answer)["error"] is None

    async def test_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSE_PROXY_MAX_FRAME_BYTES", "5")
        got = await Exchange(body=b"{}").through(Repair(answering([b'{"id":1', b"}"], headers=JSON)))
        assert got.answer == b'{"id":1}'

    async def test_observed(self, monkeypatch: pytest.MonkeyPatch, counts: Metrics) -> None:
        monkeypatch.setenv("SSE_PROXY_MODE", "observe")
        answer = json.dumps({name: value for name, value in self.ANSWER.items() if name != "error"}).encode()
        got = await Exchange(body=b"{}").through(Repair(answering([answer], headers=JSON)))
        assert got.answer == answer
        assert value(counts, "json_answers_total", outcome="repaired") == 1


class TestProtocol:
    @pytest.mark.parametrize("kind", ["lifespan", "websocket"])
    async def test_other_scopes_pass(self, kind: str) -> None:
        seen: list[Scope] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope)

        scope: Scope = {"type": kind}
        await Repair(app)(scope, receive_nothing, Exchange().send)
        assert seen == [scope]

    async def test_other_messages(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.debug"})
            await answering([b"{}"], status=404, headers=JSON)(scope, receive, send)

        got = await Exchange().through(Repair(app))
        assert got.sent[0]["type"] == "http.response.debug"
        assert got.sent[1]["status"] == 404

    def test_settings_that_cannot_be_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSE_PROXY_DIALECT", "klingon")
        with pytest.raises(SettingsError, match="SSE_PROXY_DIALECT"):
            Repair(answering([]))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("PORT", "9001"),
            ("HOST", "http://nowhere"),
            ("WORKERS", "many"),
            ("UPSTREAM", "nonsense"),
            ("UPSTREAM_CA_FILE", "/no/such/file"),
            ("UPSTREAM_API_KEY_FILE", "/no/such/file"),
            ("TLS_CERT_FILE", "/no/such/file"),
            ("TRUSTED_PROXIES", "nobody"),
        ],
    )
    def test_settings_that_mean_nothing_here(
        self, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file of settings may be that of a proxy beside it, and must not stop vLLM."""
        monkeypatch.setenv(f"SSE_PROXY_{name}", value)
        Repair(answering([]))

    async def test_the_application_as_upstream(self) -> None:
        async def silent(scope: Scope, receive: Receive, send: Send) -> None:
            assert (await receive())["type"] == "http.request"
            assert (await receive())["type"] == "http.disconnect"

        token = current.set(Exchange().scope)
        for app, said in ((silent, "did not answer"), (answering([], then=crash), "raised RuntimeError")):
            with pytest.raises(OSError, match=said):
                await AppUpstream(app).send("GET", "/version", {}, None)
        answer = await AppUpstream(answering([b"abc"])).send("GET", "/version?a=b", {"a": "b"}, None)
        assert await answer.content.read(1) == b"a"
        assert await answer.content.readany() == b"bc"
        answer.close()
        current.reset(token)


PROGRAM = """
import asyncio, sys
from prometheus_client import CollectorRegistry, generate_latest, REGISTRY
from prometheus_client.multiprocess import MultiProcessCollector
from vllm_sse_proxy.asgi import Repair
assert "starlette" not in sys.modules

async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b'data: {"type":"response.created"}\\n\\n'})

async def main():
    messages = [{"type": "http.request", "body": b"{}", "more_body": False}]
    async def receive():
        return messages.pop() if messages else await asyncio.sleep(60)
    async def send(message): pass
    scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b"", "headers": []}
    await Repair(app)(scope, receive, send)
    Repair(app)

asyncio.run(main())
registry = REGISTRY
if len(sys.argv) > 1:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
sys.stdout.write(generate_latest(registry).decode())
"""


@pytest.mark.parametrize("several", [False, True])
def test_counts_are_in_vllms_own_metrics(several: bool, tmp_path: Any) -> None:  # noqa: FBT001
    """In the registry of the process, and in the files that several processes share; made once, however often it is built."""
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if several else {}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *(["several"] if several else [])],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", **environment},
        timeout=60,
    )
    assert 'sse_proxy_streams_total{ending="truncated",family="responses"} 1.0' in done.stdout
    assert done.stderr == ""
