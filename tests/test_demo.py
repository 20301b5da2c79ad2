"""The demo: its upstream, its imitations of clients, and the whole of it, as users start it."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx2
import orjson
import pytest
from openai import OpenAI

from vllm_sse_proxy import BodyEnd, StreamNormalizer, build_plan, demo
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.demo import session
from vllm_sse_proxy.demo.agents import read_like_chat_agent, read_like_messages_agent
from vllm_sse_proxy.demo.clients import Answer, read_like_codex, read_like_openai_helper
from vllm_sse_proxy.demo.protocols import CHAT, MESSAGES, RESPONSES
from vllm_sse_proxy.demo.report import WIDTH, Comparison, Screen, Side, render, summary
from vllm_sse_proxy.demo.scenarios import SCENARIOS, scenario_for
from vllm_sse_proxy.demo.session import Options, serving
from vllm_sse_proxy.demo.upstream import events_of, make_upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from vllm_sse_proxy.demo.clients import Reading
    from vllm_sse_proxy.demo.scenarios import Scenario

ROOT = Path(__file__).parents[1]
STREAM = "text/event-stream"
IDS = [scenario.name for scenario in SCENARIOS]
OF_RESPONSES = [scenario for scenario in SCENARIOS if scenario.protocol is RESPONSES]
FAST = Options(once=True, event_delay_seconds=0)


def stream(*events: dict[str, Any], cut: bool = False, done: bool = False) -> Answer:
    body = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
    return Answer(200, STREAM, body + (b"data: [DONE]\n\n" if done else b""), cut)


def created(id_: str = "resp_1") -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": id_, "output": []}}


def completed(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"id": "resp_1", "output": list(output), **fields}}


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": "item_1", **fields}


def message(text: str) -> dict[str, Any]:
    return item(
        "message", role="assistant", content=[{"type": "output_text", "text": text, "annotations": []}]
    )


def added(entry: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": entry}


def finished(entry: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": entry}


class TestScenarios:
    def test_everything_shipped_is_used_and_the_other_way_round(self) -> None:
        shipped = {
            path.name for path in (ROOT / "proxy" / "vllm_sse_proxy" / "demo" / "recordings").glob("*.sse")
        }
        assert shipped == {f"{scenario.name}.sse" for scenario in SCENARIOS}

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
    def test_request_asks_for_this_recording_as_a_stream(self, scenario: Scenario) -> None:
        assert scenario.request["model"] == scenario.model
        assert scenario.request["stream"] is True

    def test_the_rebuilt_one_says_that_it_is_no_recording(self) -> None:
        assert "not recorded" in SCENARIOS[0].origin
        assert all("recorded from vLLM" in scenario.origin for scenario in SCENARIOS[1:])

    @pytest.mark.parametrize(
        ("model", "text"), [("demo/dict-delta", None), ("dict-delta", ""), ("gpt", "demo/dict-delta")]
    )
    def test_found_by_model_or_by_input(self, model: str, text: str | None) -> None:
        assert scenario_for(model, text) is SCENARIOS[0]

    def test_not_found(self) -> None:
        assert scenario_for("gpt", ["demo/dict-delta"]) is None


class TestUpstream:
    @pytest.fixture
    async def url(self) -> AsyncIterator[str]:
        async with serving(make_upstream(event_delay_seconds=0), "127.0.0.1") as url:
            yield url

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
    async def test_replays_what_was_recorded_and_ends_as_it_ended(self, url: str, scenario: Scenario) -> None:
        async with aiohttp.ClientSession() as client:
            answer = await session.ask(client, url, scenario)
        assert (answer.status, answer.content_type) == (200, STREAM)
        assert answer.body == scenario.body
        assert answer.cut is scenario.cut

    async def test_unknown_model_is_an_error_in_vllms_form(self, url: str) -> None:
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{url}/v1/responses", json={"model": "gpt"}) as response,
        ):
            assert response.status == 404
            error = (await response.json())["error"]
        assert error["type"] == "NotFoundError"
        assert SCENARIOS[0].model in error["message"]

    @pytest.mark.parametrize("path", [CHAT.path, MESSAGES.path])
    async def test_a_client_that_leaves_is_no_error(
        self, path: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        scenario = next(each for each in SCENARIOS if each.protocol.path == path)
        async with serving(make_upstream(event_delay_seconds=0.01), "127.0.0.1") as url:
            host, _, port = url.removeprefix("http://").partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            body = orjson.dumps(dict(scenario.request))
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await reader.readuntil(b"data: ")
            writer.transport.abort()
        assert not caplog.records

    async def test_a_message_that_nobody_recorded(self, url: str) -> None:
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{url}{MESSAGES.path}", json={"model": "gpt"}) as response,
        ):
            assert response.status == 404
            assert "vllm-0.17.0-messages-tool" in (await response.json())["error"]["message"]

    @pytest.mark.parametrize("body", [b"no json", b"[]"])
    async def test_a_body_that_is_no_request(self, url: str, body: bytes) -> None:
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{url}/v1/responses", data=body) as response,
        ):
            assert response.status == 404

    async def test_without_stream_gives_the_final_object(self, url: str) -> None:
        async with aiohttp.ClientSession() as client:
            for model, status in ((SCENARIOS[0].model, 200), ("demo/vllm-0.17.0-crash", 500)):
                async with client.post(f"{url}/v1/responses", json={"model": model}) as response:
                    assert response.status == status
                    assert ("output" in await response.json()) is (status == 200)

    async def test_the_rest_of_vllm(self, url: str) -> None:
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{url}/v1/models") as response:
                assert [model["id"] for model in (await response.json())["data"]] == [
                    s.model for s in SCENARIOS
                ]
            for path in ("/health", "/version"):
                async with client.get(url + path) as response:
                    assert response.status == 200
            async with client.post(f"{url}/v1/chat/completions", json={}) as response:
                assert (await response.json())["choices"][0]["finish_reason"] == "stop"
            async with client.post(f"{url}/v1/chat/completions", json={"stream": True}) as response:
                assert (await response.read()).endswith(b"data: [DONE]\n\n")

    def test_events_of_loses_nothing(self) -> None:
        for scenario in SCENARIOS:
            assert b"".join(events_of(scenario.body)) == scenario.body


def openai_package_reads(body: bytes) -> tuple[str, str]:
    """Return what the real helper raises, and the text that it has otherwise."""
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": STREAM}, content=body)
    )
    http_client = httpx2.Client(transport=transport)
    with (
        OpenAI(api_key="-", base_url="http://upstream/v1", http_client=http_client, max_retries=0) as client,
        client.responses.stream(model="m", input="-") as stream,
    ):
        try:
            return "", stream.get_final_response().output_text
        except Exception as error:  # noqa: BLE001 - whatever the package raises
            return f"{type(error).__name__}: {error}".removesuffix(": "), ""


class TestOpenaiHelper:
    @pytest.mark.parametrize("scenario", OF_RESPONSES, ids=lambda scenario: scenario.name)
    @pytest.mark.parametrize("repaired", [False, True])
    def test_reads_as_the_real_package_does(self, scenario: Scenario, repaired: bool) -> None:  # noqa: FBT001
        body = scenario.body
        if repaired:
            normalizer = StreamNormalizer(build_plan(strict=True))
            body = normalizer.feed(body) + normalizer.finish(BodyEnd.CUT if scenario.cut else BodyEnd.EOF)
        raised, text = openai_package_reads(body)
        reading = read_like_openai_helper(Answer(200, STREAM, body, cut=False))
        assert "; ".join(reading.problems) == raised
        assert "".join(reading.texts) == text

    @pytest.mark.parametrize(
        "events",
        [
            [completed()],
            [created(), {"type": "response.in_progress", "response": {"id": "resp_2"}}],
            [created(), added(message("")), added(message(""))],
            [
                created(),
                {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"},
            ],
            [
                created(),
                added(item("function_call", call_id="c", name="f", arguments="")),
                {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": {"a": 1}},
            ],
            [
                created(),
                added(item("message", role="assistant", content=[])),
                {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"},
            ],
            [created(), added(message("")), finished(item("reasoning", summary=[]))],
            [created(), finished(message(""), 0), finished(message(""), 1)],
            [created(), added(message("")), completed()],
            [created(), added(message("")), completed(message("Hi"))],
            [
                created(),
                finished(item("function_call", call_id="c", name="f", arguments="")),
                completed(
                    {"type": "function_call", "id": "other", "call_id": "c", "name": "f", "arguments": ""}
                ),
            ],
            [created(), {"error": {"message": "out of memory"}}],
            [created(), {"type": "response.unheard_of"}, completed(message("Hi"))],
            [created()],
        ],
    )
    def test_every_rule_as_the_real_package_has_it(self, events: list[dict[str, Any]]) -> None:
        answer = stream(*events, done=True)
        raised, text = openai_package_reads(answer.body)
        reading = read_like_openai_helper(answer)
        assert "; ".join(reading.problems) == raised
        assert "".join(reading.texts) == text

    @pytest.mark.parametrize(
        ("entry", "index", "problem"),
        [
            (item("reasoning", summary=[]), 0, "AssertionError"),
            (item("message", content=[]), None, "TypeError: list indices must be integers or slices"),
        ],
    )
    def test_text_in_the_wrong_place(self, entry: dict[str, Any], index: int | None, problem: str) -> None:
        delta = {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": index,
            "delta": "a",
        }
        assert read_like_openai_helper(stream(created(), added(entry), delta)).problems == [problem]

    def test_a_cut_body(self) -> None:
        assert read_like_openai_helper(stream(created(), cut=True)).problems == [
            "APIConnectionError: Connection error."
        ]

    def test_an_http_error(self) -> None:
        answer = Answer(502, "application/json", b'{"error":{"message":"gone"}}', cut=False)
        assert read_like_openai_helper(answer).problems == ["HTTP 502: gone"]


class TestCodex:
    def test_drops_what_does_not_fit_its_fields(self) -> None:
        reading = read_like_codex(
            stream(
                {"type": "response.output_text.delta", "delta": {"content": "We"}},
                {"type": "response.output_text.delta", "delta": ["We"]},
                {"type": "response.output_text.delta", "content_index": "0"},
                {"type": "response.output_text.delta", "content_index": True},
                {"no": "type"},
                finished(message("Hi")),
                completed(),
                done=True,
            )
        )
        assert reading.problems == [
            "1 events dropped: invalid type: map, expected a string",
            "1 events dropped: invalid type: sequence, expected a string",
            "1 events dropped: invalid type: string, expected i64",
            "1 events dropped: invalid type: boolean, expected i64",
            "1 events dropped: missing field `type`",
        ]
        assert reading.shows() == "Hi"

    def test_unreadable_payload_is_dropped(self) -> None:
        answer = Answer(200, STREAM, b"data: {\n\ndata: [1]\n\n", cut=False)
        assert read_like_codex(answer).problems[0] == "2 events dropped: missing field `type`"

    @pytest.mark.parametrize(
        ("events", "cut", "problem"),
        [
            ([], False, "stream disconnected before completion: stream closed before response.completed"),
            ([], True, "Transport error: network error: error decoding response body"),
            ([completed()], False, "the turn succeeds, with an empty answer"),
            (
                [{"type": "response.completed"}],
                False,
                "failed to parse ResponseCompleted: missing field `id`",
            ),
            (
                [completed(usage={"input_tokens_details": {}})],
                False,
                "failed to parse ResponseCompleted: missing field `cached_tokens`",
            ),
            ([{"type": "response.failed"}], False, "turn failed: response.failed event received"),
            (
                [
                    {
                        "type": "response.incomplete",
                        "response": {"incomplete_details": {"reason": "max_output_tokens"}},
                    }
                ],
                False,
                "Incomplete response returned, reason: max_output_tokens",
            ),
        ],
    )
    def test_endings(self, events: list[dict[str, Any]], cut: bool, problem: str) -> None:  # noqa: FBT001
        assert read_like_codex(stream(*events, cut=cut)).problems == [problem]

    def test_calls_come_from_done_items_only(self) -> None:
        call = item("function_call", name="f", arguments="{}", call_id="call_1")
        assert read_like_codex(stream(finished(call), completed())).shows() == "f({})"
        assert read_like_codex(stream(finished({**call, "call_id": None}), completed())).shows() == ""

    def test_something_else_than_a_stream(self) -> None:
        answer = Answer(200, "text/html", b"<html>", cut=False)
        assert read_like_codex(answer).problems == ["not a stream, but text/html"]
        assert not answer.is_readable

    def test_an_http_error_without_json(self) -> None:
        assert read_like_codex(Answer(502, "text/html", b"gone", cut=False)).problems == ["HTTP 502: gone"]


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def piece(index: int, name: str | None, arguments: str) -> dict[str, Any]:
    return {"index": index, "function": {"name": name, "arguments": arguments}}


CALL = {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "f"}}
CUT_CALL = [piece(0, "f", '{"a'), piece(0, None, '":')]


def block_delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stopped(reason: str) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}}


class TestAgents:
    @pytest.mark.parametrize(
        ("chunks", "problem", "shows"),
        [
            ([chunk(content="Hi"), chunk("stop")], "", "Hi"),
            ([chunk(content="Hi")], "no end: what came is taken for the answer", "Hi"),
            ([chunk(content="Hi"), chunk("length")], "the answer was cut: length", "Hi"),
            ([{"error": {"message": "gone"}}], "the SDK raises: gone", ""),
            ([{"error": "gone"}], "the SDK raises: gone", ""),
            (
                [chunk(tool_calls=CUT_CALL), chunk("tool_calls")],
                'runs a call with half of its arguments: f({"a":)',
                'f({"a":)',
            ),
            ([chunk(tool_calls=[piece(0, "f", "{}")]), chunk("tool_calls")], "", "f({})"),
            (
                [chunk(tool_calls=[piece(0, "f", "{}")]), chunk("stop")],
                "never runs f({}): the reason is stop",
                "",
            ),
            ([{"choices": 1}, {"choices": [1]}, chunk("stop", tool_calls=1)], "", ""),
        ],
    )
    def test_chat(self, chunks: list[dict[str, Any]], problem: str, shows: str) -> None:
        reading = read_like_chat_agent(stream(*chunks, done=True))
        assert ("; ".join(reading.problems), reading.shows()) == (problem, shows)

    @pytest.mark.parametrize(
        ("events", "problem", "shows"),
        [
            ([block_delta(0, text="Hi"), stopped("end_turn")], "", "Hi"),
            (
                [block_delta(0, thinking="Hm"), CALL, block_delta(1, partial_json="{}"), stopped("tool_use")],
                "",
                "f({})",
            ),
            ([CALL, stopped("end_turn")], "never runs f(): the reason is end_turn", ""),
            (
                [CALL, block_delta(1, partial_json="{"), stopped("max_tokens")],
                "the answer was cut: max_tokens",
                "",
            ),
            ([{"type": "error", "error": {"message": "gone"}}], "the SDK raises: gone", ""),
            (
                [{"type": "message_start"}, {"type": "message_delta"}],
                "no end: what came is taken for the answer",
                "",
            ),
        ],
    )
    def test_messages(self, events: list[dict[str, Any]], problem: str, shows: str) -> None:
        reading = read_like_messages_agent(stream(*events))
        assert ("; ".join(reading.problems), reading.shows()) == (problem, shows)

    @pytest.mark.parametrize("read", [read_like_chat_agent, read_like_messages_agent])
    def test_what_is_not_whole(self, read: Callable[[Answer], Reading]) -> None:
        error = Answer(502, "application/json", b'{"error":{"message":"gone"}}', cut=False)
        assert read(error).problems == ["HTTP 502: gone"]
        assert read(stream(cut=True)).problems == ["the connection broke off"]

    def test_reasoning_is_shown(self) -> None:
        assert read_like_chat_agent(stream(chunk(reasoning="Hm"))).thinking == "Hm"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestReport:
    def comparison(self) -> Comparison:
        scenario = SCENARIOS[0]
        side = Side.judge(Answer(200, STREAM, scenario.body, cut=False), scenario)
        return Comparison(scenario, side, side, {}, 0)

    def test_colours_on_a_terminal_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        assert Screen.for_stream(Terminal()).bad
        assert not Screen.for_stream(io.StringIO()).bad

    @pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
    def test_colours_can_be_refused(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv(name, value)
        assert not Screen.for_stream(Terminal()).bad

    @pytest.mark.parametrize(("columns", "width"), [("20", 60), ("72", 72), ("400", 160), ("", 100)])
    def test_fits_the_terminal(self, monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setattr("os.get_terminal_size", lambda *_: (_ for _ in ()).throw(OSError))
        assert Screen.for_stream(Terminal()).width == width
        text = render(self.comparison(), Screen(width=width))
        assert max(map(len, text.splitlines())) <= width
        assert Screen.for_stream(io.StringIO()).width == WIDTH

    def test_fits_its_width_with_colours_too(self) -> None:
        coloured = render(self.comparison(), Screen("\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[0m"))
        plain = render(self.comparison(), Screen())
        assert max(map(len, plain.splitlines())) <= WIDTH
        assert [
            line.rstrip() for line in re.sub(r"\033\[\d+m", "", coloured).splitlines()
        ] == plain.splitlines()

    def test_says_what_a_strict_client_saw(self) -> None:
        text = render(self.comparison(), Screen())
        assert "8 events dropped: invalid type: map" in text
        assert "none" in text.partition("repairs")[2]

    def test_an_error_serves_only_where_nothing_was_emitted(self) -> None:
        error = Side.judge(
            Answer(502, "application/json", b'{"error":{"message":"gone"}}', cut=False), SCENARIOS[0]
        )
        emitted = self.comparison().before
        silent = Side.judge(Answer(200, STREAM, b"", cut=True), SCENARIOS[0])
        assert Comparison(SCENARIOS[0], silent, error, {}, 0).is_served
        assert not Comparison(SCENARIOS[0], emitted, error, {}, 0).is_served

    def test_an_error_without_a_reason_serves_nobody(self) -> None:
        error = Side.judge(Answer(500, "text/plain", b"500 Internal Server Error", cut=False), SCENARIOS[0])
        assert not error.conforms
        text = render(Comparison(SCENARIOS[0], error, error, {}, 0), Screen())
        assert "an error without a reason" in text

    def test_summary_counts(self) -> None:
        assert summary([self.comparison()], Screen()) == (
            "0 of 1 answers conform after the proxy; 0 of 1 did before."
        )

    def test_what_was_not_sent_and_a_body_that_is_only_cut(self) -> None:
        good = StreamNormalizer(build_plan(strict=True))
        body = good.feed(SCENARIOS[0].body) + good.finish(BodyEnd.EOF)
        side = Side.judge(Answer(200, STREAM, body, cut=True), SCENARIOS[0])
        text = render(Comparison(SCENARIOS[0], side, side, {"string_deltas": 8}, 3), Screen())
        assert "(not sent)" in text
        assert "string_deltas 8 · renumbered 3" in text


class TestWhole:
    async def test_every_answer_conforms_after_the_proxy(self) -> None:
        out = io.StringIO()
        status = await session.run(FAST, out)
        text = out.getvalue()
        assert f"{len(SCENARIOS)} of {len(SCENARIOS)} answers conform after the proxy; 0 of" in text
        assert status == 0
        assert "string_deltas" in text
        assert max(map(len, text.splitlines())) <= WIDTH

    async def test_one_recording(self) -> None:
        out = io.StringIO()
        await session.run(Options(once=True, only=("vllm-0.17.0-crash",), event_delay_seconds=0), out)
        assert "demo/vllm-0.17.0-crash" in out.getvalue()
        assert "dict-delta" not in out.getvalue()

    async def test_a_recording_by_the_name_that_is_printed(self) -> None:
        out = io.StringIO()
        only = ("demo/vllm-0.20.2-chat-cut-call", "vllm-0.17.0-messages-tool")
        assert await session.run(Options(once=True, only=only, event_delay_seconds=0), out) == 0
        assert "2 of 2 answers conform after the proxy; 0 of 2" in out.getvalue()
        assert "runs a call with half of its arguments" in out.getvalue()
        assert "never runs lookup_order" in out.getvalue()

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            out = io.StringIO()
            assert session.main(Options(once=True, port=taken.getsockname()[1]), out) == 1
        assert "Cannot listen: " in out.getvalue()

    def test_unknown_recording(self) -> None:
        out = io.StringIO()
        assert session.main(Options(only=("nothing",)), out) == 2
        assert "dict-delta" in out.getvalue()

    async def test_serves_until_it_is_interrupted(self) -> None:
        class Interrupting(io.StringIO):
            def write(self, text: str) -> int:
                if "Ctrl-C" in text:
                    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
                return super().write(text)

        out = Interrupting()
        only = ("vllm-0.17.0-empty-body",)
        assert await session.run(Options(only=only, event_delay_seconds=0), out) == 0
        assert "curl -N http://127.0.0.1:" in out.getvalue()

    async def test_upstream_and_traffic_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What deploy/compose.yaml starts: an upstream of its own, and someone who asks for everything in it."""
        monkeypatch.setattr(session, "TRAFFIC_PAUSE_SECONDS", 0)
        served: asyncio.Queue[str] = asyncio.Queue()

        class Said(io.StringIO):
            def write(self, text: str) -> int:
                served.put_nowait(text)
                return super().write(text)

        upstream = asyncio.create_task(
            session.run(Options(upstream_only=True, event_delay_seconds=0), Said())
        )
        url = (await served.get()).split()[1].rstrip(",")
        out = io.StringIO()
        assert await session.run(Options(traffic=f"{url}/", once=True), out) == 0
        assert [line.split(":")[0] for line in out.getvalue().splitlines()] == [
            scenario.name for scenario in SCENARIOS
        ]
        assert ": 200, " in out.getvalue()
        upstream.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upstream
        assert await session.run(Options(traffic=url, once=True, only=("dict-delta",)), out) == 0
        assert ": Connection refused" in out.getvalue()

    async def test_the_upstream_alone_until_it_is_interrupted(self) -> None:
        class Interrupting(io.StringIO):
            def flush(self) -> None:
                asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)

        assert await session.run(Options(upstream_only=True), Interrupting()) == 0

    async def test_traffic_until_it_is_interrupted(self) -> None:
        class Interrupting(io.StringIO):
            def write(self, text: str) -> int:
                asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
                return super().write(text)

        out = Interrupting()
        assert await session.run(Options(traffic="http://127.0.0.1:1"), out) == 0
        assert out.getvalue().count("\n") < len(SCENARIOS)

    def test_interrupted_before_it_serves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def interrupt(*_: object) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr(session, "run", interrupt)
        assert session.main(FAST, io.StringIO()) == 0

    def test_options(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parser = ArgumentParser()
        demo.add_arguments(parser)
        seen: list[Options] = []

        def note(options: Options) -> int:
            seen.append(options)
            return 0

        monkeypatch.setattr(session, "main", note)
        namespace = parser.parse_args(
            ["--once", "--only", "dict-delta", "--port", "1", "--event-delay-ms", "2"]
        )
        assert demo.run(namespace) == 0
        assert seen == [Options(once=True, only=("dict-delta",), port=1, event_delay_seconds=0.002)]

    def test_as_a_process(self, tmp_path: Path) -> None:
        """Started as users start it, from another folder."""
        done = subprocess.run(
            [sys.executable, "-m", "vllm_sse_proxy", "demo", "--once", "--event-delay-ms", "0"],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "conform after the proxy" in done.stdout
        assert "\033[" not in done.stdout
        assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "'99999' is not a port"),
        (["--port", "-1"], "'-1' is not a port"),
        (["--port", "http"], "'http' is not a port"),
        (["--host", ""], "'' is not an address"),
        (["--host", "127.0.0.1:80"], "'127.0.0.1:80' is not an address"),
        (["--event-delay-ms", "nan"], "'nan' is not a number of 0 or more"),
        (["--event-delay-ms", "-1"], "'-1' is not a number of 0 or more"),
        (["--traffic", "foo"], "'foo' is not the URL of a server"),
        (["--traffic", "http://[::1"], "'http://[::1' is not the URL of a server"),
    ],
)
def test_arguments_that_cannot_be_used(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["demo", *arguments])
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_the_base_url_of_a_client_is_one_for_traffic() -> None:
    parser = ArgumentParser()
    demo.add_arguments(parser)
    assert parser.parse_args(["--traffic", "http://proxy:9000/v1/"]).traffic == "http://proxy:9000"
    assert parser.parse_args(["--host", "[::1]"]).host == "::1"


async def test_a_client_that_speaks_http_1_0() -> None:
    """As nginx does towards an upstream, if it is not configured otherwise."""
    async with session.serving(make_upstream(event_delay_seconds=0), "127.0.0.1") as url:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"model":"dict-delta","input":"x","stream":true}'
        writer.write(b"POST /v1/responses HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.0 200 OK")
    assert b"response.completed" in answer


def test_addresses() -> None:
    assert session.url_of("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert session.url_of("::1", 80) == "http://[::1]:80"
