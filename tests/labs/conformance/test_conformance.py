"""The harness of the conformance suites, and what is made of its results. The suites themselves are not run here."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.labs import results
from tests.labs.clients.installation import InstallationError
from tests.labs.conformance import run as runner
from tests.labs.conformance.suites import CHECKOUT, SUITES, Check, Suite
from tests.labs.conformance.table import EXPLANATIONS, Explanation, failures, server_table, suite_table
from tests.labs.conformance.upstream import MODEL, SERVERS, RecordedUpstream, Server
from tests.support.replay import bodies

if TYPE_CHECKING:
    from pathlib import Path

LLM_COMPLY, LLMPROBE, OPEN_RESPONSES = SUITES
PROGRAM = """
import json, sys, urllib.request
asked = json.dumps({"model": sys.argv[2], "input": "?", "stream": True}).encode()
body = urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/responses", asked)).read().decode()
ended = body.rstrip().endswith("data: [DONE]")
print(json.dumps({"results": [{"id": "ends-with-done", "status": "passed" if ended else "failed", "errors": ["no [DONE]"]}]}))
"""
"""A suite of one check, which vLLM fails and the proxy passes."""


def of_one_check(program: str = PROGRAM) -> Suite:
    return replace(
        LLM_COMPLY,
        command=lambda url, model: [sys.executable, "-c", program, url, model],
        streamed=("ends-with-done",),
    )


class TestRecordedUpstream:
    @pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
    async def test_says_what_the_server_said(self, server: Server) -> None:
        async with RecordedUpstream() as upstream, aiohttp.ClientSession(upstream.url) as client:
            upstream.server = server
            for tools in ([], [{"type": "function", "name": "f"}]):
                recorded = server.recording(tools=bool(tools))
                asked = {"model": MODEL, "input": "?", "tools": tools}
                async with client.post("/v1/responses", json={**asked, "stream": True}) as answer:
                    assert answer.content_type == "text/event-stream"
                    assert await answer.read() == recorded.body
                async with client.post("/v1/responses", json=asked) as answer:
                    assert await answer.json() == list(bodies(recorded.body))[-1]["response"]

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("GET", "/v1/models", None, 200),
            ("POST", "/v1/chat/completions", b"{}", 404),
            ("GET", "/v1/responses", None, 404),
            ("POST", "/v1/responses", b"{", 400),
            ("POST", "/v1/responses", b"[]", 400),
            ("POST", "/v1/responses", b'{"input": 42}', 400),
            ("POST", "/v1/responses", b'{"input": "?", "model": "other"}', 404),
            ("POST", "/v1/responses", b'{"input": "?"}', 200),
        ],
    )
    async def test_has_nothing_else(self, method: str, path: str, body: bytes | None, status: int) -> None:
        async with (
            RecordedUpstream() as upstream,
            aiohttp.ClientSession(upstream.url) as client,
            client.request(method, path, data=body) as answer,
        ):
            assert answer.status == status
            assert isinstance(await answer.json(), dict)


class TestReading:
    def test_of_a_list_of_results(self) -> None:
        long = "x" * 300 + " is wrong"
        printed = {
            "results": [
                {"id": "b", "status": "failed", "errors": ["1", "1", long, "3", "4", "5"]},
                {"id": "a", "status": "passed", "errors": ["a warning"]},
                {"id": "c", "status": "skipped", "errors": ["why"]},
            ]
        }
        first, second, third = LLM_COMPLY.read(printed)
        assert (first, third) == (Check("a", "pass"), Check("c", "skip"))
        assert second.outcome == "fail"
        assert second.details[0] == "1"
        assert second.details[1].endswith("is wrong")
        assert len(second.details[1]) == 170
        assert second.details[2:] == ("3", "and 2 more")

    def test_of_llmprobe(self) -> None:
        must = {"id": "m", "severity": "MUST", "message": "no"}
        results = [
            {"id": "r", "surface": "responses", "outcome": "fail", "failures": [must, {**must, "severity": "SHOULD"}]},
            {"id": "s", "surface": "responses", "outcome": "inconclusive", "failures": []},
            {"id": "c", "surface": "chat", "outcome": "fail", "failures": [must]},
        ]  # fmt: skip
        assert LLMPROBE.read({"conformance": {"results": results}}) == [
            Check("r", "fail", ("m: no",)), Check("s", "skip"),
        ]  # fmt: skip


class TestRunning:
    async def test_what_vllm_fails_the_proxy_passes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runner, "SERVERS", SERVERS[:2])
        (made,) = (await runner.judge_recorded([of_one_check()])).values()
        assert list(made["servers"]) == [server.name for server in SERVERS[:2]]
        for outcomes in made["servers"].values():
            assert outcomes == {"ends-with-done": ["fail", "pass", "pass", ["no [DONE]"]]}

    async def test_a_running_server_is_judged_in_the_same_ways(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async with RecordedUpstream() as upstream:
            await runner.judge_running([of_one_check()], upstream.url)
        printed = capsys.readouterr().out
        assert "straight 0, openai 1, open-responses 1" in printed
        assert "ends-with-done: fail → pass → pass: no [DONE]" in printed

    async def test_a_suite_that_prints_no_results_is_an_error(self) -> None:
        with pytest.raises(InstallationError, match="oh dear"):
            await of_one_check("raise SystemExit('oh dear')").run("http://127.0.0.1:1", MODEL)

    def test_open_responses_needs_a_checkout(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv(CHECKOUT, raising=False)
        with pytest.raises(InstallationError, match=CHECKOUT):
            OPEN_RESPONSES.install()
        monkeypatch.setenv(CHECKOUT, str(tmp_path))
        with pytest.raises(InstallationError, match=CHECKOUT):
            OPEN_RESPONSES.version()
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "compliance-test.ts").touch()
        (tmp_path / "public" / "openapi").mkdir(parents=True)
        (tmp_path / "public" / "openapi" / "openapi.json").write_text('{"info": {"version": "1"}}', "utf-8")
        assert OPEN_RESPONSES.version() == "OpenAPI 1"
        assert str(tmp_path / "bin" / "compliance-test.ts") in OPEN_RESPONSES.command("http://a/v1", MODEL)

    def test_results_are_written_over_what_there_was(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(results, "FOLDER", tmp_path)
        found: dict[str, Any] = {
            "version": "1",
            "date": "2026-01-01",
            "servers": {"s": {"c": ["fail", "pass", "skip", ["why"]]}, "t": {"d": ["pass"] * 3 + [[]]}},
        }
        one = runner.kept_of({"llmprobe": found})["llmprobe"]
        assert one.servers == {"s": {"c": ("fail", "pass", "skip")}, "t": {"d": ("pass",) * 3}}
        runner.write_results({"llmprobe": one})
        runner.write_results({"llm-comply": one, "llmprobe": replace(one, version="2")})
        written = runner.read_results()
        assert written == {"llm-comply": one, "llmprobe": replace(one, version="2")}
        assert list(written) == ["llm-comply", "llmprobe"]

    def test_the_tables_say_what_was_not_run_yet(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(results, "FOLDER", tmp_path)
        checks: runner.Kept = dict.fromkeys(LLMPROBE.streamed, ("fail", "pass", "pass"))
        runner.write_results({"llmprobe": runner.Results("1", "2026-01-01", {SERVERS[0].name: checks})})
        (first, second) = server_table().splitlines()[2:4]
        assert first.count("✗ ✓ ✓") == len(LLMPROBE.streamed)
        assert first.count("not run yet") == len(LLM_COMPLY.streamed) + len(OPEN_RESPONSES.streamed)
        assert "✓" not in second
        assert suite_table().count("not run yet") == len(SUITES) - 1

    @pytest.mark.parametrize(
        ("each", "code"), [("pass fail pass", 0), ("pass pass fail", 1), ("fail fail fail", 0)]
    )
    def test_a_check_that_only_the_proxy_fails_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, each: str, code: int
    ) -> None:
        async def judged(_: object) -> dict[str, Any]:
            return {"llm-comply": {"servers": {"s": {"ends-with-done": [*each.split(), []]}}}}

        monkeypatch.setattr(results, "WHOLE", tmp_path)
        monkeypatch.setattr(runner, "SUITES", (of_one_check(),))
        monkeypatch.setattr(Suite, "install", lambda _: None)
        monkeypatch.setattr(runner, "judge_recorded", judged)
        assert runner.main([]) == code


class TestResults:
    def test_hold_the_pinned_versions(self) -> None:
        kept = runner.read_results()
        for suite in (LLM_COMPLY, LLMPROBE):
            assert kept[suite.name].version == suite.version()

    def test_what_fails_is_explained(self) -> None:
        assert not [one for one in failures() if not any(known.explains(*one) for known in EXPLANATIONS)]

    @pytest.mark.parametrize("explanation", EXPLANATIONS, ids=lambda one: one.title)
    def test_every_explanation_is_needed(self, explanation: Explanation) -> None:
        assert any(explanation.explains(*one) for one in failures())

    def test_no_check_of_a_stream_is_lost(self) -> None:
        for suite in SUITES:
            for outcomes in runner.read_results()[suite.name].servers.values():
                for id_ in suite.streamed:
                    straight, *through = outcomes[id_]
                    assert straight != "pass" or through == ["pass", "pass"]
