"""Streams that fall silent, are cancelled or send nothing: the status of their response is polled, and that ends them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.http import happens, metric, until_idle
from tests.support.streams import events_of
from tests.support.upstream import (
    EVENT_STREAM,
    PATIENCE_SECONDS,
    Chunk,
    Cut,
    End,
    Head,
    Raw,
    Reached,
    Reset,
    Wait,
    answer,
    json_answer,
    stream,
)
from tests.support.whole_stream import BODY, COMPLETED, DELTA, DONE, TEXT, WHOLE, event, message, response
from vllm_sse_proxy import RequestContext, StreamNormalizer, build_plan
from vllm_sse_proxy.families.responses.conformance import check_stream
from vllm_sse_proxy.metrics import STATUS_POLLS, Metrics
from vllm_sse_proxy.server.relay import Relay
from vllm_sse_proxy.server.responses.stored import RefusedError, StoredResponses

if TYPE_CHECKING:
    from tests.server.conftest import Connect, Start
    from tests.support.http import RawClient
    from tests.support.upstream import FakeUpstream, Seen, Step
    from vllm_sse_proxy.server.app import Server

BACKGROUND = b'{"model":"m","input":"Hi","stream":true,"background":true}'
PING = b": still here\n\n"
BEGUN = WHOLE[: WHOLE.index(DELTA) + 1]
FINISHED = response("completed", message("completed", TEXT))
RUNNING = response("in_progress")
CANCELLED = response("cancelled")
SOON = 0.03


def silent(*frames: bytes) -> tuple[Step, ...]:
    """Script a stream that sends these and then nothing more, for ever."""
    return (Head(), Chunk(b"".join(frames)), Wait(asyncio.Event()))


def as_if_sent(*frames: bytes, document: Any = FINISHED, starting_after: int | None = None) -> bytes:
    """Return what the client is sent if upstream ends its stream with this object itself."""
    context = RequestContext(seed="resp_1")
    normalizer = StreamNormalizer(build_plan(strict=True), context, starting_after=starting_after)
    return normalizer.feed(b"".join(frames) + event("response.completed", response=document))


def polls(proxy: Server) -> dict[str, float]:
    return {
        result: metric(proxy, "status_polls_total", result=result)
        for result in ("ended", "pending", "failed")
        if metric(proxy, "status_polls_total", result=result)
    }


async def opened(proxy: Server, connect: Connect) -> RawClient:
    """Ask for a background stream, and return the client that has got its head."""
    client = await connect(proxy)
    await client.post("/v1/responses", BACKGROUND)
    await client.head()
    return client


async def being_polled(upstream: FakeUpstream, proxy: Server, connect: Connect) -> tuple[RawClient, Seen]:
    """Return the client of a stream that has fallen silent, and the question to upstream that is not answered."""
    upstream.answer(*silent(*BEGUN))
    upstream.answer(Wait(asyncio.Event()))
    client = await opened(proxy, connect)
    await client.until(DELTA)
    await upstream.next_request()
    return client, await upstream.next_request()


async def is_counted(proxy: Server, result: str, count: int = 1) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while metric(proxy, "status_polls_total", result=result) < count:  # noqa: ASYNC110 - a counter, no event
            await asyncio.sleep(0)


def test_every_result_is_counted_from_the_start() -> None:
    registry = Metrics().registry
    values = [registry.get_sample_value("sse_proxy_status_polls_total", {"result": r}) for r in STATUS_POLLS]
    assert values == [0, 0, 0]


class TestSilence:
    @pytest.mark.parametrize(
        ("document", "type_", "ending"),
        [
            (FINISHED, "response.completed", "completed"),
            ({**FINISHED, "status": "incomplete"}, "response.incomplete", "incomplete"),
            (response("failed"), "response.failed", "failed"),
            (CANCELLED, "response.failed", "failed"),
        ],
    )
    async def test_ends_a_background_stream_as_its_status_proves(
        self,
        upstream: FakeUpstream,
        start: Start,
        connect: Connect,
        caplog: pytest.LogCaptureFixture,
        document: dict[str, Any],
        type_: str,
        ending: str,
    ) -> None:
        caplog.set_level(logging.INFO, logger="vllm_sse_proxy")
        proxy = await start(status_poll_seconds=SOON)
        upstream.answer(*silent(*BEGUN))
        upstream.answer(*json_answer(document))
        client = await connect(proxy)
        await client.post("/v1/responses", BACKGROUND)
        got = await client.answer()
        assert got.body.startswith(b"".join(BEGUN))
        assert got.body.endswith(DONE)
        assert (got.status, got.complete) == (200, True)
        assert check_stream(got.body) == []
        assert events_of(got.body)[-1]["type"] == type_
        assert got.body == as_if_sent(*BEGUN, document=document)
        await until_idle(proxy)
        assert polls(proxy) == {"ended": 1}
        assert metric(proxy, "streams_total", ending=ending) == 1
        assert metric(proxy, "upstream_failures_total", **{"class": "idle"}) == 0
        await happens((await upstream.next_request()).closed)
        lines = [getattr(record, "fields", {}) for record in caplog.records if record.message == "request"]
        assert [line["polled_status"] for line in lines] == [document["status"]]

    async def test_the_question_is_the_clients_own(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON)
        upstream.answer(*silent(*BEGUN))
        upstream.answer(*json_answer(CANCELLED))
        client = await connect(proxy)
        await client.post(
            "/v1/responses",
            BACKGROUND,
            "Authorization: Bearer secret",
            "Accept: text/event-stream",
            "Accept-Encoding: gzip",
            "Content-Type: application/json",
            "If-None-Match: x",
            "Connection: X-Hop",
            "X-Hop: 1",
            "X-Tenant: a",
            "X-Request-Id: id-1",
        )
        await client.answer()
        first, poll = upstream.requests
        assert (poll.method, poll.target, poll.body) == ("GET", b"/v1/responses/resp_1", b"")
        assert poll.value("Authorization") == "Bearer secret"
        assert poll.value("X-Tenant") == "a"
        assert poll.value("X-Request-Id") == "id-1"
        assert poll.value("Accept-Encoding") == "identity"
        assert poll.value("Via") == first.value("Via")
        for name in ("Content-Length", "Content-Type", "Transfer-Encoding", "If-None-Match", "X-Hop"):
            assert poll.values(name) == []

    async def test_ends_a_resumed_stream_and_emits_only_the_rest(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON)
        upstream.answer(*silent(*BEGUN))
        upstream.answer(*json_answer(FINISHED))
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true&starting_after=2&include=x")
        assert (await client.answer()).body == as_if_sent(*BEGUN, starting_after=2)
        assert [seen.target for seen in upstream.requests] == [
            b"/v1/responses/resp_1?stream=true&include=x",
            b"/v1/responses/resp_1",
        ]

    async def test_a_path_that_is_spelt_in_another_way_names_the_same_response(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON)
        upstream.answer(*silent(*BEGUN))
        upstream.answer(*json_answer(FINISHED))
        client = await connect(proxy)
        await client.get("/v1/%72esponses/resp%5F1?stream=true")
        assert (await client.answer()).body == as_if_sent(*BEGUN)
        assert upstream.requests[1].target == b"/v1/responses/resp_1"

    @pytest.mark.parametrize("sentinel", [True, False])
    async def test_ends_a_resumed_stream_that_never_sends_anything(
        self, upstream: FakeUpstream, start: Start, connect: Connect, *, sentinel: bool
    ) -> None:
        """vLLM hangs before its first byte of body when it is asked for what is beyond a dead producer's end."""
        proxy = await start(status_poll_seconds=SOON, done_sentinel=sentinel)
        upstream.answer(Head(), Wait(asyncio.Event()))
        upstream.answer(*json_answer(FINISHED))
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true&starting_after=50")
        got = await client.answer()
        assert (got.status, got.body, got.complete) == (200, DONE if sentinel else b"", True)

    async def test_a_response_that_is_not_over_goes_on(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON)
        go_on = asyncio.Event()
        upstream.answer(Head(), *map(Chunk, BEGUN), Wait(go_on), *map(Chunk, WHOLE[len(BEGUN) :]), End())
        for status in ("queued", "in_progress", "cancelling"):
            upstream.answer(*json_answer(response(status)))
        client = await opened(proxy, connect)
        got = await client.until(DELTA)
        await is_counted(proxy, "pending", 3)
        go_on.set()
        assert got + await client.rest() == b"".join(WHOLE)
        await until_idle(proxy)
        assert metric(proxy, "status_polls_total", result="ended") == 0

    @pytest.mark.parametrize(
        "steps",
        [
            json_answer({"error": {"message": "no such response"}}, status=404, reason="Not Found"),
            json_answer(FINISHED, status=500, reason="Broken"),
            answer(b"<html>"),
            json_answer([1]),
            json_answer({"object": "fake"}),
            json_answer({"status": 7}),
            json_answer({**FINISHED, "metadata": {"x": "y" * 5000}}),
            answer(orjson.dumps(FINISHED) + b" " * 5000),
            (Cut(),),
            (Reset(),),
            (Raw(b"nonsense\r\n\r\n"),),
            (Head(headers=()), Chunk(b'{"status":'), Cut()),
        ],
    )
    async def test_a_question_that_fails_changes_nothing(
        self, upstream: FakeUpstream, start: Start, connect: Connect, steps: tuple[Step, ...]
    ) -> None:
        proxy = await start(status_poll_seconds=SOON, max_frame_bytes=4000)
        upstream.answer(*silent(*BEGUN))
        upstream.answer(*steps)
        upstream.answer(*json_answer(FINISHED))
        client = await connect(proxy)
        await client.post("/v1/responses", BACKGROUND)
        assert (await client.answer()).body == as_if_sent(*BEGUN)
        await until_idle(proxy)
        assert polls(proxy) == {"failed": 1, "ended": 1}

    async def test_an_upstream_that_listens_no_more_is_dead(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        """vLLM without its engine stops listening, and leaves the streams of background responses open."""
        proxy = await start(status_poll_seconds=SOON)
        upstream.answer(*silent(*BEGUN))
        client = await opened(proxy, connect)
        begun = await client.until(DELTA)
        upstream.refuse()
        got = begun + await client.rest()
        assert check_stream(got) == []
        assert events_of(got)[-1]["type"] == "response.failed"
        assert events_of(got)[-2]["code"] == "upstream_cut"
        await until_idle(proxy)
        assert polls(proxy) == {"failed": 3}
        assert metric(proxy, "streams_total", ending="cut") == 1
        await happens((await upstream.next_request()).closed)

    async def test_a_stream_that_goes_on_between_refusals_is_alive(
        self, upstream: FakeUpstream, start: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = await start(status_poll_seconds=SOON)
        go_on, went_on = asyncio.Event(), asyncio.Event()
        upstream.answer(Head(), *map(Chunk, BEGUN), Wait(go_on), Chunk(PING), Wait(asyncio.Event()))
        upstream.answer(*json_answer(FINISHED))
        asked = 0
        read = StoredResponses.read

        async def refused_five_times(stored: StoredResponses, response_id: str) -> dict[str, Any]:
            nonlocal asked
            asked += 1
            if asked == 3:
                go_on.set()
                await went_on.wait()
            if asked <= 5:
                raise RefusedError
            return await read(stored, response_id)

        monkeypatch.setattr(StoredResponses, "read", refused_five_times)
        client = await opened(proxy, connect)
        got = await client.until(PING)
        went_on.set()
        assert events_of(got + await client.rest())[-1]["type"] == "response.completed"
        await until_idle(proxy)
        assert polls(proxy) == {"failed": 5, "ended": 1}

    async def test_an_answer_that_does_not_come_fails_in_time(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON, first_byte_timeout_seconds=0.3)
        upstream.answer(*silent(*BEGUN))
        upstream.answer(Wait(asyncio.Event()))
        upstream.answer(*json_answer(FINISHED))
        client = await connect(proxy)
        await client.post("/v1/responses", BACKGROUND)
        assert (await client.answer()).body == as_if_sent(*BEGUN)
        await until_idle(proxy)
        # One at a time, however long it takes: several polling times fit into the timeout.
        assert len(upstream.requests) == 3
        assert polls(proxy) == {"failed": 1, "ended": 1}

    async def test_the_idle_limit_stays(self, upstream: FakeUpstream, start: Start, connect: Connect) -> None:
        proxy = await start(status_poll_seconds=SOON, idle_timeout_seconds=0.3)
        upstream.answer(*silent(*BEGUN))
        upstream.answer(Wait(asyncio.Event()))
        client = await connect(proxy)
        await client.post("/v1/responses", BACKGROUND)
        got = await client.answer()
        assert events_of(got.body)[-1]["type"] == "response.failed"
        assert check_stream(got.body) == []
        await until_idle(proxy)
        assert metric(proxy, "streams_total", ending="idle_timeout") == 1
        assert polls(proxy) == {}
        await happens(
            upstream.requests[1].closed
        )  # the question that was on its way is given up with the stream

    async def test_what_comes_while_the_answer_is_on_its_way_is_emitted(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        """A finished response's last events may be on their way: they are waited for, not made up."""
        proxy = await start(status_poll_seconds=SOON)
        asked, went_on, last = asyncio.Event(), asyncio.Event(), asyncio.Event()
        upstream.answer(
            Head(),
            Chunk(b"".join(BEGUN[:-1])),
            Wait(asked),
            Chunk(DELTA),
            Wait(last),
            *map(Chunk, WHOLE[5:]),
            End(),
        )
        upstream.answer(Reached(asked), Wait(went_on), *json_answer(FINISHED))
        for _ in range(1000):
            upstream.answer(*json_answer(RUNNING))
        client = await opened(proxy, connect)
        got = await client.until(DELTA)
        went_on.set()
        await is_counted(proxy, "pending")
        last.set()
        assert got + await client.rest() == b"".join(WHOLE)
        assert metric(proxy, "status_polls_total", result="ended") == 0

    async def test_the_stream_may_end_while_the_answer_is_on_its_way(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON)
        asked = asyncio.Event()
        upstream.answer(Head(), *map(Chunk, BEGUN), Wait(asked), *map(Chunk, WHOLE[len(BEGUN) :]), End())
        upstream.answer(Reached(asked), Wait(asyncio.Event()))
        client = await connect(proxy)
        await client.post("/v1/responses", BACKGROUND)
        assert (await client.answer()).body == b"".join(WHOLE)
        await until_idle(proxy)
        await happens(upstream.requests[1].closed)
        assert polls(proxy) == {}

    async def test_half_a_frame_is_no_part_of_the_end(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON)
        upstream.answer(*silent(*BEGUN, b'event: response.output_text.done\ndata: {"type":"respo'))
        upstream.answer(*json_answer(FINISHED))
        client = await connect(proxy)
        await client.post("/v1/responses", BACKGROUND)
        assert (await client.answer()).body == as_if_sent(*BEGUN)

    async def test_a_client_that_leaves_takes_its_question_along(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON)
        client, poll = await being_polled(upstream, proxy, connect)
        client.leave()
        await happens(poll.closed)
        await until_idle(proxy)
        assert metric(proxy, "streams_total", ending="client_gone") == 1
        assert polls(proxy) == {}

    async def test_a_shutdown_waits_for_no_answer(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON)
        client, poll = await being_polled(upstream, proxy, connect)
        stopping = asyncio.create_task(proxy.stop())
        assert b"event: response.failed\n" in await client.rest()
        assert await stopping == 1
        await happens(poll.closed)
        assert metric(proxy, "streams_total", ending="shutdown") == 1

    @pytest.mark.parametrize(
        ("target", "body", "settings"),
        [
            ("/v1/responses", BODY, {}),
            ("/v1/responses", BACKGROUND, {"status_poll_seconds": 0}),
            ("/v1/responses", BACKGROUND, {"mode": "observe"}),
            ("/v1/chat/completions", BACKGROUND, {}),
            ("/v1/responses", BACKGROUND.replace(b"true}", b"false}"), {}),
        ],
    )
    async def test_who_is_not_asked_about(
        self,
        upstream: FakeUpstream,
        start: Start,
        connect: Connect,
        target: str,
        body: bytes,
        settings: dict[str, Any],
    ) -> None:
        proxy = await start(**{"status_poll_seconds": 0.01, "idle_timeout_seconds": 0.2, **settings})
        upstream.answer(*silent(*BEGUN))
        client = await connect(proxy)
        await client.post(target, body)
        await client.answer()
        assert len(upstream.requests) == 1

    async def test_a_stream_that_has_not_named_its_response_cannot_be_asked_about(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=0.01, idle_timeout_seconds=0.2)
        upstream.answer(Head(), Wait(asyncio.Event()))
        client = await connect(proxy)
        await client.post("/v1/responses", BACKGROUND)
        assert (await client.answer()).status == 504
        assert len(upstream.requests) == 1

    async def test_keep_alives_go_on_between_questions(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=SOON, keepalive_seconds=SOON)
        upstream.answer(*silent(*BEGUN))
        over = asyncio.Event()
        upstream.answer(Wait(over), *json_answer(CANCELLED))
        client = await opened(proxy, connect)
        got = await client.until(b": keep-alive\n\n")
        got += await client.until(b": keep-alive\n\n")
        over.set()
        got += await client.rest()
        assert check_stream(got.replace(b": keep-alive\n\n", b"")) == []


class TestCancel:
    """The polling time is long here: only the cancel makes the streams ask."""

    async def test_ends_every_stream_of_the_response(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        other = BEGUN[0].replace(b"resp_1", b"resp_2")
        clients = [await connect(proxy) for _ in range(4)]
        upstream.answer(*silent(*BEGUN))
        await clients[0].post("/v1/responses", BACKGROUND)
        upstream_seen = [await upstream.next_request()]
        upstream.answer(*silent(*BEGUN))
        await clients[1].get("/v1/responses/resp_1?stream=true")
        upstream_seen.append(await upstream.next_request())
        upstream.answer(*silent(other))
        await clients[2].post("/v1/responses", BACKGROUND)
        for client in clients[:3]:
            await client.head()
            await client.chunk()
        for _ in range(3):  # to the cancel itself, then to both questions
            upstream.answer(*json_answer(CANCELLED))
        await clients[3].post("/v1/responses/resp_1/cancel", b"")
        assert (await clients[3].answer()).status == 200
        for client in clients[:2]:
            rest = await client.rest()
            assert events_of(rest)[-1]["type"] == "response.failed"
            assert rest.endswith(DONE)
        assert polls(proxy) == {"ended": 2}
        assert [seen.target for seen in upstream.requests[3:]] == [
            b"/v1/responses/resp_1/cancel",
            b"/v1/responses/resp_1",
            b"/v1/responses/resp_1",
        ]
        assert metric(proxy, "streams_in_flight") == 1
        assert metric(proxy, "requests_total", route="other", code="2xx") == 1
        for seen in upstream_seen:
            await happens(seen.closed)

    async def test_an_answer_from_before_the_cancel_does_not_count(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(status_poll_seconds=0.2)
        first = asyncio.Event()
        upstream.answer(*silent(*BEGUN))
        streaming, cancelling = await connect(proxy), await connect(proxy)
        await streaming.post("/v1/responses", BACKGROUND)
        await streaming.head()
        await streaming.until(DELTA)
        await upstream.next_request()
        upstream.answer(Wait(first), *json_answer(RUNNING))
        await upstream.next_request()  # the question of the silence, which is answered late
        upstream.answer(*json_answer(CANCELLED))
        upstream.answer(*json_answer(CANCELLED))
        await cancelling.post("/v1/responses/resp_1/cancel", b"{}")
        assert (await cancelling.answer()).status == 200
        first.set()
        assert events_of(await streaming.rest())[-1]["type"] == "response.failed"
        assert polls(proxy) == {"pending": 1, "ended": 1}

    async def test_what_came_before_the_end_is_not_lost(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        """The last words of a cancelled stream come while its status is asked; no more follow."""
        asked, rest_sent = asyncio.Event(), asyncio.Event()
        upstream.answer(
            Head(),
            Chunk(b"".join(BEGUN[:-1])),
            Wait(asked),
            Chunk(DELTA),
            Reached(rest_sent),
            Wait(asyncio.Event()),
        )
        streaming, cancelling = await connect(proxy), await connect(proxy)
        await streaming.post("/v1/responses", BACKGROUND)
        await streaming.head()
        await streaming.until(BEGUN[-2])
        upstream.answer(*json_answer(CANCELLED))
        late = asyncio.Event()
        upstream.answer(Reached(asked), Wait(late), *json_answer(CANCELLED))
        await cancelling.post("/v1/responses/resp_1/cancel", b"")
        await cancelling.answer()
        await happens(rest_sent)
        got = await streaming.until(DELTA)
        late.set()
        got += await streaming.rest()
        assert events_of(got)[-1]["type"] == "response.failed"
        assert polls(proxy) == {"ended": 1}

    async def test_a_slow_client_gets_what_is_on_its_way_first(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start()
        assert proxy.gateway is not None
        piece = b": " + b"x" * 65_000 + b"\n\n"
        upstream.answer(
            Head(), *map(Chunk, BEGUN[:-1]), *[Chunk(piece)] * 500, Chunk(DELTA), Wait(asyncio.Event())
        )
        streaming, cancelling = await connect(proxy, limit=1024), await connect(proxy)
        await streaming.post("/v1/responses", BACKGROUND)
        await streaming.head()
        (exchange,) = proxy.gateway.open
        before = -1
        while exchange.bytes_in != before or not (
            isinstance(exchange.relay, Relay) and exchange.relay.writer.is_waiting_for_client()
        ):
            before = exchange.bytes_in
            for _ in range(200):
                await asyncio.sleep(0)
        for _ in range(2):  # to the cancel, and to the question
            upstream.answer(*json_answer(CANCELLED))
        await cancelling.post("/v1/responses/resp_1/cancel", b"")
        await cancelling.answer()
        got = await streaming.rest()
        assert DELTA in got
        assert events_of(got.replace(piece, b""))[-1]["type"] == "response.failed"
        assert polls(proxy) == {"ended": 1}

    async def test_what_follows_the_answer_is_emitted_too(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        """vLLM made it before the cancel, and was busy: seen in 0.32.0, with 700 events to come."""
        answered = asyncio.Event()
        upstream.answer(Head(), *map(Chunk, BEGUN[:-1]), Wait(answered), Chunk(DELTA), Wait(asyncio.Event()))
        streaming, cancelling = await connect(proxy), await connect(proxy)
        await streaming.post("/v1/responses", BACKGROUND)
        await streaming.head()
        await streaming.until(BEGUN[-2])
        upstream.answer(*json_answer(CANCELLED))
        upstream.answer(*json_answer(CANCELLED), Reached(answered))
        await cancelling.post("/v1/responses/resp_1/cancel", b"")
        await cancelling.answer()
        got = await streaming.rest()
        assert DELTA in got
        assert events_of(got)[-1]["type"] == "response.failed"
        assert polls(proxy) == {"ended": 1}

    @pytest.mark.parametrize(
        ("target", "status"),
        [
            ("/v1/responses/resp_1/cancel", 400),
            ("/v1/responses/resp_2/cancel", 200),
            ("/v1/responses/resp_1/cancel/x", 200),
            ("/v1/responses//cancel", 200),
        ],
    )
    async def test_what_cancels_nothing_asks_nothing(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect, target: str, status: int
    ) -> None:
        go_on = asyncio.Event()
        upstream.answer(Head(), *map(Chunk, BEGUN), Wait(go_on), *map(Chunk, WHOLE[len(BEGUN) :]), End())
        streaming, cancelling = await connect(proxy), await connect(proxy)
        await streaming.post("/v1/responses", BACKGROUND)
        await streaming.head()
        got = await streaming.until(DELTA)
        upstream.answer(*json_answer({}, status=status))
        await cancelling.post(target, b"")
        assert (await cancelling.answer()).status == status
        go_on.set()
        assert got + await streaming.rest() == b"".join(WHOLE)
        assert len(upstream.requests) == 2

    @pytest.mark.parametrize("settings", [{"mode": "observe"}, {"status_poll_seconds": 0}])
    async def test_is_only_passed_on_where_nothing_is_asked(
        self, upstream: FakeUpstream, start: Start, connect: Connect, settings: dict[str, Any]
    ) -> None:
        proxy = await start(**settings)
        go_on = asyncio.Event()
        upstream.answer(Head(), *map(Chunk, BEGUN), Wait(go_on), *map(Chunk, WHOLE[len(BEGUN) :]), End())
        streaming, cancelling = await connect(proxy), await connect(proxy)
        await streaming.post("/v1/responses", BACKGROUND)
        await streaming.head()
        got = await streaming.until(DELTA)
        upstream.answer(*json_answer(CANCELLED))
        await cancelling.post("/v1/responses/resp_1/cancel", b"")
        await cancelling.answer()
        go_on.set()
        assert got + await streaming.rest() == b"".join(WHOLE)
        assert len(upstream.requests) == 2


class TestResume:
    @pytest.mark.parametrize("after", range(-1, len(WHOLE) + 2))
    async def test_gives_the_tail_of_the_whole(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect, after: int
    ) -> None:
        upstream.answer(*stream(*WHOLE))
        client = await connect(proxy)
        await client.get(f"/v1/responses/resp_1?stream=true&starting_after={after}")
        got = await client.answer()
        assert (got.status, got.complete) == (200, True)
        assert got.body == (b"".join(WHOLE[after + 1 :]) or DONE)

    async def test_gives_the_tail_of_a_repaired_stream(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        """Upstream's numbers are not ours: it left three events out, and its dict delta is repaired."""
        damaged = (
            WHOLE[0],
            *WHOLE[2:4],
            DELTA.replace(b'"delta":"Hi."', b'"delta":{"content":"Hi."}'),
            COMPLETED,
        )
        client = await connect(proxy)
        upstream.answer(*stream(*damaged))
        await client.get("/v1/responses/resp_1?stream=true")
        whole = (await client.answer()).body
        assert check_stream(whole) == []
        frames = [frame + b"\n\n" for frame in whole.split(b"\n\n")[:-1]]
        assert len(frames) == len(WHOLE)
        for after in range(len(frames) + 2):
            upstream.answer(*stream(*damaged))
            await client.get(f"/v1/responses/resp_1?stream=true&starting_after={after}")
            assert (await client.answer()).body == (b"".join(frames[after + 1 :]) or DONE)

    async def test_beyond_the_end_of_a_stream_that_is_held_open(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        upstream.answer(*silent(*WHOLE[:-1]))
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true&starting_after=50")
        got = await client.answer()
        assert (got.status, got.value("Content-Type"), got.body) == (200, EVENT_STREAM[1], DONE)
        assert len(upstream.requests) == 1

    async def test_beyond_the_end_without_a_sentinel_is_an_empty_stream(
        self, upstream: FakeUpstream, start: Start, connect: Connect
    ) -> None:
        proxy = await start(done_sentinel=False)
        upstream.answer(*stream(*WHOLE))
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true&starting_after=8")
        got = await client.answer()
        assert (got.status, got.body, got.complete) == (200, b"", True)


class TestEmptyStream:
    """A stream of a response that was made without one: 200, no events, cut."""

    @pytest.mark.parametrize("last", [End(), Cut(), Reset()])
    @pytest.mark.parametrize("after", [None, 0, 4, 8, 50])
    async def test_is_rebuilt_from_the_finished_response(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect, last: Step, after: int | None
    ) -> None:
        upstream.answer(Head(), Chunk(b": nothing\n\n"), last)
        upstream.answer(*json_answer(FINISHED))
        client = await connect(proxy)
        query = "" if after is None else f"&starting_after={after}"
        await client.get("/v1/responses/resp_1?stream=true" + query, "Authorization: Bearer x")
        got = await client.answer()
        assert (got.status, got.value("Content-Type"), got.complete) == (200, EVENT_STREAM[1], True)
        assert got.body == as_if_sent(starting_after=after)
        types = [event["type"] for event in events_of(b"".join(WHOLE))]
        first = 0 if after is None else after + 1
        assert [event["type"] for event in events_of(got.body)] == types[first:]
        if after is None:
            assert check_stream(got.body) == []
        await until_idle(proxy)
        assert polls(proxy) == {"ended": 1}
        assert metric(proxy, "streams_total", ending="completed") == 1
        poll: Seen = upstream.requests[1]
        assert (poll.target, poll.value("Authorization")) == (b"/v1/responses/resp_1", "Bearer x")

    @pytest.mark.parametrize("status", ["failed", "cancelled", "incomplete"])
    async def test_is_rebuilt_from_a_response_that_is_over(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect, status: str
    ) -> None:
        upstream.answer(Head(), Cut())
        upstream.answer(*json_answer(response(status)))
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true")
        got = await client.answer()
        assert got.status == 200
        assert check_stream(got.body) == []
        assert [event["type"] for event in events_of(got.body)] == [
            "response.created",
            "response.in_progress",
            "response.incomplete" if status == "incomplete" else "response.failed",
        ]

    @pytest.mark.parametrize(
        ("steps", "result"),
        [
            (json_answer(RUNNING), "pending"),
            (json_answer({**FINISHED, "status": "cancelling"}), "pending"),
            (json_answer({"error": {}}, status=404, reason="Not Found"), "failed"),
            ((Cut(),), "failed"),
        ],
    )
    async def test_of_a_response_that_is_not_over_stays_an_http_error(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect, steps: tuple[Step, ...], result: str
    ) -> None:
        upstream.answer(Head(), Cut())
        upstream.answer(*steps)
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true")
        assert (await client.answer()).status == 502
        assert metric(proxy, "streams_total", ending="empty") == 1
        assert polls(proxy) == {result: 1}

    async def test_an_error_that_upstream_named_stays_one(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        upstream.answer(*stream(b'data: {"error":{"message":"no","type":"NotFoundError","code":404}}\n\n'))
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true")
        assert (await client.answer()).status == 404
        assert len(upstream.requests) == 1

    async def test_of_a_new_response_stays_an_http_error(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        upstream.answer(Head(), Cut())
        client = await connect(proxy)
        await client.post("/v1/responses", BACKGROUND)
        assert (await client.answer()).status == 502
        assert len(upstream.requests) == 1

    @pytest.mark.parametrize("settings", [{"mode": "observe"}, {"status_poll_seconds": 0}])
    async def test_is_not_asked_about_where_nothing_is_asked(
        self, upstream: FakeUpstream, start: Start, connect: Connect, settings: dict[str, Any]
    ) -> None:
        proxy = await start(**settings)
        upstream.answer(Head(), Cut())
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true")
        await client.answer()
        assert len(upstream.requests) == 1

    async def test_a_client_that_leaves_takes_its_question_along(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        upstream.answer(Head(), Cut())
        upstream.answer(Wait(asyncio.Event()))
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true")
        await upstream.next_request()
        poll = await upstream.next_request()
        client.leave()
        await happens(poll.closed)
        await until_idle(proxy)
        assert metric(proxy, "streams_total", ending="client_gone") == 1

    async def test_a_shutdown_waits_for_no_answer(
        self, upstream: FakeUpstream, proxy: Server, connect: Connect
    ) -> None:
        upstream.answer(Head(), Cut())
        upstream.answer(Wait(asyncio.Event()))
        client = await connect(proxy)
        await client.get("/v1/responses/resp_1?stream=true")
        await upstream.next_request()
        poll = await upstream.next_request()
        stopping = asyncio.create_task(proxy.stop())
        assert (await client.answer()).status == 503
        await stopping
        await happens(poll.closed)


async def test_observe_mode_ends_a_silent_stream_as_it_always_did(
    upstream: FakeUpstream, start: Start, connect: Connect
) -> None:
    proxy = await start(mode="observe", status_poll_seconds=0.01, idle_timeout_seconds=0.1)
    upstream.answer(*silent(*BEGUN))
    client = await connect(proxy)
    await client.get("/v1/responses/resp_1?stream=true")
    got = await client.answer()
    assert (got.body, got.complete) == (b"".join(BEGUN), False)
    assert len(upstream.requests) == 1
