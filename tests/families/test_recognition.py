"""Which family a stream belongs to, by what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.families.chat import test_conformance as chat
from tests.families.completions import test_conformance as completions
from tests.families.messages import test_conformance as messages
from tests.families.transcriptions import test_conformance as transcriptions
from tests.support.breaking import frame
from tests.support.judge_recordings import PATHS
from vllm_sse_proxy.families.recognition import (
    Family,
    FamilyRecogniser,
    StreamRecogniser,
    family_of_error,
    family_of_payload,
    family_of_stream,
)

RECORDINGS = Path(__file__).parents[1] / "recordings"
ERROR = {"error": {"message": "x", "type": "InternalServerError", "param": None, "code": 500}}
CREATED = b'event: response.created\ndata: {"type":"response.created","response":{}}\n\n'

WHOLE = {
    Family.CHAT: chat.perfect(),
    Family.COMPLETIONS: completions.perfect(),
    Family.MESSAGES: messages.perfect(),
    Family.TRANSCRIPTIONS: transcriptions.events(),
}


@pytest.mark.parametrize("family", WHOLE)
def test_perfect_streams(family: Family) -> None:
    stream = WHOLE[family].encode()
    assert family_of_stream(stream) is family
    for event in WHOLE[family].events:
        if isinstance(event, dict) and event.get("type") != "ping":
            assert family_of_payload(event) is family


def test_the_other_form_of_audio() -> None:
    assert family_of_stream(transcriptions.chunks().encode()) is Family.TRANSCRIPTIONS
    assert family_of_payload({"object": "translation.chunk"}) is Family.TRANSCRIPTIONS


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("families/*/*.sse")), ids=lambda path: path.stem)
def test_recordings(path: Path) -> None:
    url = path.with_suffix(".req.json").read_text("utf-8")
    family = next(family for start, family in PATHS if f'"{start}' in url)
    assert family_of_stream(path.read_bytes()) is family


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("vllm-0.3*/*.sse")), ids=lambda path: path.stem)
def test_recordings_of_responses(path: Path) -> None:
    body = path.read_bytes()
    if b"event: response." in body:
        assert family_of_stream(body) is Family.RESPONSES


@pytest.mark.parametrize(
    ("before", "family"),
    [
        (b"", Family.CHAT),
        (b": comment\n\n", Family.CHAT),
        (b"\xef\xbb\xbf", Family.CHAT),
        (b"data: nonsense\n\n", Family.CHAT),
        (b'event: ping\ndata: {"type":"ping"}\n\n', Family.CHAT),
        (b"data: [1]\n\n", Family.CHAT),
        (frame(ERROR), Family.CHAT),
        (CREATED, Family.RESPONSES),
    ],
)
def test_what_comes_before_the_mark(before: bytes, family: Family) -> None:
    assert family_of_stream(before + WHOLE[Family.CHAT].encode()) is family


@pytest.mark.parametrize("family", WHOLE)
def test_an_error_first_does_not_hide_the_mark(family: Family) -> None:
    assert family_of_stream(frame(ERROR) + WHOLE[family].encode()) is family


@pytest.mark.parametrize(
    ("stream", "family"),
    [
        (b"", None),
        (b": comment\n\n", None),
        (b"data: [DONE]\n\n", None),
        (b'data: {"a":1}\n\n', None),
        (b'data: {"object":["chat.completion.chunk"],"type":{}}\n\n', None),
        (b'data: {"choices":[]}\n\n', None),
        (b'data: {"choices":[1]}\n\n', None),
        (b'data: {"choices":[{"x":1}]}\n\n', None),
        (b'data: {"choices":[{"index":0,"delta":{}}]}\n\n', Family.CHAT),
        (b'data: {"choices":[{"delta":{}}]}\n\n', Family.TRANSCRIPTIONS),
        (b'data: {"choices":[{"index":0,"text":""}]}\n\n', Family.COMPLETIONS),
        (frame(ERROR), Family.CHAT),
        (b"event: error\n" + frame(ERROR), Family.RESPONSES),
        (b'data: {"object":"error","message":"x","type":"BadRequestError","code":400}\n\n', Family.CHAT),
        (b'data: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n', Family.MESSAGES),
        (
            b'data: {"type":"error","error":{"type":"internal_error","message":"x"},"request_id":"r"}\n\n',
            Family.MESSAGES,
        ),
        (
            b'data: {"type":"error","code":"x","message":"y","param":null,"sequence_number":1}\n\n',
            Family.RESPONSES,
        ),
        (b'data: {"type":"error","error":{"message":"x"},"sequence_number":1}\n\n', Family.RESPONSES),
        (b'data: {"type":"error","error":{"type":"x","message":"y","code":null}}\n\n', Family.RESPONSES),
        (b'data: {"object":"text_completion","choi', None),
        (b'data: {"object":"text_completion"}', Family.COMPLETIONS),
        (b'data: {"object":"text_completion"}\n', Family.COMPLETIONS),
    ],
)
def test_small_streams(stream: bytes, family: Family | None) -> None:
    assert family_of_stream(stream) is family


def test_the_first_error_counts() -> None:
    messages_error = {"type": "error", "error": {"type": "api_error", "message": "x"}}
    assert family_of_stream(frame(messages_error) + frame(ERROR)) is Family.MESSAGES


def test_a_recogniser_stays_with_what_is_certain() -> None:
    recogniser = FamilyRecogniser()
    events = (b'{"error":{}}', b'{"object":"text_completion"}', b'{"object":"chat.completion.chunk"}')
    emitted = [(recogniser.feed(None, data), recogniser.likely) for data in events]
    assert emitted == [(None, Family.CHAT), *[(Family.COMPLETIONS, Family.COMPLETIONS)] * 2]


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(stream: bytes) -> None:
    family_of_stream(stream)
    family_of_stream(b"data: " + stream + b"\n\n")


@pytest.mark.parametrize("payload", [None, 1, "x", [], [{}], {}, {"type": None}, {"error": None}])
def test_what_bears_no_mark(payload: Any) -> None:
    assert family_of_payload(payload) is None
    assert family_of_error(payload) is None


def test_a_stream_that_bears_no_mark_is_given_up() -> None:
    """Comments for a megabyte, or one line that is as long."""
    for chunk in (b": nothing\n\n" * 11, b"data: nothing"):
        recogniser = StreamRecogniser(100)
        assert recogniser.feed(chunk * 10) is None
        assert recogniser.gave_up
        assert recogniser.feed(WHOLE[Family.CHAT].encode()) is None
        assert recogniser.finish() is None
