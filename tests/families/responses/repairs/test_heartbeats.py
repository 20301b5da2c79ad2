"""Pings that come as events leave as comments."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired
from tests.support.streams import Json, message, numbered, whole, wire
from vllm_sse_proxy import Dialect, StreamNormalizer, build_plan

WHOLE = whole(message(0, "Hi", " there"))


@pytest.mark.parametrize("name", ["response.ping", "ping"])
def test_a_ping_becomes_a_comment_and_takes_no_number(name: str) -> None:
    made = repaired([*WHOLE[:5], {"type": name, "sequence_number": 5}, *WHOLE[5:]])
    assert b"\n\n: ping\n\n" in made.stream
    assert len(made.events) == len(WHOLE)
    assert made.normalizer.tally.comments == 1
    assert made.repairs["heartbeats"] == 1


def test_a_ping_may_be_the_first_event_and_opens_nothing() -> None:
    made = repaired([{"type": "response.ping"}, *WHOLE])
    assert [event["type"] for event in made.events] == [event["type"] for event in WHOLE]
    assert made.repairs == {"heartbeats": 1}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.heartbeat"},
        {"type": "heartbeat", "message": "waiting in the queue"},
        {"type": "response.keepalive", "sequence_number": 3},
        {"type": "response.keep_alive"},
        {"type": "keep-alive"},
        {"type": "stream.heartbeat.sent", "x": 1},
        {"type": "acme:ping"},
        {"type": "PONG"},
        {"type": "keepalive"},
        {"type": "keepalive", "sequence_number": 5},
        {"type": "keepalive", "sequence_number": None},
        {"type": "keepalive", "sequence_number": True},
        {"type": "response.tick"},
        {"type": "status", "timestamp": 1764028815.1, "response_id": "resp_1", "data": {}, "note": ""},
    ],
)
def test_every_heartbeat_becomes_a_comment(event: Json) -> None:
    made = repaired(
        wire(numbered(WHOLE[:5]), done=False) + wire([event], done=False) + wire(numbered(WHOLE)[5:])
    )
    assert made.stream.replace(b": ping\n\n", b"") == wire(numbered(WHOLE))
    assert made.stream.count(b": ping\n\n") == 1
    assert made.repairs == {"heartbeats": 1}


@pytest.mark.parametrize(
    "frame",
    [
        b"event: ping\ndata: {}\n\n",
        b"event: heartbeat\ndata:\n\n",
        b'event: keepalive\ndata: {"sequence_number": 5}\n\n',
        b'event: x\ndata: {"type": "ping", "load": NaN}\n\n',
        b'data: {"type": "response.tick", "load": NaN}\n\n',
    ],
)
def test_the_event_line_may_name_it(frame: bytes) -> None:
    made = repaired(wire(numbered(WHOLE[:5]), done=False) + frame + wire(numbered(WHOLE)[5:]))
    assert b"\n\n: ping\n\n" in made.stream
    assert made.repairs == {"heartbeats": 1}


@pytest.mark.parametrize(
    "name", ["rate_limits.updated", "response.rate_limits.updated", "codex.rate_limits", "rate-limit"]
)
def test_a_notice_of_rate_limits_goes(name: str) -> None:
    made = repaired([*WHOLE[:5], {"type": name, "rate_limits": [{"remaining": 7}]}, *WHOLE[5:]])
    assert made.events == numbered(WHOLE)


def test_a_keepalive_that_repeats_the_last_number_is_what_all_clients_accept() -> None:
    keepalive = {"type": "keepalive", "sequence_number": 4}
    stream = wire([*numbered(WHOLE[:5]), keepalive, keepalive, *numbered(WHOLE)[5:]])
    made = repaired(stream)
    assert made.stream == stream
    assert not made.repairs
    assert repaired(wire([{**keepalive, "sequence_number": -1}, *numbered(WHOLE)])).stream == wire(
        numbered(WHOLE)
    )


def test_without_the_repair_a_keepalive_takes_no_number_either() -> None:
    keepalive = {"type": "keepalive", "sequence_number": 7}
    made = repaired([*WHOLE[:5], keepalive, *WHOLE[5:]], disabled=["heartbeats"])
    assert made.one("keepalive")["sequence_number"] == 4
    assert [event for event in made.events if event["type"] != "keepalive"] == numbered(WHOLE)


def test_a_resumed_stream_repeats_no_keepalive() -> None:
    keepalives = [{"type": "keepalive", "sequence_number": number} for number in (4, 5)]
    stream = wire(
        [*numbered(WHOLE[:5]), keepalives[0], numbered(WHOLE)[5], keepalives[1], *numbered(WHOLE)[6:]]
    )
    resumed = StreamNormalizer(build_plan(strict=True), starting_after=4)
    assert resumed.feed(stream) == wire([numbered(WHOLE)[5], keepalives[1], *numbered(WHOLE)[6:]])


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.paused"},
        {"type": "stream.end", "response_id": "resp_1"},
        {"type": "acme:started"},
        {"type": "response.tick", "text": "Hi"},
        {"type": "ping" + "x" * 200},
        {"type": "shipping", "a": 1},
    ],
)
def test_what_says_something_is_no_heartbeat(event: Json) -> None:
    made = repaired(opened(event, *WHOLE[2:]))
    assert made.one(event["type"].removeprefix("response.")) == {**event, "sequence_number": 2}
    assert "heartbeats" not in made.repairs


def test_dialect_upstream_keeps_the_event() -> None:
    made = repaired(opened({"type": "ping"}), dialect=Dialect.UPSTREAM, conforming=False)
    assert "heartbeats" not in made.repairs
    assert "ping" in made.names


def test_the_protocols_own_events_are_none_however_they_are_written() -> None:
    frame = b'data: {"type": "response.audio.done", "sequence_number": 5, "load": NaN}\n\n'
    made = repaired(wire(numbered(WHOLE[:5]), done=False) + frame, conforming=False)
    assert made.one("audio.done")["load"] is None
    unnamed = repaired(wire(numbered(WHOLE[:5]), done=False) + b"data: {}\n\n")
    assert b": ping" not in unnamed.stream
