"""Answers to calls name them as upstream has stored them (R11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.http import metric
from tests.support.upstream import Cut, json_answer, stream
from tests.support.whole_stream import WHOLE
from vllm_sse_proxy.server.responses.call_ids import answered_response, with_stored_ids

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.upstream import FakeUpstream, Step
    from vllm_sse_proxy.server.app import Server

JSON = "Content-Type: application/json"


def call(id_: str, type_: str = "function_call") -> dict[str, Any]:
    return {"type": type_, "call_id": id_, "name": "f", "arguments": "{}"}


def output(id_: str, type_: str = "function_call_output") -> dict[str, Any]:
    return {"type": type_, "call_id": id_, "output": f"of {id_}"}


def request(*items: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "stream": True, "previous_response_id": "resp_1", "input": list(items), **fields}


@pytest.mark.parametrize(
    "document",
    [
        None,
        request({"role": "user", "content": "Hi"}),
        request(call("a")),
        request(output("a"), previous_response_id=None),
        request(output("a"), previous_response_id=""),
        request(output("a"), previous_response_id=7),
        request({**output("a"), "call_id": 7}),
        {**request(), "input": "Hi"},
    ],
)
def test_other_requests_answer_nothing_that_is_stored(document: dict[str, Any] | None) -> None:
    assert answered_response(document) is None


@pytest.mark.parametrize(
    ("items", "known", "expected"),
    [
        ([output("A")], [call("B")], ["B"]),
        ([output("A"), output("C")], [call("B"), call("D")], ["B", "D"]),
        ([output("A"), output("D")], [call("B"), call("D")], ["B", "D"]),
        ([output("A", "custom_tool_call_output")], [call("B", "custom_tool_call")], ["B"]),
        ([output("B")], [call("B")], ["B"]),
        ([output("A"), output("A")], [call("B")], ["B", "B"]),
        (
            [call("A"), output("A")],
            [call("B")],
            ["A", "A"],
        ),  # the client sends the call along: it is known there
        ([output("A")], [call("B"), call("C")], ["A"]),  # which of the two?
        ([output("A")], [], ["A"]),
    ],
)
def test_answers_take_the_ids_of_the_calls_that_wait(
    items: list[Any], known: list[Any], expected: list[str]
) -> None:
    document = request(*items)
    assert answered_response(document) == "resp_1"
    translated = with_stored_ids(
        orjson.dumps(document), document, {"output": [{"type": "reasoning"}, *known]}
    )
    assert [item["call_id"] for item in orjson.loads(translated)["input"]] == expected


def test_nothing_else_is_changed() -> None:
    body = b'{"previous_response_id" : "r","input":[ {"type":"function_call_output","call_id" :"A","output":"A"}],"x":1e2}'
    stored = {"output": [call("call_longer")]}
    expected = body.replace(b'"call_id" :"A"', b'"call_id" :"call_longer"')
    assert with_stored_ids(body, orjson.loads(body), stored) == expected


class TestThroughTheProxy:
    async def send(
        self, upstream: FakeUpstream, server: Server, connect: Connect, *answers: tuple[Step, ...]
    ) -> list[bytes]:
        """Send an answer to a call and return the bodies that arrived upstream."""
        for steps in (*answers, stream(*WHOLE)):
            upstream.answer(*steps)
        client = await connect(server)
        await client.post("/v1/responses", orjson.dumps(request(output("A"))), JSON)
        assert (await client.answer()).body == b"".join(WHOLE)
        return [seen.body for seen in upstream.requests]

    async def test_the_stored_response_is_read_first(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        stored = {"id": "resp_1", "output": [call("call_of_another_length")]}
        _, body = await self.send(upstream, proxy, connect, json_answer(stored))
        assert upstream.requests[0].request_line == b"GET /v1/responses/resp_1 HTTP/1.1"
        assert orjson.loads(body) == request({**output("A"), "call_id": "call_of_another_length"})
        assert upstream.requests[1].value("Content-Length") == str(len(body))
        assert metric(proxy, "requests_translated_total") == 1

    @pytest.mark.parametrize(
        "steps", [json_answer({"error": {}}, status=404, reason="Not Found"), (Cut(),), json_answer([])]
    )
    async def test_without_one_the_request_stays(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect, steps: tuple[Step, ...]
    ) -> None:
        *_, body = await self.send(upstream, proxy, connect, steps)
        assert body == orjson.dumps(request(output("A")))
        assert metric(proxy, "requests_translated_total") == 0

    async def test_nothing_is_asked_in_observe_mode(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        bodies = await self.send(upstream, await start(mode="observe"), connect)
        assert bodies == [orjson.dumps(request(output("A")))]

    async def test_nothing_is_asked_about_other_requests(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        upstream.answer(*stream(*WHOLE))
        client = await connect(proxy)
        await client.post("/v1/responses", orjson.dumps(request({"role": "user", "content": "Hi"})), JSON)
        await client.answer()
        assert len(upstream.requests) == 1
