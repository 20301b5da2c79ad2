"""A request that vLLM refuses is sent again in a form that it accepts, and its answer is what the client expects."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.http import metric
from tests.support.refusals import SERVERS
from tests.support.refusals import Server as Release
from tests.support.refusing import PATCH, RefusingUpstream
from tests.support.replay import faults
from tests.support.requests import ITEMS, captured, sent_to
from tests.support.streams import events_of
from tests.support.upstream import Chunk, Cut, End, Head, Reached, Wait, answer, json_answer, stream
from tests.support.whole_stream import BODY, WHOLE
from vllm_sse_proxy.server import posting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.server.conftest import Connect, Start
    from tests.support.http import Answer
    from tests.support.upstream import Seen, Step
    from vllm_sse_proxy.server.app import Server

Json = dict[str, Any]
JSON = "Content-Type: application/json"
HARMONY = Release("0.32", harmony=True)
SIMPLE = Release("0.32", harmony=False)
NOTES: Json = {
    "type": "namespace",
    "name": "mcp__notes",
    "description": "",
    "tools": [{"type": "function", "name": "add_note", "description": "", "parameters": {}}],
}
APPLY_PATCH: Json = {"type": "custom", "name": "patch_file", "description": "Edit files."}


@pytest.fixture
async def upstream() -> AsyncIterator[RefusingUpstream]:
    async with RefusingUpstream(HARMONY) as fake:
        yield fake


def body_of(**members: Any) -> Json:
    return {"model": "m", "input": "Hi", "stream": True, **members}


async def posted(
    connect: Connect, proxy: Server, body: Json | bytes, *headers: str, target: str = "/v1/responses"
) -> Answer:
    client = await connect(proxy)
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    await client.post(target, raw, JSON, *headers)
    answered = await client.answer()
    assert answered.complete
    return answered


async def got(connect: Connect, proxy: Server, target: str) -> Answer:
    client = await connect(proxy)
    await client.get(target)
    return await client.answer()


def items_in(answered: Answer) -> list[Json]:
    """Return the items that an answer's stream closes; the final object has the same."""
    events = events_of(answered.body)
    closed = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    final = events[-1]["response"]["output"]
    assert [item["id"] for item in final] == [item["id"] for item in closed]
    return closed


@pytest.mark.long
@pytest.mark.parametrize("release", SERVERS, ids=lambda release: release.name)
async def test_every_captured_request(release: Release, connect: Connect, start: Start) -> None:
    """Each is posted as the plan says; accepted ones are answered by a conforming stream, others by their own refusal."""
    async with RefusingUpstream(release) as upstream:
        proxy = await start(upstream=upstream.url, item_memory_bytes=0)
        for name, captured_body in captured().items():
            body = {**captured_body, "model": name}
            if body.get("previous_response_id"):
                continue  # asks for the stored response first
            raw = orjson.dumps(body)
            status, attempts = sent_to(release, orjson.loads(raw))
            before = len(upstream.posts)
            answered = await posted(connect, proxy, raw)
            posts = [seen.body for seen in upstream.posts[before:]]
            assert posts == [post.body for post in attempts.posts], name
            if status == 200:
                assert answered.status == 200, name
                if body.get("stream"):
                    assert not faults(answered.body), name
            else:
                status, said = release.answer(orjson.loads(raw))
                assert answered.status == status, name
                assert answered.body == orjson.dumps(json.loads(release.refusal(status, said))), name


