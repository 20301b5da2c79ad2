"""Switches: with any repair off, or with many, nothing raises, numbers stay right, and no stream is worse than it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.properties.recorded import ENDS, Damaged, damaged_lives, damaged_recordings, recordings, shown
from tests.support.mutations import stream_of
from vllm_sse_proxy.families.responses import (
    BodyEnd,
    Dialect,
    Plan,
    Reasoning,
    RequestContext,
    StreamNormalizer,
    check_stream,
)
from vllm_sse_proxy.families.responses.events import OPAQUE, parse_event
from vllm_sse_proxy.sse import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Collection

OFF = st.sampled_from(Plan.optional_names)
DAMAGED = damaged_recordings() | damaged_lives()


def repaired(stream: bytes, end: BodyEnd, disabled: Collection[str]) -> tuple[bytes, StreamNormalizer]:
    plan = Plan.build(strict=True, disabled=disabled)
    normalizer = StreamNormalizer(plan, RequestContext(seed="seed"))
    return normalizer.feed(stream) + normalizer.finish(end), normalizer


def worsened(stream: bytes, end: BodyEnd, disabled: Collection[str]) -> list[str]:
    """Return what the judge finds wrong with the repaired stream if it is more than before; nothing else.

    A stream of which nothing but an error leaves is no stream: the client gets an HTTP error instead.
    """
    made, normalizer = repaired(stream, end, disabled)
    after = check_stream(made)
    if not normalizer.committed or len(after) <= len(check_stream(stream)):
        return []
    note(shown(stream, "<"))
    note(shown(made, ">"))
    return [str(violation) for violation in after]


def numbers(made: bytes) -> list[object]:
    """Return the numbers of the events; payloads that are no events have none, and heartbeats repeat the last."""
    frames = FrameDecoder(max_frame_bytes=len(made) + 1).feed(made)
    events = [
        parse_event(frame.data) for frame in frames if frame.comment is None and frame.data != b"[DONE]"
    ]
    return [event.body.get("sequence_number") for event in events if event.type not in (OPAQUE, "keepalive")]


@pytest.mark.parametrize("name", Plan.optional_names)
def test_one_off_on_recordings(name: str) -> None:
    """With any repair off no recording raises or gets worse, whole or cut."""
    worse = {
        recording: found
        for recording, frames in recordings().items()
        for end in (BodyEnd.EOF, BodyEnd.CUT)
        if (found := worsened(stream_of(frames), end, [name]))
    }
    assert worse == {}


@given(DAMAGED, OFF)
def test_one_off(damaged: Damaged, name: str) -> None:
    """With any repair off nothing raises, and no stream has more violations than it came with."""
    assert worsened(damaged.stream, damaged.end, [name]) == []


@given(DAMAGED, st.sets(OFF))
def test_many_off(damaged: Damaged, disabled: set[str]) -> None:
    """So it is with many of them off."""
    assert worsened(damaged.stream, damaged.end, disabled) == []


@given(DAMAGED)
def test_all_off(damaged: Damaged) -> None:
    """And with all of them off that can be."""
    assert worsened(damaged.stream, damaged.end, Plan.optional_names) == []


@given(DAMAGED, st.sets(OFF), st.sampled_from(Dialect), st.sampled_from(Reasoning), st.sampled_from(ENDS))
def test_numbers(
    damaged: Damaged, disabled: set[str], dialect: Dialect, reasoning: Reasoning, end: BodyEnd
) -> None:
    """Whatever is off, nothing raises, everything that leaves is numbered without a gap, and the stream ends once."""
    plan = Plan.build(strict=True, disabled=disabled, dialect=dialect, reasoning=reasoning)
    normalizer = StreamNormalizer(plan, RequestContext(seed="seed"))
    made = normalizer.feed(damaged.stream) + normalizer.finish(end)
    assert normalizer.ended
    told = numbers(made)
    assert told == list(range(len(told)))
    assert made.count(b"data: [DONE]\n\n") <= 1
