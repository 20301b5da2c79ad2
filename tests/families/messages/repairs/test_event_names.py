"""P01: an `event:` line that is not the `type`, and payloads that are not events."""

from __future__ import annotations

import pytest

from tests.support.messages import lines_of, run, short, wire

TEXT = "start\ntext 0\ntext+ 0 Hi\ntext+ 0 ,\ntext+ 0 you\nstop 0\nend end_turn\nover"
WIRE = wire(TEXT)


@pytest.mark.parametrize(
    "names", [b"", b"event: message\n", b"event: message_start\n"], ids=["none", "other", "wrong"]
)
def test_the_line_becomes_the_type(names: bytes) -> None:
    stream = b"".join(names + frame.partition(b"\n")[2] + b"\n\n" for frame in WIRE.split(b"\n\n")[:-1])
    made, normalizer = run(stream)
    assert made == WIRE
    assert normalizer.tally.repairs == {"event_names": 7 if names.endswith(b"start\n") else 8}
    made, normalizer = run(stream, disabled=["event_names"])
    assert made == stream
    assert normalizer.tally.repairs == {}


def test_the_line_is_the_type_where_the_payload_has_none() -> None:
    stream = WIRE.replace(b'"type":"content_block_delta",', b"").replace(
        b'{"type":"message_stop"}', b'{"x":1}'
    )
    made, normalizer = run(stream)
    assert lines_of(made)[:-1] == short(TEXT)[:-1]
    assert made.endswith(b'event: message_stop\ndata: {"x":1,"type":"message_stop"}\n\n')
    assert normalizer.tally.repairs == {"event_names": 4}


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b"null", b"3", b"", b'"text"', b"{}", b'{"a":1}', b'{"type":3}', b'{"type":""}', b'{"type":"<end>"}',
     b'{"type":"a\\nb"}', b"\xff", b"[" * 2000, b" []", b'{"type":"ping","x":' + b"[" * 300 + b"]" * 300 + b"}"],
)  # fmt: skip
def test_what_nobody_can_read_is_dropped(data: bytes) -> None:
    made, normalizer = run(
        wire("start\ntext 0") + b"data: " + data + b"\n\n" + wire("text+ 0 Hi\nstop 0\nend end_turn\nover")
    )
    assert lines_of(made) == short("start\ntext 0\ntext+ 0 Hi\nstop 0\nend end_turn\nover")
    assert normalizer.tally.repairs == {"event_names": 1}


@pytest.mark.parametrize(
    ("spelled", "words"),
    [
        (b"\xef\xbb\xbf%b", "Hi"),
        (b"%b", "Hi"),
    ],
)
def test_what_lenient_readers_take_leaves_as_they_see_it(spelled: bytes, words: str) -> None:
    delta = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi","x":NaN}}'
    made, normalizer = run(
        wire("start\ntext 0") + b"data: " + spelled % delta + b"\n\n" + wire("stop 0\nend end_turn\nover")
    )
    assert f'"text":"{words}","x":null'.encode() in made
    assert normalizer.tally.repairs == {"event_names": 1}


def test_halves_of_characters_do_not_leave() -> None:
    delta = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}'
    made, _ = run(wire("start\ntext 0") + b"data: " + delta + b"\n\n" + wire("stop 0\nend end_turn\nover"))
    assert "\ufffd".encode() in made
