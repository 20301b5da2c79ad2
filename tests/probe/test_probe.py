"""`probe`: against the demo's recordings, against servers that refuse as vLLM does, and against what is not vLLM at all."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from argparse import Namespace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from docs.generate import AFFECTED, affected_clients
from tests.support.local_server import free_port
from tests.support.refusals import SERVERS, Server
from tests.support.refusing import RefusingUpstream
from tests.support.upstream import json_answer
from vllm_sse_proxy import __version__
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.cli.probe import _settings
from vllm_sse_proxy.demo.clients import Answer
from vllm_sse_proxy.demo.protocols import CHAT, COMPLETIONS, MESSAGES, RESPONSES
from vllm_sse_proxy.demo.report import Screen
from vllm_sse_proxy.demo.session import serving
from vllm_sse_proxy.demo.upstream import make_upstream
from vllm_sse_proxy.probe import report
from vllm_sse_proxy.probe.cases import ENOUGH, FAMILIES, RESPONSES_CASES
from vllm_sse_proxy.probe.page import page
from vllm_sse_proxy.probe.session import Options, probe
from vllm_sse_proxy.probe.target import ProbeError, unreachable
from vllm_sse_proxy.probe.verdicts import ExitCode, Report, Verdict
from vllm_sse_proxy.server.app import Server as ProxyServer
from vllm_sse_proxy.settings import ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.upstream import Seen, Step

KEY = "sk-secret-1234567890"
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def options(url: str, **more: Any) -> Options:
    return Options(ServerSettings(upstream=url), **more)


def application(
    *routes: web.RouteDef, models: Any = ("m",), version: str | None = "0.32.0"
) -> web.Application:
    """Make a server that has what vLLM has beside its endpoints."""

    async def list_models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name} for name in models]})

    async def say_version(_: web.Request) -> web.Response:
        return web.json_response({"version": version}, headers={"Server": "uvicorn"})

    app = web.Application()
    app.add_routes([web.get("/v1/models", list_models), *routes])
    if version is not None:
        app.add_routes([web.get("/version", say_version)])
    return app


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({**HEAD, "choices": [choice]}).encode() + b"\n\n"


CONFORMING = chunk({"role": "assistant", "content": "Hi."}) + chunk({}, "stop") + b"data: [DONE]\n\n"


def chat(body: bytes, *, cut: bool = False) -> web.RouteDef:
    """Answer every chat completion with a body."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(body)
        if cut and request.transport is not None:
            request.transport.close()
        return response

    return web.post(CHAT.path, answer)


async def report_of(*routes: web.RouteDef, **more: Any) -> Report:
    async with serving(application(*routes), "127.0.0.1") as url:
        return await probe(options(url, **more))