async def test_a_call_comes_back_as_the_client_knows_it(
    connect: Connect, proxy: Server, upstream: RefusingUpstream
) -> None:
    tools = [NOTES, APPLY_PATCH, {"type": "web_search"}, {"type": "shell"}]
    answered = await posted(connect, proxy, body_of(tools=tools, reasoning={"effort": "xhigh"}))
    assert not faults(answered.body)
    *_, note, patch, shell = items_in(answered)
    assert (note["type"], note["namespace"], note["name"]) == ("function_call", "mcp__notes", "add_note")
    assert (patch["type"], patch["name"], patch["input"]) == ("custom_tool_call", "patch_file", PATCH)
    assert (shell["type"], shell["action"]["commands"]) == ("shell_call", ["ls"])
    events = events_of(answered.body)
    pieces = [e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(pieces) == PATCH
    assert len(pieces) > 3, "it streams"
    for event in events:
        if "response" in event:
            assert event["response"]["tools"] == tools
            assert event["response"]["reasoning"] == {"effort": "xhigh"}
    assert len(upstream.posts) == 3
    assert metric(proxy, "request_repairs_total", repair="namespace_tools") == 1
    assert metric(proxy, "request_repairs_total", repair="efforts") == 1
    assert metric(proxy, "request_refusals_total", outcome="repaired") == 1
    assert metric(proxy, "request_repair_seconds_count") == 1
    assert metric(proxy, "upstream_requests_total", code="4xx") == 2


async def test_a_json_answer_is_converted_back(
    connect: Connect, proxy: Server, upstream: RefusingUpstream
) -> None:
    answered = await posted(connect, proxy, body_of(tools=[NOTES, APPLY_PATCH], stream=False))
    document = json.loads(answered.body)
    assert document["tools"] == [NOTES, APPLY_PATCH]
    note, patch = document["output"][-2:]
    assert (note["namespace"], note["name"]) == ("mcp__notes", "add_note")
    assert (patch["type"], patch["input"]) == ("custom_tool_call", PATCH)
    assert answered.value("Content-Length") == str(len(answered.body))
    assert len(upstream.posts) == 2


async def test_a_custom_tool_that_an_old_release_accepts(connect: Connect, start: Start) -> None:
    """0.24's simple path takes custom tools, and answers with calls of functions."""
    async with RefusingUpstream(Release("0.24", harmony=False)) as upstream:
        proxy = await start(upstream=upstream.url)
        streamed = await posted(connect, proxy, body_of(tools=[APPLY_PATCH]))
        assert items_in(streamed)[-1]["input"] == PATCH
        answered = await posted(connect, proxy, body_of(tools=[APPLY_PATCH], stream=False))
        assert json.loads(answered.body)["output"][-1]["input"] == PATCH
        assert len(upstream.posts) == 2


async def test_an_accepted_request_is_the_clients(
    connect: Connect, proxy: Server, upstream: RefusingUpstream
) -> None:
    raw = b'{ "model": "m",\n "input":"Hi", "stream": true, "temperature": 1.0e0, "unknown": [1, 2.50] }'
    assert (await posted(connect, proxy, raw)).status == 200
    (post,) = upstream.posts
    assert post.body == raw
    assert len(upstream.requests) == 1, "nothing else was asked"


def refusal(said: str = "no", status: int = 400) -> tuple[Any, ...]:
    return json_answer({"error": {"message": said, "code": status}}, status=status)


ACCEPTED = stream(*WHOLE)
NAMESPACED = body_of(tools=[NOTES])


class TestWhatIsSentAgain:
    """Only refusals, twice at the most, and the client gets the refusal of its own request."""

    async def test_the_first_refusal_is_the_clients(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        first = b'{ "error": {"message":"first",\n "code":400} }'
        headers = [("Content-Type", "application/json"), ("X-A", "1")]
        upstream.answer(*answer(first, status=400, reason="Nope", headers=headers))
        upstream.answer(*refusal("second"))
        upstream.answer(*refusal("third", 422))
        tools = [NOTES, {"type": "web_search"}]
        answered = await posted(connect, proxy, body_of(tools=tools))
        assert answered.status_line == b"HTTP/1.1 400 Nope"
        assert answered.value("X-A") == "1"
        assert answered.body == first
        assert len(upstream.posts) == 3
        assert metric(proxy, "request_refusals_total", outcome="still_refused") == 1
        assert metric(proxy, "request_repairs_total", repair="namespace_tools") == 0

    async def test_nothing_to_repair(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        upstream.answer(*refusal())
        answered = await posted(connect, proxy, body_of())
        assert answered.status == 400
        assert len(upstream.posts) == 1
        assert metric(proxy, "request_refusals_total", outcome="nothing_to_repair") == 1

    @pytest.mark.parametrize("status", [401, 403, 404, 408, 413, 429, 502, 503, 504])
    async def test_other_statuses(
        self, status: int, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        upstream.answer(*refusal(status=status))
        answered = await posted(connect, proxy, NAMESPACED)
        assert answered.status == status
        assert len(upstream.posts) == 1

    @pytest.mark.parametrize("status", [400, 422, 501])
    async def test_statuses_of_refusals(
        self, status: int, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        upstream.answer(*refusal(status=status))
        upstream.answer(*ACCEPTED)
        assert (await posted(connect, proxy, NAMESPACED)).status == 200

    async def test_a_failure_is_no_refusal(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        """500 is one only for what old releases answer so, and never for a background request."""
        for body in (NAMESPACED, body_of(background=True, input=[{"type": "item_reference", "id": "rs_1"}])):
            upstream.answer(*refusal(status=500))
            assert (await posted(connect, proxy, body)).status == 500
        assert len(upstream.posts) == 2

    async def test_an_answer_after_a_refusal_stands(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        upstream.answer(*refusal())
        upstream.answer(*refusal("wait", 429))
        answered = await posted(connect, proxy, NAMESPACED)
        assert answered.status == 429
        assert metric(proxy, "request_refusals_total", outcome="repaired") == 0

    @pytest.mark.parametrize(
        "steps",
        [
            answer(b"<html>", status=400, headers=[("Content-Type", "text/html")]),
            answer(b"[1]", status=400, headers=[("Content-Type", "application/json")]),
            answer(b"nonsense", status=400, headers=[("Content-Type", "application/json")]),
            answer(b"{}", status=400),
            answer(
                b"{}", status=400, headers=[("Content-Type", "application/json"), ("Content-Encoding", "br")]
            ),
        ],
        ids=["html", "list", "no JSON", "no type", "compressed"],
    )
    async def test_what_is_no_refusal_of_vllm(
        self, steps: tuple[Any, ...], connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        upstream.answer(*steps)
        answered = await posted(connect, proxy, NAMESPACED)
        assert answered.status == 400
        assert answered.body == steps[1].data
        assert len(upstream.posts) == 1

    async def test_a_long_refusal(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """0.12 repeats an item of the input once for every type that it is not."""
        long = refusal("145 validation errors: " + "x" * 3_000_000)
        upstream.answer(*long)
        assert (await posted(connect, proxy, NAMESPACED)).status == 200
        monkeypatch.setattr(posting, "MAX_REFUSAL_BYTES", 1_000_000)
        upstream.answer(*long)
        answered = await posted(connect, proxy, {**NAMESPACED, "model": "other"})
        assert (answered.status, len(answered.body)) == (400, len(long[1].data))

    async def test_a_refusal_that_breaks_off(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        headers = (("Content-Type", "application/json"), ("Content-Length", "100"))
        upstream.answer(Head(400, "Bad", headers, chunked=False), Chunk(b'{"a":'), Cut())
        client = await connect(proxy)
        await client.post("/v1/responses", orjson.dumps(NAMESPACED), JSON)
        answered = await client.answer()
        assert answered.status == 400
        assert answered.body == b'{"a":'
        assert not answered.complete

    async def test_a_request_that_is_too_large_to_be_read(
        self, connect: Connect, start: Start, upstream: RefusingUpstream
    ) -> None:
        proxy = await start(max_request_body_inspect_bytes=10)
        answered = await posted(connect, proxy, NAMESPACED)
        assert answered.status == 400
        (post,) = upstream.posts
        assert post.body == orjson.dumps(NAMESPACED)

    async def test_observe_mode(self, connect: Connect, start: Start, upstream: RefusingUpstream) -> None:
        proxy = await start(mode="observe")
        assert (await posted(connect, proxy, NAMESPACED)).status == 400
        assert len(upstream.requests) == 1

    async def test_a_repair_that_is_switched_off(
        self, connect: Connect, start: Start, upstream: RefusingUpstream
    ) -> None:
        proxy = await start(disable_repairs=("namespace_tools",))
        assert (await posted(connect, proxy, NAMESPACED)).status == 400
        assert len(upstream.posts) == 1

    async def test_a_repair_that_is_switched_on(
        self, connect: Connect, start: Start, upstream: RefusingUpstream
    ) -> None:
        """A gpt-oss would be shown an empty text in the picture's place."""
        picture = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}
        body = {**body_of(input=[{"role": "user", "content": [picture]}]), "model": "openai/gpt-oss-20b"}
        for server in (await start(), await start(enable_repairs=("harmony_pictures",))):
            assert (await posted(connect, server, body)).status == 200
        untouched, noted = (
            json.loads(seen.body)["input"][0]["content"][0]["type"] for seen in upstream.posts
        )
        assert (untouched, noted) == ("input_image", "input_text")

    async def test_headers_are_the_same_each_time(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        await posted(
            connect,
            proxy,
            body_of(tools=[NOTES, {"type": "web_search"}]),
            "Authorization: Bearer k",
            "X-B: 2",
        )
        heads = [
            [pair for pair in seen.headers if pair[0].lower() != "content-length"] for seen in upstream.posts
        ]
        assert len(heads) == 3
        assert heads[0] == heads[1] == heads[2]
        assert all(seen.value("Content-Length") == str(len(seen.body)) for seen in upstream.posts)

    async def test_a_large_body_has_its_own_length_each_time(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        text = "x" * 600_000
        client = await connect(proxy)
        raw = orjson.dumps(body_of(tools=[NOTES], instructions=text))
        head = "POST /v1/responses HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n" + JSON + "\r\n\r\n"
        await client.send(head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(raw), raw))
        assert (await client.answer()).status == 200
        assert [seen.value("Content-Length") for seen in upstream.posts] == [
            str(len(seen.body)) for seen in upstream.posts
        ]

    async def test_upstream_is_gone_after_a_refusal(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        upstream.answer(*refusal())
        upstream.answer(Cut())  # the connection might just have been closed, so it is tried once more
        upstream.answer(Cut())
        answered = await posted(connect, proxy, NAMESPACED)
        assert answered.status == 502

    async def test_a_client_that_leaves_between_two_posts(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        release = asyncio.Event()
        upstream.answer(*refusal())
        upstream.answer(Head(), Wait(release), End())
        client = await connect(proxy)
        await client.post("/v1/responses", orjson.dumps(NAMESPACED), JSON)
        await upstream.next_request()
        second = await upstream.next_request()
        client.leave()
        await second.closed.wait()

    async def test_a_client_that_leaves_within_a_refusal(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        reached, release = asyncio.Event(), asyncio.Event()
        headers = (("Content-Type", "application/json"), ("Content-Length", "100"))
        upstream.answer(
            Head(400, "Bad", headers, chunked=False), Chunk(b'{"a":'), Reached(reached), Wait(release)
        )
        client = await connect(proxy)
        await client.post("/v1/responses", orjson.dumps(NAMESPACED), JSON)
        first = await upstream.next_request()
        await reached.wait()
        client.leave()
        await first.closed.wait()

    async def test_a_shutdown_between_two_posts(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        upstream.answer(*refusal())
        upstream.answer(Wait(asyncio.Event()))
        client = await connect(proxy)
        await client.post("/v1/responses", orjson.dumps(NAMESPACED), JSON)
        while len(upstream.posts) < 2:
            await upstream.next_request()
        await proxy.stop()
        assert (await client.answer()).status == 503

    async def test_a_timeout_counts_for_all_posts(
        self, connect: Connect, start: Start, upstream: RefusingUpstream
    ) -> None:
        proxy = await start(first_byte_timeout_seconds=0.2)
        upstream.answer(*refusal())
        upstream.answer(Wait(asyncio.Event()))
        assert (await posted(connect, proxy, NAMESPACED)).status == 504


class TestWhatIsRemembered:
    async def test_the_next_request_is_repaired_at_once(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        for _ in range(3):
            answered = await posted(connect, proxy, NAMESPACED)
            assert items_in(answered)[-1]["namespace"] == "mcp__notes"
        assert len(upstream.posts) == 4
        await posted(connect, proxy, {**NAMESPACED, "model": "other"})
        assert len(upstream.posts) == 6, "models are kept apart"
        await posted(connect, proxy, body_of())
        assert upstream.posts[-1].body == orjson.dumps(body_of()), (
            "a request without the feature is not touched"
        )

    async def test_it_is_forgotten_when_upstream_refuses_it(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        await posted(connect, proxy, NAMESPACED)
        upstream.server = None
        upstream.answer(*refusal("no such thing"))
        assert (await posted(connect, proxy, NAMESPACED)).status == 200
        await posted(connect, proxy, NAMESPACED)
        assert upstream.posts[-1].body == orjson.dumps(NAMESPACED)

    async def test_it_is_forgotten_when_the_release_changes(self, connect: Connect, start: Start) -> None:
        async with RefusingUpstream(HARMONY, version="0.32.0") as upstream:
            proxy = await start(upstream=upstream.url)
            await posted(connect, proxy, NAMESPACED)
            assert [seen.target for seen in upstream.requests] == [
                b"/version",
                b"/v1/responses",
                b"/v1/responses",
            ]
            repairs = proxy.gateway.routes.handlers[0].repairs  # type: ignore[union-attr]
            upstream.server, upstream.version = None, "0.33.0"
            repairs.release.forget()
            await posted(connect, proxy, NAMESPACED)
            assert upstream.posts[-1].body == orjson.dumps(NAMESPACED)
            assert repairs.release.known == (0, 33)

    async def test_it_is_forgotten_when_upstream_was_gone(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        await posted(connect, proxy, NAMESPACED)
        repairs = proxy.gateway.routes.handlers[0].repairs  # type: ignore[union-attr]
        assert len(repairs.memory) == 1
        upstream.refuse()
        upstream.close_idle()
        client = await connect(proxy)
        while (await _status(client)) != 502:  # a connection may still have been open
            pass
        assert len(repairs.memory) == 0

    async def test_an_old_release_is_repaired_before_it_is_asked(
        self, connect: Connect, start: Start
    ) -> None:
        """0.24's simple path takes a namespace for one function."""
        async with RefusingUpstream(Release("0.24", harmony=False), version="0.24.0") as upstream:
            proxy = await start(upstream=upstream.url)
            for _ in range(2):
                answered = await posted(connect, proxy, NAMESPACED)
                assert items_in(answered)[-1]["namespace"] == "mcp__notes"
            assert [seen.target for seen in upstream.requests] == [b"/version", *[b"/v1/responses"] * 2]

    async def test_upstream_is_asked_once(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        """Requests that come together wait for one answer."""
        await asyncio.gather(*(posted(connect, proxy, NAMESPACED) for _ in range(3)))
        assert [seen.target for seen in upstream.requests].count(b"/version") == 1

    @pytest.mark.parametrize("said", [b"no JSON", b"[1]", b'{"version": 7}', b'{"version": "0.1.dev1"}'])
    async def test_a_release_that_is_not_known(self, said: bytes, connect: Connect, start: Start) -> None:
        async with RefusingUpstream(None, version=said) as upstream:
            proxy = await start(upstream=upstream.url)
            await posted(connect, proxy, NAMESPACED)
            assert upstream.posts[-1].body == orjson.dumps(NAMESPACED)


async def _status(client: Any) -> int:
    await client.get("/v1/models")
    return int((await client.answer()).status)


class TestReferences:
    """The AI SDK's second turn names what the first one has emitted."""

    async def test_streamed_items(self, connect: Connect, proxy: Server, upstream: RefusingUpstream) -> None:
        first = items_in(await posted(connect, proxy, body_of(tools=[APPLY_PATCH])))
        await self.check(connect, proxy, upstream, first)

    async def test_items_of_a_json_answer(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        answered = await posted(connect, proxy, body_of(tools=[APPLY_PATCH], stream=False))
        await self.check(connect, proxy, upstream, json.loads(answered.body)["output"])

    async def check(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream, first: list[Json]
    ) -> None:
        named = [{"type": "item_reference", "id": item["id"]} for item in first[:2]]
        answered = await posted(connect, proxy, body_of(input=named))
        assert answered.status == 200
        assert json.loads(upstream.posts[-1].body)["input"] == first[:2]
        assert metric(proxy, "request_repairs_total", repair="item_references") == 1
        again = await posted(connect, proxy, body_of(input=named))
        assert again.status == 200
        stranger = await posted(connect, proxy, body_of(input=named), "Authorization: Bearer other")
        assert stranger.status == 400, "one credential never reads another's items"

    async def test_a_key_for_all_clients_keeps_them_apart(
        self, connect: Connect, start: Start, tmp_path: Path
    ) -> None:
        (tmp_path / "key").write_text("sk-ours")
        proxy = await start(upstream_api_key_file=str(tmp_path / "key"))
        answered = await posted(connect, proxy, body_of(tools=[APPLY_PATCH]), "Authorization: Bearer one")
        named = [{"type": "item_reference", "id": item["id"]} for item in items_in(answered)[:2]]
        assert (await posted(connect, proxy, body_of(input=named), "Authorization: Bearer two")).status == 400
        assert (await posted(connect, proxy, body_of(input=named), "Authorization: Bearer one")).status == 200

    async def test_what_is_not_to_be_stored(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        first = items_in(await posted(connect, proxy, body_of(store=False)))
        named = [{"type": "item_reference", "id": item["id"]} for item in first]
        answered = await posted(connect, proxy, body_of(input=named))
        assert answered.status == 400
        assert len(upstream.posts) == 3, "only the thought could be left out"

    async def test_nothing_is_kept(self, connect: Connect, start: Start, upstream: RefusingUpstream) -> None:
        proxy = await start(item_memory_bytes=0)
        first = items_in(await posted(connect, proxy, body_of()))
        named = [{"type": "item_reference", "id": item["id"]} for item in first]
        assert (await posted(connect, proxy, body_of(input=named))).status == 400
        assert len(ITEMS) > 0
        assert upstream.posts


class TestBackground:
    async def test_the_way_back_travels(
        self, connect: Connect, start: Start, upstream: RefusingUpstream
    ) -> None:
        """Another replica converts back what this one has converted."""
        tools = [NOTES, APPLY_PATCH]
        proxy, replica = await start(), await start()
        streamed = await posted(connect, proxy, body_of(tools=tools, background=True))
        assert not faults(streamed.body)
        id_ = events_of(streamed.body)[0]["response"]["id"]
        assert "vllm_sse_proxy" in json.loads(upstream.posts[-1].body)["metadata"]
        for server in (proxy, replica):
            for target in (
                f"/v1/responses/{id_}?stream=true",
                f"/v1/responses/{id_}?starting_after=3&stream=1",
            ):
                resumed = await got(connect, server, target)
                assert not faults(resumed.body) or "starting_after" in target
                *_, note, patch = events_of(resumed.body)[-1]["response"]["output"]
                assert (note["namespace"], note["name"]) == ("mcp__notes", "add_note")
                assert (patch["type"], patch["input"]) == ("custom_tool_call", PATCH)
                assert (
                    resumed.body in streamed.body
                    if "starting_after" in target
                    else resumed.body == streamed.body
                )
            polled = await got(connect, server, f"/v1/responses/{id_}")
            document = json.loads(polled.body)
            assert document["output"][-1]["input"] == PATCH
            assert not document["metadata"]
            assert [tool["type"] for tool in document["tools"]] == ["namespace", "custom"]
        assert b"vllm_sse_proxy" not in streamed.body

    async def test_an_end_that_only_the_status_shows(self, connect: Connect, start: Start) -> None:
        """What a poll finds is converted back like the stream."""

        class Silent(RefusingUpstream):
            def script(self, seen: Seen, steps: tuple[Step, ...]) -> tuple[Step, ...]:
                made = super().script(seen, steps)
                return (*made[:4], Wait(asyncio.Event())) if len(made) > 4 else made

        async with Silent(HARMONY) as upstream:
            proxy = await start(upstream=upstream.url, status_poll_seconds=0.05)
            streamed = await posted(connect, proxy, body_of(tools=[NOTES, APPLY_PATCH], background=True))
            assert not faults(streamed.body)
            *_, note, patch = items_in(streamed)
            assert (note["namespace"], patch["input"]) == ("mcp__notes", PATCH)
            assert b"vllm_sse_proxy" not in streamed.body

    async def test_a_stream_that_is_answered_as_json(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        metadata = {"vllm_sse_proxy": '{"v":1,"k":{"run":"custom"}}'}
        call = {"type": "function_call", "id": "fc_1", "name": "run", "arguments": '{"input": "x"}'}
        upstream.answer(*json_answer({"id": "resp_1", "metadata": metadata, "tools": [], "output": [call]}))
        document = json.loads((await got(connect, proxy, "/v1/responses/resp_1?stream=true")).body)
        assert (document["output"][0]["input"], document["metadata"]) == ("x", {})

    async def test_no_room(self, connect: Connect, proxy: Server, upstream: RefusingUpstream) -> None:
        body = body_of(tools=[NOTES], background=True, metadata={f"k{n}": "v" for n in range(16)})
        assert (await posted(connect, proxy, body)).status == 400
        assert len(upstream.posts) == 1

    async def test_other_json_keeps_its_bytes(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        for said in (b'{ "id": "resp_1", "output": [] }', b'{"vllm_sse_proxy" :', b'["vllm_sse_proxy"]'):
            upstream.answer(*answer(said, headers=[("Content-Type", "application/json"), ("ETag", "a")]))
            polled = await got(connect, proxy, "/v1/responses/resp_1")
            assert polled.body == said
            assert polled.value("ETag") == "a"

    async def test_an_answer_that_is_too_large_passes(
        self, connect: Connect, start: Start, upstream: RefusingUpstream
    ) -> None:
        proxy = await start(max_frame_bytes=100)
        said = orjson.dumps({"metadata": {"vllm_sse_proxy": "x"}, "text": "x" * 200_000})
        upstream.answer(*answer(said, headers=[("Content-Type", "application/json")]))
        assert (await got(connect, proxy, "/v1/responses/resp_1")).body == said

    async def test_an_answer_that_breaks_off(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        headers = (("Content-Type", "application/json"), ("Content-Length", "100"))
        upstream.answer(Head(200, "OK", headers, chunked=False), Chunk(b'{"a":'), Cut())
        answered = await got(connect, proxy, "/v1/responses/resp_1")
        assert answered.body == b'{"a":'
        assert not answered.complete


async def test_the_log_names_the_repairs(
    connect: Connect, proxy: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        await posted(connect, proxy, NAMESPACED)
    (line,) = [record for record in caplog.records if record.getMessage() == "request"]
    assert line.fields["request_repairs"] == ["namespace_tools"]  # type: ignore[attr-defined]


async def test_a_body_that_is_not_json(connect: Connect, proxy: Server, upstream: RefusingUpstream) -> None:
    upstream.answer(*refusal())
    assert (await posted(connect, proxy, b"not JSON")).status == 400
    upstream.answer(*ACCEPTED)
    assert (await posted(connect, proxy, BODY)).status == 200
    assert len(upstream.posts) == 2


class TestMisread:
    """What vLLM accepts and misreads is counted, as it was sent."""

    async def test_as_it_came(self, connect: Connect, proxy: Server, upstream: RefusingUpstream) -> None:
        answered = await posted(connect, proxy, body_of(conversation="conv_1", text={"verbosity": "low"}))
        assert answered.status == 200
        assert len(upstream.posts) == 1
        assert metric(proxy, "requests_misread_total", what="conversation") == 1
        assert metric(proxy, "requests_misread_total", what="verbosity") == 1
        assert metric(proxy, "requests_misread_total", what="hosted_tools") == 0

    async def test_what_was_repaired_is_not_misread(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        tools = [NOTES, {"type": "web_search"}]
        answered = await posted(connect, proxy, body_of(tools=tools, conversation="conv_1"))
        assert answered.status == 200
        assert len(upstream.posts) > 1
        assert metric(proxy, "requests_misread_total", what="conversation") == 1
        assert metric(proxy, "requests_misread_total", what="hosted_tools") == 0

    async def test_a_refused_request_is_not_counted(
        self, connect: Connect, proxy: Server, upstream: RefusingUpstream
    ) -> None:
        for status in (400, 429):
            upstream.answer(*refusal(status=status))
            assert (await posted(connect, proxy, body_of(conversation="conv_1"))).status == status
        assert metric(proxy, "requests_misread_total", what="conversation") == 0

    async def test_observe_mode(self, connect: Connect, start: Start, upstream: RefusingUpstream) -> None:
        proxy = await start(mode="observe")
        assert (await posted(connect, proxy, body_of(conversation="conv_1"))).status == 200
        assert metric(proxy, "requests_misread_total", what="conversation") == 0
        assert upstream.posts
