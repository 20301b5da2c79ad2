"""Answers of the Responses API that are JSON: the client gets the object that their stream would have ended with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.http import metric
from tests.support.streams import message, response, text_part
from tests.support.upstream import answer, json_answer, stream
from tests.support.whole_stream import WHOLE

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.http import Answer
    from tests.support.upstream import FakeUpstream
    from vllm_sse_proxy.server.app import Server

Json = dict[str, Any]
JSON = "Content-Type: application/json"
TEXT: Json = text_part("Hi")
MESSAGE: Json = message(1, "Hi")[1]
NAMELESS: Json = {**MESSAGE, "id": ""}
STORED = "/v1/responses/resp_1"


async def posted(connect: Connect, proxy: Server, **members: Any) -> Answer:
    client = await connect(proxy)
    await client.post("/v1/responses", orjson.dumps({"model": "m", "input": "Hi", **members}), JSON)
    answered = await client.answer()
    assert answered.complete
    return answered


async def got(connect: Connect, proxy: Server, target: str = STORED, *headers: str) -> Answer:
    client = await connect(proxy)
    await client.get(target, *headers)
    answered = await client.answer()
    assert answered.complete
    return answered


async def test_a_conforming_answer_keeps_its_bytes(
    upstream: FakeUpstream, connect: Connect, proxy: Server
) -> None:
    raw = json.dumps(response("completed", [MESSAGE]), indent=2).encode()
    headers = [("Content-Type", "application/json"), ("ETag", '"1"')]
    upstream.answer(*answer(raw, headers=headers))
    answered = await posted(connect, proxy)
    assert answered.body == raw
    assert answered.value("ETag") == '"1"'
    assert metric(proxy, "json_answers_total", outcome="conforming") == 1


async def test_both_ways_to_an_answer_say_the_same(
    upstream: FakeUpstream, connect: Connect, start: Start
) -> None:
    """Another replica says the same, too."""
    said = response("completed", [NAMELESS])
    proxy, replica = await start(), await start()
    upstream.answer(*json_answer(said))
    first = await posted(connect, proxy)
    for server in (proxy, replica):
        upstream.answer(*json_answer(said))
        assert json.loads((await got(connect, server)).body) == json.loads(first.body)
    (item,) = json.loads(first.body)["output"]
    assert item == {**MESSAGE, "id": item["id"]}
    assert item["id"].startswith("msg_")
    assert first.value("Content-Length") == str(len(first.body))
    assert metric(proxy, "json_answers_total", outcome="repaired") == 2
    assert metric(proxy, "repairs_total", family="responses", repair="item_ids") == 2


async def test_the_end_of_a_response(upstream: FakeUpstream, connect: Connect, proxy: Server) -> None:
    upstream.answer(*json_answer(response("cancelled", [NAMELESS])))
    client = await connect(proxy)
    await client.post(f"{STORED}/cancel", b"", JSON)
    document = json.loads((await client.answer()).body)
    assert document["status"] == "cancelled"
    assert document["error"] is None
    assert document["output"][0]["id"]


async def test_a_background_response(upstream: FakeUpstream, connect: Connect, proxy: Server) -> None:
    for status in ("queued", "in_progress"):
        said = response(status, background=True)
        del said["error"]
        upstream.answer(*json_answer(said))
        document = json.loads((await posted(connect, proxy, background=True)).body)
        assert (document["status"], document["output"], document["error"]) == (status, [], None)


async def test_an_answer_names_what_the_next_request_may_name(
    upstream: FakeUpstream, connect: Connect, proxy: Server
) -> None:
    """The AI SDK fetches a background response, and names its items in the next turn."""
    upstream.answer(*json_answer(response("completed", [NAMELESS])))
    (item,) = json.loads((await got(connect, proxy)).body)["output"]
    upstream.answer(*json_answer({"error": {"message": "no"}}, status=400))
    upstream.answer(*json_answer(response("completed", [MESSAGE])))
    answered = await posted(connect, proxy, input=[{"type": "item_reference", "id": item["id"]}])
    assert answered.status == 200
    assert json.loads(upstream.requests[-1].body)["input"] == [item]


@pytest.mark.parametrize("setting", [{"item_memory_bytes": 0}, {"mode": "observe"}])
async def test_items_are_not_kept(
    setting: Json, upstream: FakeUpstream, connect: Connect, start: Start
) -> None:
    proxy = await start(**setting)
    upstream.answer(*json_answer(response("completed", [MESSAGE])))
    await got(connect, proxy)
    upstream.answer(*json_answer({"error": {"message": "no"}}, status=400))
    assert (await posted(connect, proxy, input=[{"type": "item_reference", "id": "msg_1"}])).status == 400
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("raw", "status", "type_"),
    [
        (b'{"error": {"message": "No."}}', 200, "application/json"),
        (b"no JSON", 200, "application/json"),
        (json.dumps(response("completed", [NAMELESS])).encode(), 200, "text/plain"),
        (json.dumps(response("completed", [NAMELESS])).encode(), 404, "application/json"),
    ],
    ids=["no response", "no JSON", "another type", "another status"],
)
async def test_what_passes_untouched(
    raw: bytes, status: int, type_: str, upstream: FakeUpstream, connect: Connect, proxy: Server
) -> None:
    for ask in (posted, got):
        upstream.answer(*answer(raw, status=status, headers=[("Content-Type", type_)]))
        answered = await ask(connect, proxy)
        assert (answered.status, answered.body) == (status, raw)
    assert metric(proxy, "json_answers_total", outcome="repaired") == 0


async def test_an_answer_over_the_limit(upstream: FakeUpstream, connect: Connect, start: Start) -> None:
    raw = json.dumps(
        response("completed", [{**NAMELESS, "content": [{**TEXT, "text": "x" * 2000}]}])
    ).encode()
    proxy = await start(max_frame_bytes=1500)
    upstream.answer(*answer(raw, headers=[("Content-Type", "application/json")]))
    assert (await posted(connect, proxy)).body == raw


async def test_other_targets_are_not_read(upstream: FakeUpstream, connect: Connect, proxy: Server) -> None:
    raw = json.dumps(response("completed", [NAMELESS])).encode()
    for target in ("/v1/responses/resp_1/input_items", "/v1/response/resp_1"):
        upstream.answer(*answer(raw, headers=[("Content-Type", "application/json")]))
        assert (await got(connect, proxy, target)).body == raw


class TestObserveMode:
    async def test_it_only_counts(self, upstream: FakeUpstream, connect: Connect, start: Start) -> None:
        raw = json.dumps(response("completed", [NAMELESS])).encode()
        proxy = await start(mode="observe")
        for ask in (posted, got):
            upstream.answer(*answer(raw, headers=[("Content-Type", "application/json")]))
            assert (await ask(connect, proxy)).body == raw
        assert metric(proxy, "json_answers_total", outcome="repaired") == 2
        assert metric(proxy, "repairs_total", family="responses", repair="item_ids") == 2

    async def test_the_request_is_the_clients(
        self, upstream: FakeUpstream, connect: Connect, start: Start
    ) -> None:
        for mode, coding in (("observe", "gzip"), ("normal", "identity")):
            proxy = await start(mode=mode)
            upstream.answer(*json_answer(response("completed", [MESSAGE])))
            await got(connect, proxy, STORED, "Accept-Encoding: gzip")
            assert upstream.requests[-1].value("Accept-Encoding") == coding

    async def test_what_is_too_large_is_not_kept(
        self, upstream: FakeUpstream, connect: Connect, start: Start
    ) -> None:
        raw = json.dumps(
            response("completed", [{**NAMELESS, "content": [{**TEXT, "text": "x" * 300_000}]}])
        ).encode()
        proxy = await start(mode="observe", max_frame_bytes=1500)
        upstream.answer(*answer(raw, headers=[("Content-Type", "application/json")]))
        assert (await posted(connect, proxy)).body == raw
        assert metric(proxy, "json_answers_total", outcome="repaired") == 0

    async def test_streams_are_observed_as_before(
        self, upstream: FakeUpstream, connect: Connect, start: Start
    ) -> None:
        proxy = await start(mode="observe")
        upstream.answer(*stream(*WHOLE))
        assert (await posted(connect, proxy, stream=True)).status == 200
        assert (
            sum(metric(proxy, "json_answers_total", outcome=one) for one in ("repaired", "conforming")) == 0
        )
