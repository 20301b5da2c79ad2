"""Payloads that are not events: named by their `event:` line, or dropped."""

from __future__ import annotations

import json

import pytest

from tests.support.repairing import opened, repaired
from tests.support.streams import message, numbered, whole, wire

LIFE, _ = message(0, "Hi")
WHOLE = whole(message(0, "Hi"))


def test_the_event_line_gives_the_type() -> None:
    delta = {name: value for name, value in LIFE[2].items() if name != "type"}
    named = b"event: response.text.delta\ndata: " + json.dumps(delta).encode() + b"\n\n"
    made = repaired(wire(WHOLE[:4], done=False) + named + wire(WHOLE[5:], done=False))
    assert made.one("output_text.delta")["delta"] == "Hi"
    assert made.repairs["opaque_payloads"] == 1


def test_an_error_may_be_named_by_its_event_line_too() -> None:
    made = repaired(wire(WHOLE[:3], done=False) + b'event: error\ndata: {"message": "no"}\n\n')
    assert made.names[-2:] == ["error", "failed"]
    assert made.one("error")["message"] == "no"


@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        b"",
        b"[1]",
        b'"text"',
        b"{}",
        b'{"type": 7}',
        b'{"type": "<end>"}',
        b'{"type": "a\\nb"}',
        b'{"delta": "x"}',
    ],
)
def test_what_no_client_could_read_is_dropped(payload: bytes) -> None:
    stream = wire(WHOLE[:3], done=False) + b"data: " + payload + b"\n\n" + wire(WHOLE[3:], done=False)
    made = repaired(stream)
    assert made.names == [event["type"].removeprefix("response.") for event in WHOLE]
    assert made.repairs["opaque_payloads"] == 1
    assert made.normalizer.tally.events_dropped == 1


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_only_a_lenient_reader_takes_is_emitted_as_it_would_see_it(constant: bytes) -> None:
    odd = b'data: {"type": "vendor:load", "load": %s}\n\n' % constant
    made = repaired(wire(opened(), done=False) + odd, conforming=False)
    assert made.one("vendor:load")["load"] is None


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_payload_leaves_as_utf_8(code: str) -> None:
    events = numbered(whole(message(0, "Hé", " 😀")))
    for at in range(len(events)):
        frame = b"data: " + json.dumps(events[at], ensure_ascii=False).encode(code) + b"\n\n"
        made = repaired(wire(events[:at], done=False) + frame + wire(events[at + 1 :]))
        assert made.events == events
        assert made.repairs == {"opaque_payloads": 1}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xe9", "caf\ufffd"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "😀"),
        (b"a\xed\xa0\x80", "a\ufffd"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_nothing_leaves_that_a_strict_reader_refuses(data: bytes, text: str) -> None:
    events = whole(message(0, "X"))
    stream = wire(numbered(events)).replace(b'"X"', b'"' + data + b'"')
    made = repaired(stream)
    assert made.stream.decode()
    assert "".join(made.values("output_text.delta", "delta")) == text
    assert made.output[0]["content"][0]["text"] == text


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b" "])
def test_the_sentinel_may_stand_behind_a_mark(mark: bytes) -> None:
    made = repaired(wire(numbered(WHOLE[:-1]), done=False) + b"data: " + mark + b"[DONE]\n\n")
    assert made.names[-1] == "completed"
    assert made.stream.endswith(b"data: [DONE]\n\n")


def test_json_that_goes_on_behind_its_field_is_read() -> None:
    text = json.dumps(numbered(WHOLE)[4], indent=2).encode()
    made = repaired(
        wire(numbered(WHOLE[:4]), done=False) + b"data: " + text + b"\n\n" + wire(numbered(WHOLE)[5:])
    )
    assert made.events == numbered(WHOLE)
    junk = repaired(wire(numbered(WHOLE[:4]), done=False) + b'data: {\n  "a"\n\n' + wire(numbered(WHOLE)[4:]))
    assert junk.events == numbered(WHOLE)


def test_an_unknown_event_line_types_nothing() -> None:
    made = repaired(
        wire(WHOLE[:3], done=False) + b'event: message\ndata: {"x": 1}\n\n' + wire(WHOLE[3:], done=False)
    )
    assert len(made.events) == len(WHOLE)
