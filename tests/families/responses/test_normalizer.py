"""Bytes in, bytes out: the façade."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.repairing import opened, terminal
from tests.support.streams import Json, events_of, message, numbered, response, whole, wire
from vllm_sse_proxy import (
    BodyEnd,
    Ending,
    Failure,
    RequestContext,
    StreamNormalizer,
    build_plan,
    check_stream,
)
from vllm_sse_proxy.stream.normalizer import MAX_UNREADABLE_PAYLOADS

WHOLE = wire(numbered(whole(message(0, "Hi", " you"))))
HALF = wire(numbered(whole(message(0, "Hi", " you")))[:5], done=False)
ERROR: Json = {"error": {"message": "Slow down", "type": "RateLimitError", "param": None, "code": 429}}


def normalizer(**settings: Any) -> StreamNormalizer:
    return StreamNormalizer(build_plan(strict=True, **settings))


class TestFeeding:
    def test_a_conforming_stream_leaves_as_it_came(self) -> None:
        made = normalizer()
        assert made.feed(WHOLE) == WHOLE
        assert made.ended
        assert made.ending is Ending.COMPLETED
        assert made.failure is None
        assert (made.tally.bytes_in, made.tally.bytes_out) == (len(WHOLE), len(WHOLE))

    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_however_it_is_cut(self, size: int) -> None:
        made = normalizer()
        assert b"".join(made.feed(WHOLE[i : i + size]) for i in range(0, len(WHOLE), size)) == WHOLE

    def test_nothing_that_can_be_said_waits(self) -> None:
        made = normalizer()
        assert made.feed(HALF) == HALF
        assert not made.ended
        assert made.ending is None
        assert made.failure is None

    def test_after_the_end_every_byte_is_ignored(self) -> None:
        made = normalizer()
        made.feed(WHOLE)
        assert made.feed(WHOLE) == b""
        assert made.finish(BodyEnd.EOF) == b""
        assert made.tally.bytes_in == len(WHOLE)

    def test_comments_pass_between_events(self) -> None:
        made = normalizer()
        assert made.feed(HALF + b": keep-alive\n\n") == HALF + b": keep-alive\n\n"

    def test_an_early_sentinel_goes_out_last(self) -> None:
        made = normalizer()
        emitted = made.feed(HALF + b"data: [DONE]\n\n")
        assert b"[DONE]" not in emitted
        assert made.finish(BodyEnd.EOF).endswith(b"data: [DONE]\n\n")

    def test_the_sentinel_can_be_left_out(self) -> None:
        assert b"[DONE]" not in normalizer(done_sentinel=False).feed(WHOLE)

    def test_it_knows_number_and_id(self) -> None:
        made = StreamNormalizer(build_plan(), RequestContext(seed="s"))
        assert (made.next_number, made.response_id) == (0, None)
        made.feed(HALF)
        assert (made.next_number, made.response_id) == (5, "resp_1")

    def test_a_resumed_stream_is_the_rest_of_the_same_stream(self) -> None:
        for after in (0, 3, 8):
            made = StreamNormalizer(build_plan(strict=True), starting_after=after)
            numbers = [event["sequence_number"] for event in events_of(made.feed(WHOLE))]
            assert numbers == list(range(after + 1, len(events_of(WHOLE))))


class TestFinishing:
    def test_twice_is_once(self) -> None:
        made = normalizer()
        emitted = made.feed(HALF) + made.finish(BodyEnd.CUT)
        assert not check_stream(emitted)
        assert made.finish(BodyEnd.CUT) == b""
        assert made.tally.bytes_out == len(emitted)

    def test_nobody_is_sent_anything_when_the_client_went_away(self) -> None:
        made = normalizer()
        made.feed(HALF)
        assert made.finish(BodyEnd.CLIENT_GONE) == b""
        assert made.ending is Ending.CLIENT_GONE
        assert made.failure is None
        assert made.feed(WHOLE) == b""

    @pytest.mark.parametrize(
        ("stream", "end", "ending"),
        [
            (b"", BodyEnd.EOF, Ending.EMPTY),
            (b"", BodyEnd.CUT, Ending.EMPTY),
            (b"", BodyEnd.RESET, Ending.RESET),
            (b"", BodyEnd.IDLE_TIMEOUT, Ending.IDLE_TIMEOUT),
            (b"", BodyEnd.SHUTDOWN, Ending.SHUTDOWN),
            (HALF, BodyEnd.EOF, Ending.TRUNCATED),
            (HALF, BodyEnd.CUT, Ending.CUT),
            (HALF + b"data: [DONE]\n\n", BodyEnd.EOF, Ending.TRUNCATED),
            (wire(opened(*message(0, "Hi")[0])), BodyEnd.EOF, Ending.UNTERMINATED),
            (wire(opened(ERROR)), BodyEnd.EOF, Ending.UPSTREAM_ERROR),
            (wire(opened(terminal(name="incomplete"))), BodyEnd.EOF, Ending.INCOMPLETE),
            (wire(opened(terminal(name="failed"))), BodyEnd.EOF, Ending.FAILED),
            (
                wire(opened({"type": "error", "code": "c", "message": "m"})),
                BodyEnd.CUT,
                Ending.UPSTREAM_ERROR,
            ),
        ],
    )
    def test_it_says_how_it_ended(self, stream: bytes, end: BodyEnd, ending: Ending) -> None:
        made = normalizer()
        emitted = made.feed(stream) + made.finish(end)
        assert made.ending is ending
        assert made.ended
        assert not check_stream(emitted)

    def test_without_the_repair_no_end_is_emitted(self) -> None:
        made = normalizer(disabled=["unterminated_streams"])
        made.feed(HALF)
        assert b"[DONE]" not in made.finish(BodyEnd.CUT)
        assert made.ending is Ending.CUT


class TestFailures:
    def failure(self, stream: bytes, end: BodyEnd = BodyEnd.EOF) -> Failure | None:
        made = normalizer()
        made.feed(stream)
        made.finish(end)
        assert not made.committed
        return made.failure

    @pytest.mark.parametrize(
        ("end", "status", "code"),
        [
            (BodyEnd.EOF, 502, "upstream_truncated"),
            (BodyEnd.CUT, 502, "upstream_cut"),
            (BodyEnd.RESET, 502, "upstream_reset"),
            (BodyEnd.IDLE_TIMEOUT, 504, "upstream_idle_timeout"),
            (BodyEnd.SHUTDOWN, 503, "proxy_shutdown"),
        ],
    )
    def test_a_body_that_said_nothing_is_an_http_error(self, end: BodyEnd, status: int, code: str) -> None:
        failure = self.failure(b"", end)
        assert failure is not None
        assert (failure.status, failure.code, failure.type) == (status, code, "server_error")

    def test_an_error_as_the_first_payload_keeps_its_status(self) -> None:
        assert self.failure(wire([ERROR])) == Failure(429, "429", "Slow down", "RateLimitError")

    @pytest.mark.parametrize(
        ("error", "failure"),
        [
            ({"message": "m", "code": "x"}, Failure(502, "x", "m")),
            ({"message": "m", "code": 200}, Failure(502, "200", "m")),
            ({"message": "m", "code": "rate_limit_exceeded"}, Failure(429, "rate_limit_exceeded", "m")),
            (
                {"message": "m", "type": "overloaded_error"},
                Failure(503, "overloaded_error", "m", "overloaded_error"),
            ),
            (
                {"message": "m", "type": "BadRequestError"},
                Failure(400, "server_error", "m", "BadRequestError"),
            ),
            ({"code": None}, Failure(502, "server_error", "The upstream server reported an error.")),
        ],
    )
    def test_what_it_does_not_say_is_filled_in(self, error: Json, failure: Failure) -> None:
        assert self.failure(wire([{"error": error}])) == failure

    def test_a_failed_response_as_the_first_event_is_one_too(self) -> None:
        first = {
            "type": "response.failed",
            "response": response("failed", error={"code": "server_error", "message": "m"}),
        }
        assert self.failure(wire([first])) == Failure(502, "server_error", "m")

    @pytest.mark.parametrize(
        "body",
        [
            b'{"error": {"message": "Slow down", "type": "RateLimitError", "param": null, "code": 429}}',
            b'\xef\xbb\xbf{"object":"error","message":"Slow down","type":"RateLimitError","code":429}\n',
            json.dumps(ERROR, indent=2).encode(),
            json.dumps(ERROR, indent=4).replace("\n", "\r\n").encode() + b"\r\n",
            json.dumps(ERROR, indent=1).replace("\n", "\n\n").encode(),
            json.dumps([ERROR]).encode(),
            b": ping\n\n" + json.dumps(ERROR).encode() + b"\n\n",
            json.dumps(ERROR).encode() + b"\n\ndata: [DONE]\n\n",
            b"event: error\n" + json.dumps(ERROR["error"]).encode() + b"\n\n",
            b'data: {\n"error": {"message": "Slow down",\n"type": "RateLimitError", "code": 429}}\n\n',
        ],
    )
    def test_an_error_without_any_event_is_one_too(self, body: bytes) -> None:
        expected = Failure(429, "429", "Slow down", "RateLimitError")
        assert self.failure(body) == self.failure(body, BodyEnd.CUT) == expected
        made = normalizer()
        for place in range(len(body)):
            made.feed(body[place : place + 1])
        made.finish(BodyEnd.EOF)
        assert made.failure == expected

    @pytest.mark.parametrize(
        "body", [b'{"message": "Loading"}', b'{"detail": "Loading"}', b'{"title": "Loading"}']
    )
    def test_every_message_that_is_the_whole_body_is_its_cause(self, body: bytes) -> None:
        assert self.failure(body) == Failure(502, "server_error", "Loading")

    @pytest.mark.parametrize("body", [b'{"a": 1}', b"{", b"[1]", b"<html>", b"[" * 1000, b'{"message": "Loa'])
    def test_what_reports_nothing_is_an_empty_body(self, body: bytes) -> None:
        failure = self.failure(body)
        assert failure is not None
        assert failure.code == "upstream_truncated"

    def test_a_stream_that_said_something_is_committed(self) -> None:
        made = normalizer()
        assert not made.committed
        made.feed(wire(opened()[:1]))
        assert made.committed


class TestLimits:
    FRAME = b"data: " + b"x" * 2000 + b"\n\n"

    def test_an_oversized_frame_ends_the_stream_as_failed(self) -> None:
        made = normalizer(max_frame_bytes=1000)
        emitted = made.feed(HALF + self.FRAME)
        assert events_of(emitted)[-1]["type"] == "response.failed"
        assert (made.ended, made.ending) == (True, Ending.LIMIT)
        assert not check_stream(emitted)

    def test_what_came_before_it_is_emitted(self) -> None:
        assert normalizer(max_frame_bytes=1000).feed(WHOLE + self.FRAME) == WHOLE

    def test_too_much_text_ends_it_too(self) -> None:
        made = normalizer(max_text_bytes=3)
        emitted = made.feed(WHOLE)
        assert events_of(emitted)[-1]["type"] == "response.failed"
        assert made.ending is Ending.LIMIT
        assert made.feed(WHOLE) == b""
        assert not check_stream(emitted)

    def test_so_do_too_many_items(self) -> None:
        made = normalizer(max_text_bytes=100_000)
        emitted = made.feed(wire(opened(*(message(index)[0][0] for index in range(1000)))))
        assert made.ending is Ending.LIMIT
        assert 50 < len([event for event in events_of(emitted) if event["type"].endswith("item.added")]) < 100
        assert not check_stream(emitted)

    def test_so_do_too_many_items_that_only_the_terminal_event_has(self) -> None:
        """Issue 12, K11: each gets its events in one call."""
        items = [{**message(0, "Hi")[1], "id": f"m{index}"} for index in range(1002)]
        made = normalizer()
        emitted = made.feed(wire(opened(*message(0, "Hi")[0], terminal(*items))))
        assert events_of(emitted)[-1]["type"] == "response.failed"
        assert (made.ending, made.limit) == (Ending.LIMIT, "max_unsent_items")
        made = normalizer()
        made.feed(wire(opened(*message(0, "Hi")[0], terminal(*items[:1001]))))
        assert made.ending is Ending.COMPLETED

    @pytest.mark.parametrize("payload", [b"{x", b'{"type":', b"\xef\xbb\xbf["])
    def test_so_do_too_many_payloads_that_no_reader_understands(self, payload: bytes) -> None:
        """Issue 12, K11: each costs two readers of JSON."""
        unreadable, head, tail = b"data: %b\n\n" % payload, wire(opened()), wire([terminal()])
        made = normalizer()
        emitted = made.feed(head + unreadable * (MAX_UNREADABLE_PAYLOADS + 1) + tail)
        assert events_of(emitted)[-1]["type"] == "response.failed"
        assert (made.ending, made.limit) == (Ending.LIMIT, "max_unreadable_payloads")
        made = normalizer()
        made.feed(head + (unreadable + b"data: {}\n\ndata: x\n\n") * MAX_UNREADABLE_PAYLOADS + tail)
        assert made.ending is Ending.COMPLETED


class TestLastFrame:
    """The body ends without the blank line that a frame needs."""

    @pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT])
    def test_a_whole_one_is_emitted(self, end: BodyEnd) -> None:
        stream = wire(numbered(whole(message(0, "Hi"))), done=False)
        for cut in (stream[:-1], stream[:-2]):
            made = normalizer()
            emitted = made.feed(cut) + made.finish(end)
            assert emitted == stream + b"data: [DONE]\n\n"
            assert made.ending is Ending.COMPLETED

    def test_a_sentinel_too(self) -> None:
        made = normalizer()
        emitted = made.feed(wire(opened(*message(0, "Hi")[0]), done=False) + b"data: [DONE]")
        emitted += made.finish(BodyEnd.EOF)
        assert events_of(emitted)[-1]["type"] == "response.completed"

    @pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT])
    @pytest.mark.parametrize("cut", [0, 1, 2])
    def test_an_error_too(self, end: BodyEnd, cut: int) -> None:
        stream = HALF + b'data: {"error":{"message":"CUDA out of memory","code":500}}\n\n'
        made = normalizer()
        emitted = made.feed(stream[: len(stream) - cut]) + made.finish(end)
        assert [event["type"] for event in events_of(emitted)][-2:] == ["error", "response.failed"]
        assert events_of(emitted)[-2]["message"] == "CUDA out of memory"
        assert made.ending is Ending.UPSTREAM_ERROR
        assert not check_stream(emitted)

    @pytest.mark.parametrize("text", [json.dumps(ERROR).encode(), json.dumps(ERROR, indent=2).encode()])
    @pytest.mark.parametrize("rest", [b"", b"\n", b"\n\n", b"\n\ndata: [DONE]\n\n", b"\n\n: bye\n\n"])
    def test_an_error_without_a_field_is_the_last_word(self, text: bytes, rest: bytes) -> None:
        made = normalizer()
        emitted = made.feed(HALF + text + rest) + made.finish(BodyEnd.EOF)
        assert events_of(emitted)[-2]["message"] == "Slow down"
        assert events_of(emitted)[-1]["type"] == "response.failed"
        assert not check_stream(emitted)

    def test_only_if_nothing_follows(self) -> None:
        made = normalizer()
        lines = HALF.count(b"\n\n")
        frames = WHOLE.split(b"\n\n")
        stray = json.dumps(ERROR).encode()
        stream = b"\n\n".join((*frames[:lines], stray, *frames[lines:]))
        assert made.feed(stream) == WHOLE
        assert made.ending is Ending.COMPLETED

    def test_a_log_line_in_the_body_says_nothing(self) -> None:
        made = normalizer()
        emitted = made.feed(WHOLE.replace(b"data: [DONE]\n\n", b"").rpartition(b"event:")[0])
        emitted += made.feed(b'{"level": "info", "line": "bye"}\n') + made.finish(BodyEnd.EOF)
        assert made.ending is Ending.TRUNCATED  # and not what the line says

    def test_more_text_than_a_frame_may_hold_is_not_kept(self) -> None:
        made = normalizer()
        for _ in range(8):
            made.feed(b'{"error":\n\n' + b" " * 1024 * 1024 + b"\n\n")
        made.feed(json.dumps(ERROR).encode() + b"\n\n")
        made.finish(BodyEnd.EOF)
        assert made.failure is not None
        assert made.failure.message == "Slow down"

    @pytest.mark.parametrize(
        "half", [b"event: response.failed", b'data: {"type":"response.fai', b'data: {"type":"']
    )
    def test_half_of_one_proves_nothing(self, half: bytes) -> None:
        whole_life = wire(opened(*message(0, "Hi")[0]), done=True)
        for rest, last in ((b"", "response.completed"), (half, "response.failed")):
            made = normalizer()
            emitted = made.feed(whole_life + rest) + made.finish(BodyEnd.EOF)
            assert events_of(emitted)[-1]["type"] == last
            assert made.ending is (Ending.TRUNCATED if rest else Ending.UNTERMINATED)


class TestObserving:
    def test_the_bytes_stay_what_they_are_and_the_repairs_are_counted(self) -> None:
        made = normalizer(observe=True)
        broken = wire([*opened(), {"type": "response.ping"}, terminal()])
        assert made.feed(broken) == broken
        assert made.tally.repairs == {"heartbeats": 1}
        assert (made.ending, made.ended) == (Ending.COMPLETED, False)
        assert made.feed(b"after the end") == b"after the end"
        assert made.finish(BodyEnd.EOF) == b""
        assert (made.ending, made.ended) == (Ending.COMPLETED, True)
        assert made.tally.bytes_out == len(broken)

    @pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT, BodyEnd.CLIENT_GONE])
    def test_what_is_counted_as_emitted_is_what_left(self, end: BodyEnd) -> None:
        made = normalizer(observe=True)
        made.feed(wire([terminal(), terminal()]) if end is BodyEnd.EOF else HALF)
        made.finish(end)
        tally = made.tally
        assert tally.events_in > 0
        assert tally.events_out == tally.events_in
        assert (tally.events_inserted, tally.events_dropped, tally.events_renumbered) == (0, 0, 0)

    def test_nothing_is_added_at_the_end_and_nothing_becomes_an_http_error(self) -> None:
        made = normalizer(observe=True)
        assert made.feed(HALF) == HALF
        assert made.finish(BodyEnd.CUT) == b""
        assert made.ending is Ending.CUT
        assert made.failure is None

    def test_any_byte_commits(self) -> None:
        made = normalizer(observe=True)
        made.feed(b"")
        assert not made.committed
        made.feed(b":")
        assert made.committed

    def test_a_limit_does_not_stop_the_bytes(self) -> None:
        made = normalizer(observe=True, max_frame_bytes=1000)
        assert made.feed(TestLimits.FRAME) == TestLimits.FRAME
        assert made.feed(b"more") == b"more"

    def test_nor_does_too_much_text(self) -> None:
        made = normalizer(observe=True, max_text_bytes=3)
        assert made.feed(WHOLE) == WHOLE
        assert made.ending is Ending.LIMIT
        assert made.feed(b"more") == b"more"