class Vllm(RefusingUpstream):
    """A release of vLLM that has nothing but /v1/responses."""

    def script(self, seen: Seen, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        path = seen.target.decode()
        if path == "/v1/models":
            return json_answer({"data": [{"id": "gpt-oss"}]})
        if path == "/health":
            return json_answer({})
        if seen.method == "POST" and path != RESPONSES.path:
            return json_answer({"detail": "Not Found"}, status=404)
        return super().script(seen, steps)


class TestDemo:
    """Recordings of real releases as answers."""

    async def report(self, model: str) -> Report:
        async with serving(make_upstream(event_delay_seconds=0), "127.0.0.1") as url:
            return await probe(options(f"{url}/v1", model=model))

    async def test_what_the_proxy_repairs(self) -> None:
        found = await self.report("demo/dict-delta")
        assert all(result.verdict is Verdict.REPAIRED for result in found.of(RESPONSES))
        assert found.absent.keys() == {COMPLETIONS.path, MESSAGES.path}
        names = [finding.name for finding in found.findings()]
        assert "string_deltas" in names
        deltas = next(one for one in found.findings() if one.name == "string_deltas")
        assert "Codex" in deltas.clients
        assert "is an object" in deltas.summary
        assert any(result.misled == ("Codex", "openai helper") for result in found.results)

    async def test_what_it_cannot(self) -> None:
        found = await self.report("demo/vllm-0.17.0-crash")
        assert found.exit_code is ExitCode.UNREPAIRED
        assert "never came" in found.limits()[0][1]
        assert found.results[0].verdict is Verdict.UNREPAIRED

    async def test_an_answer_of_nothing(self) -> None:
        found = await self.report("demo/vllm-0.17.0-empty-body")
        assert found.results[0].verdict is Verdict.UNREPAIRED

    async def test_messages(self) -> None:
        found = await self.report("demo/vllm-0.17.0-messages-tool")
        assert {result.verdict for result in found.of(MESSAGES)} <= {Verdict.REPAIRED, Verdict.UNREPAIRED}
        assert any("a tool that it was not offered" in report.seen(result) for result in found.of(MESSAGES))
        assert any("agent" in result.misled for result in found.of(MESSAGES))
        assert RESPONSES.path in found.absent


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
async def test_requests_of_clients(server: Server) -> None:
    async with Vllm(server, version=f"{server.release}.0") as upstream:
        found = await probe(options(upstream.url))
    assert found.target.version == f"{server.release}.0"
    codex = [result for result in found.results if result.case.client == "Codex"]
    assert [result.verdict for result in codex] == [Verdict.REPAIRED] * 2, [
        report.found(each) for each in codex
    ]
    assert {"namespace_tools", "encrypted_reasoning"} & {name for result in codex for name in result.requests}
    assert all("Codex" in result.clients for result in codex)
    following = next(result for result in found.results if result.case.name == "AI SDK: next turn")
    assert following.verdict is Verdict.REPAIRED
    assert "item_references" in following.requests
    assert found.exit_code in {ExitCode.REPAIRED, ExitCode.UNREPAIRED}


class TestVerdicts:
    async def test_fine(self) -> None:
        found = await report_of(chat(CONFORMING))
        first = found.results[0]
        assert first.verdict is Verdict.FINE
        assert (report.seen(first), report.found(first), first.clients, first.limit) == ("text", "", (), "")

    async def test_adapted(self) -> None:
        """Reasoning by its new name conforms; clients that read the old one get that too."""
        thought = chunk({"role": "assistant", "reasoning": "Hm."})
        found = await report_of(chat(thought + CONFORMING.replace(b'"role": "assistant", ', b"")))
        assert found.results[0].verdict is Verdict.ADAPTED
        assert found.results[0].corrections == ("reasoning_names",)
        assert report.seen(found.results[0]) == "reasoning, text"

    async def test_repaired(self) -> None:
        body = CONFORMING.replace(b"data: [DONE]\n\n", b"")
        found = await report_of(chat(body))
        assert found.results[0].verdict is Verdict.REPAIRED

    async def test_formal(self) -> None:
        """What breaks the protocol, and no client that was measured."""
        async with Vllm(None, version="0.32.0") as upstream:
            found = await probe(options(upstream.url))
        first = found.results[0]
        assert (first.verdict, first.corrections) == (Verdict.FORMAL, ("done_sentinel",))
        assert "the protocol wants it" in report.text(found, Screen())
        assert "not measured with real clients" in report.text(found, Screen())

    async def test_a_limit_that_was_not_reported_is_no_worse_afterwards(self) -> None:
        found = await report_of(chat(CONFORMING.replace(b'"stop"', b'"length"')))
        assert found.results[0].verdict is Verdict.FINE
        assert found.results[0].misled == ()

    async def test_cut(self) -> None:
        found = await report_of(chat(CONFORMING[:200], cut=True))
        assert found.results[0].verdict is Verdict.UNREPAIRED

    async def test_refused_by_both(self) -> None:
        asked: list[dict[str, Any]] = []

        async def refuse_tools(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            asked.append(body)
            if "tools" in body:
                message = '"auto" tool choice requires --enable-auto-tool-choice'
                return web.json_response({"error": {"message": message}}, status=400)
            return web.Response(body=CONFORMING, content_type="text/event-stream")

        found = await report_of(web.post(CHAT.path, refuse_tools))
        by_name = {result.case.name: result for result in found.of(CHAT)}
        assert by_name["tool call"].verdict is Verdict.REFUSED
        assert "--enable-auto-tool-choice" in report.seen(by_name["tool call"])
        assert report.found(by_name["tool call"]) == ""
        assert by_name["AI SDK: a step"].verdict is Verdict.UNREPAIRED, "a client that sends this cannot work"
        assert all(body["stream"] is True and body["model"] == "m" for body in asked)
        assert asked[0]["max_tokens"] == ENOUGH

    async def test_not_a_stream(self) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.json_response({"choices": []})

        found = await report_of(web.post(CHAT.path, answer))
        assert found.results[0].verdict is Verdict.UNREPAIRED
        assert report.found(found.results[0]) == "not a stream, but application/json"

    @pytest.mark.parametrize("status", [400, 404, 405, 501])
    async def test_a_model_that_cannot_chat(self, status: int) -> None:
        """It refuses the simplest request: it has no chat, and nothing is said of the others."""

        async def answer(_: web.Request) -> web.StreamResponse:
            message = "The model does not support Chat Completions API"
            return web.json_response({"error": {"message": message}}, status=status)

        found = await report_of(web.post(CHAT.path, answer))
        assert "does not support" in found.absent[CHAT.path]
        assert found.exit_code is ExitCode.UNPROBED, "nothing could be tried"
        assert "could not be probed" in report.text(found, Screen())

    async def test_the_server_breaks_its_connections(self) -> None:
        async def leave(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.close()
            return web.Response()

        found = await report_of(web.post(CHAT.path, leave))
        assert found.results[0].verdict is Verdict.UNREPAIRED
        assert "closed the connection" in found.results[0].limit


async def test_a_server_that_dies() -> None:
    asked = 0

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked > 3:
            return web.json_response({"error": {"message": "EngineCore encountered an issue."}}, status=500)
        return web.Response(body=CONFORMING, content_type="text/event-stream")

    async def health(_: web.Request) -> web.Response:
        return web.Response(status=503 if asked > 3 else 200)

    found = await report_of(web.post(CHAT.path, answer), web.get("/health", health))
    assert found.died_at is not None
    assert found.count(Verdict.SKIPPED) > 0
    assert asked < 12
    assert "DIED" in report.text(found, Screen())
    assert "DIED" in page(found, "now")
    assert found.exit_code is ExitCode.UNREPAIRED


class TestBounds:
    async def test_silence_is_bounded(self) -> None:
        released = asyncio.Event()

        async def hang(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(chunk({"role": "assistant", "content": "Hi"}))
            await released.wait()
            return response

        async with serving(application(web.post(CHAT.path, hang)), "127.0.0.1") as url:
            found = await probe(options(url, silence_seconds=0.05))
            released.set()
        plain = [result for result in found.of(CHAT) if result.case.client is None]
        assert {result.verdict for result in plain} == {Verdict.UNREPAIRED}
        assert "fell silent" in plain[0].limit

    async def test_a_server_that_takes_requests_and_says_nothing(self) -> None:
        released = asyncio.Event()

        async def hang(_: web.Request) -> web.StreamResponse:
            await released.wait()
            return web.Response()

        async with serving(application(web.post(CHAT.path, hang)), "127.0.0.1") as url:
            found = await probe(options(url, silence_seconds=0.05))
            released.set()
        assert "no answer in time" in report.found(found.results[0])

    async def test_the_whole_is_bounded(self) -> None:
        released = asyncio.Event()

        async def hang(_: web.Request) -> web.StreamResponse:
            await released.wait()
            return web.Response()

        async with serving(application(web.post(CHAT.path, hang)), "127.0.0.1") as url:
            began = time.monotonic()
            found = await probe(options(url, most_seconds=0.3))
            released.set()
        assert time.monotonic() - began < 5
        assert {result.verdict for result in found.of(CHAT)} == {Verdict.SKIPPED}
        assert found.results[0].remark == "there was no time left"
        assert found.exit_code is ExitCode.UNPROBED

    async def test_a_server_that_does_not_say_what_it_is_in_time(self) -> None:
        released = asyncio.Event()

        async def hang(_: web.Request) -> web.StreamResponse:
            await released.wait()
            return web.Response()

        app = web.Application()
        app.add_routes([web.get("/v1/models", hang)])
        async with serving(app, "127.0.0.1") as url:
            with pytest.raises(ProbeError, match="no answer in time"):
                await probe(options(url, most_seconds=0.1))
            with pytest.raises(ProbeError, match="no answer in time"):
                await probe(options(url, silence_seconds=0.1))
            released.set()

    async def test_requests_are_counted(self) -> None:
        seen = 0

        async def answer(_: web.Request) -> web.StreamResponse:
            nonlocal seen
            seen += 1
            return web.Response(body=CONFORMING, content_type="text/event-stream")

        progress: list[tuple[int, int]] = []
        async with serving(application(web.post(CHAT.path, answer)), "127.0.0.1") as url:
            found = await probe(options(url), lambda done, total: progress.append((done, total)))
        assert seen + 3 == found.sent, "three families are not there"
        assert found.sent < 60
        assert progress[-1][0] == progress[-1][1] == len(found.results)


def page_of(status: int, **headers: str) -> web.Application:
    """Make a server that answers everything with a page."""

    async def answer(_: web.Request) -> web.Response:
        text = "<html><head><title>Welcome to nginx!</title></head></html>"
        return web.Response(status=status, text=text, content_type="text/html", headers=headers)

    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", answer)])
    return app


class TestNotVllm:
    async def fails(self, app: web.Application, **more: Any) -> str:
        async with serving(app, "127.0.0.1") as url:
            with pytest.raises(ProbeError) as raised:
                await probe(options(url, **more))
        return str(raised.value)

    async def test_nothing_listens(self) -> None:
        with pytest.raises(ProbeError, match="nothing listens there"):
            await probe(options(f"http://127.0.0.1:{free_port()}"))

    @pytest.mark.parametrize("status", [200, 404, 502])
    async def test_a_web_server(self, status: int) -> None:
        said = await self.fails(page_of(status, Server="nginx/1.24"))
        assert "page of HTML" in said
        assert f"HTTP {status}, 'Welcome to nginx!'" in said
        assert "(nginx/1.24)" in said

    @pytest.mark.parametrize(
        ("document", "wanted"),
        [
            ({}, "is not a list of models"),
            ([], "is not a list of models"),
            ({"data": []}, "serves no model"),
            ({"data": [1]}, "serves no model"),
        ],
    )
    async def test_no_models(self, document: Any, wanted: str) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response(document)

        app = web.Application()
        app.add_routes([web.get("/v1/models", answer)])
        assert wanted in await self.fails(app)

    async def test_an_error_instead_of_models(self) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response({"error": {"message": "the engine is dead"}}, status=500)

        app = web.Application()
        app.add_routes([web.get("/v1/models", answer)])
        assert "HTTP 500" in (said := await self.fails(app))
        assert "the engine is dead" in said

    async def test_sent_elsewhere(self) -> None:
        async def answer(_: web.Request) -> web.Response:
            raise web.HTTPFound("https://elsewhere.example/")

        app = web.Application()
        app.add_routes([web.get("/v1/models", answer)])
        assert "sends on to https://elsewhere.example/" in await self.fails(app)

    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_key(self, status: int) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response({"error": f"Unauthorized: {KEY}"}, status=status)

        app = web.Application()
        app.add_routes([web.get("/v1/models", answer)])
        assert "--api-key-env NAME" in await self.fails(app)
        assert "the API key in MY_KEY" in await self.fails(app, key=KEY, key_name="MY_KEY")

    @pytest.mark.parametrize(("wanted", "said"), [("mm", "did you mean m?"), ("other", "there are: m")])
    async def test_a_model_that_is_not_served(self, wanted: str, said: str) -> None:
        assert said in await self.fails(application(), model=wanted)

    async def test_http_where_https_is_spoken(self) -> None:
        async with serving(application(), "127.0.0.1") as url:
            with pytest.raises(ProbeError, match="TLS"):
                await probe(options(url.replace("http:", "https:")))

    async def test_a_certificate_that_is_not_trusted(self, tmp_path: Path) -> None:
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        runner = web.AppRunner(application(chat(CONFORMING)), access_log=None, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        with pytest.raises(ProbeError, match="--ca-file"):
            await probe(options(url))
        settings = ServerSettings(upstream=url, upstream_ca_file=str(tmp_path / "ca.pem"))
        found = await probe(Options(settings))
        assert found.results[0].verdict is Verdict.FINE
        await runner.cleanup()

    async def test_something_in_front(self) -> None:
        async with serving(application(version=None), "127.0.0.1") as url:
            found = await probe(options(url))
        assert "no /version" in found.target.notes[0]
        assert "without /version" in report.text(found, Screen())

    async def test_a_proxy_is_there_already(self) -> None:
        async with serving(make_upstream(event_delay_seconds=0), "127.0.0.1") as url:
            server = ProxyServer(ServerSettings(upstream=url, port=0, admin_port=0))
            await server.start()
            found = await probe(options(f"http://127.0.0.1:{server.port}", model="demo/dict-delta"))
            await server.stop()
        assert "in front of this server already" in found.target.notes[0]
        assert {result.verdict for result in found.of(RESPONSES)} <= {Verdict.FINE, Verdict.ADAPTED}

    async def test_the_demo_is_told_from_a_vllm(self) -> None:
        """It has one recording for all requests, so what is missing there is not a server's fault."""
        async with serving(make_upstream(event_delay_seconds=0), "127.0.0.1") as url:
            found = await probe(options(url, model="demo/dict-delta"))
        (note,) = found.target.notes
        assert note.startswith("This is the demo")

    async def test_a_proxy_on_the_ports_that_serve_has_by_default(self) -> None:
        """What is probed may listen where a proxy listens by default, which probe itself does not."""
        for port in 9000, 9001:
            assert _settings(Namespace(url=f"http://127.0.0.1:{port}", ca_file=None)).upstream.endswith(
                str(port)
            )

    async def test_a_unix_socket(self, tmp_path: Path) -> None:
        runner = web.AppRunner(application(chat(CONFORMING)), access_log=None, shutdown_timeout=0)
        await runner.setup()
        path = tmp_path / "vllm.sock"
        await web.UnixSite(runner, str(path)).start()
        found = await probe(options(f"unix:{path}"))
        assert found.results[0].verdict is Verdict.FINE
        assert found.target.url == f"unix:{path}"
        assert not any("at the address" in (result.remark or "") for result in found.results)
        await runner.cleanup()
        with pytest.raises(ProbeError, match="--uds"):
            await probe(options(f"unix:{path}"))
        with pytest.raises(ProbeError, match=r"No such file or directory\. Is vLLM running, with --uds"):
            await probe(options(f"unix:{tmp_path}/none.sock"))

    async def test_a_refused_request_at_a_unix_socket(self, tmp_path: Path) -> None:
        """It goes a second time, through a proxy on loopback."""
        runner = web.AppRunner(application(), access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "vllm.sock")).start()
        found = await probe(options(f"unix:{tmp_path}/vllm.sock"))
        assert found.absent
        await runner.cleanup()

    def test_other_errors_are_named(self) -> None:
        assert unreachable("u", aiohttp.ClientPayloadError()) == "u: ClientPayloadError"
        assert "TLS failed: REASON" in unreachable("u", _ssl_error())


def _ssl_error() -> ssl.SSLError:
    error = ssl.SSLError(1, "x")
    error.reason = "REASON"
    return error


class TestSecrets:
    """The key goes to the server, and nowhere else, whatever the server does with it."""

    @pytest.mark.parametrize("status", [200, 400])
    async def test_a_server_that_repeats_the_key(self, status: int) -> None:
        got: set[str] = set()

        async def answer(request: web.Request) -> web.StreamResponse:
            sent = request.headers["Authorization"]
            got.add(sent)
            if status == 200:
                body = CONFORMING.replace(b"Hi.", sent.encode())
                return web.Response(body=body, content_type="text/event-stream")
            return web.json_response({"error": {"message": f"no: {sent}"}}, status=status)

        async with serving(application(web.post(CHAT.path, answer)), "127.0.0.1") as url:
            wanted = options(url, key=KEY, key_name="MY_KEY")
            found = await probe(wanted)
        assert got == {f"Bearer {KEY}"}
        for said in (report.text(found, Screen(), details=True), report.as_text(found), page(found, "now")):
            assert KEY not in said
            assert "[key]" in said or status == 200
        assert KEY not in repr(wanted)

    async def test_user_and_password_of_the_url(self) -> None:
        got: set[str] = set()

        async def answer(request: web.Request) -> web.StreamResponse:
            got.add(request.headers["Authorization"])
            return web.Response(body=CONFORMING, content_type="text/event-stream")

        async with serving(application(web.post(CHAT.path, answer)), "127.0.0.1") as url:
            found = await probe(options(url.replace("//", "//me:hidden@")))
        assert got == {"Basic bWU6aGlkZGVu"}
        assert "hidden" not in report.text(found, Screen()) + report.as_text(found)


class _Checker(HTMLParser):
    """Collects what a page opens and does not close, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        self.fetched += [name for name, _ in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class TestReports:
    @pytest.fixture
    async def found(self) -> Report:
        async with serving(make_upstream(event_delay_seconds=0), "127.0.0.1") as url:
            return await probe(options(url, model="demo/vllm-0.12.0-tool-call"))

    async def test_text_fits_the_screen(self, found: Report) -> None:
        for width in (60, 100, 140):
            for details in (False, True):
                text = report.text(found, Screen(width=width), details=details)
                assert max(map(len, text.splitlines())) <= width
        assert "── responses: text" in report.text(found, Screen(), details=True)

    async def test_json(self, found: Report) -> None:
        document = json.loads(report.as_text(found))
        assert document["probe"] == __version__
        assert document["exit_code"] == found.exit_code
        assert sum(document["verdicts"].values()) == len(document["results"])
        assert document["results"][0]["violations"]
        assert document["results"][0]["sent"]["model"] == "demo/vllm-0.12.0-tool-call"
        assert all(finding["summary"] for finding in document["repairs"])

    async def test_page_is_whole_and_needs_nothing(self, found: Report) -> None:
        text = page(found, "2026-11-26 12:00 UTC")
        checker = _Checker()
        checker.feed(text)
        assert (checker.open, checker.fetched) == ([], [])
        assert "://" not in text.replace(found.target.url, "")

    async def test_what_a_server_says_is_escaped(self) -> None:
        async with serving(
            application(chat(CONFORMING.replace(b"Hi.", b"<script>")), models=["<b>m</b>"], version="<i>"),
            "127.0.0.1",
        ) as url:
            found = await probe(options(url))
        text = page(found, "now")
        assert "<script>" not in text
        assert "<b>m" not in text
        assert "<i>" not in text

    async def test_control_characters_do_not_reach_the_terminal(self) -> None:
        async with serving(
            application(chat(CONFORMING), models=["m\033[2J"], version="1\033[2J"), "127.0.0.1"
        ) as url:
            found = await probe(options(url))
        assert "\033" not in report.text(found, Screen(), details=True)


class TestCommand:
    async def run(self, *arguments: str) -> int:
        return await asyncio.to_thread(main, ["probe", *arguments])

    async def test_everything(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_KEY", KEY)
        monkeypatch.setenv("SSE_PROXY_UPSTREAM", "http://elsewhere:1")
        file = tmp_path / "page.html"
        async with serving(application(chat(CONFORMING)), "127.0.0.1") as url:
            code = await self.run(url, "--json", "--html", str(file), "--api-key-env", "MY_KEY")
        document = json.loads(capsys.readouterr().out)
        assert (code, document["url"]) == (document["exit_code"], url)
        assert "<!doctype html>" in file.read_text("utf-8")
        assert KEY not in file.read_text("utf-8")

    async def test_for_people(self, capsys: pytest.CaptureFixture[str]) -> None:
        async with serving(make_upstream(event_delay_seconds=0), "127.0.0.1") as url:
            assert await self.run(url, "--details") == ExitCode.UNREPAIRED
        out, error = capsys.readouterr()
        assert "(exit code 3)" in out
        assert "matters to: all 11 clients" in out
        assert error == ""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nonsense"], "'nonsense' must start with http://"),
            (["http://a b"], "has a space"),
            (["http://a:1", "--api-key-env", "NOT_SET"], "NOT_SET is not set"),
            (["http://a:1", "--api-key-env", "ODD"], "cannot be sent"),
            (["http://a:1", "--html", "/no/such/folder/page.html"], "No such file"),
            (["https://a:1", "--ca-file", "/no/such/file"], "--ca-file: /no/such/file: No such file"),
            (["http://a:1", "--ca-file", "/no/such/file"], "--ca-file: only an https:// upstream"),
            (["unix:some.sock"], "must have the whole path of a socket"),
        ],
    )
    async def test_usage(
        self,
        arguments: list[str],
        said: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("ODD", "a\nb")
        assert await self.run(*arguments) == ExitCode.USAGE
        assert said in capsys.readouterr().err

    async def test_unprobed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert await self.run(f"http://127.0.0.1:{free_port()}") == ExitCode.UNPROBED
        assert "nothing listens" in capsys.readouterr().err

    @pytest.mark.parametrize("value", ["0", "-1", "nan", "soon"])
    async def test_times(self, value: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["probe", "http://a:1", "--most-seconds", value])
        assert f"'{value}' is not a number above 0" in capsys.readouterr().err


def test_cases_have_names_of_their_own() -> None:
    for cases in FAMILIES:
        assert len({case.name for case in cases}) == len(cases)
        assert len({case.protocol.path for case in cases}) == 1
        assert 10 <= len(cases) <= 16
    assert FAMILIES[0] is RESPONSES_CASES


def test_nothing_to_continue() -> None:
    following = next(case for case in RESPONSES_CASES if case.follow is not None)
    assert following.follow is not None
    assert following.follow(Answer(200, "text/event-stream", b"data: {}\n\n", cut=False)) is None


def test_affected_clients_are_those_that_were_measured() -> None:
    assert AFFECTED.read_text("utf-8") == affected_clients(), "run `make docs`"
