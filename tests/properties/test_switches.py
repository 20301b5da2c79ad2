"""Switches: with any repairs off nothing raises and numbers stay right, and with one off no stream is worse than it came."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.properties.recorded import ENDS, Damaged, damaged_lives, damaged_recordings, recordings, shown
from tests.support.mutations import DONE, frames_of, stream_of
from vllm_sse_proxy import (
    BodyEnd,
    Dialect,
    Reasoning,
    RequestContext,
    StreamNormalizer,
    build_plan,
    check_stream,
)
from vllm_sse_proxy.families import RESPONSES
from vllm_sse_proxy.families.responses.events import parse_event
from vllm_sse_proxy.families.responses.grammar import KEEPALIVE
from vllm_sse_proxy.sse import FrameDecoder
from vllm_sse_proxy.stream.event import OPAQUE
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from collections.abc import Collection

OPTIONAL = [one.name for one in corrections_of(RESPONSES) if not one.needed]
OFF = st.sampled_from(OPTIONAL)
SETS = st.sets(OFF) | st.just(set(OPTIONAL))
DAMAGED = damaged_recordings() | damaged_lives()


def repaired(stream: bytes, end: BodyEnd, disabled: Collection[str]) -> tuple[bytes, StreamNormalizer]:
    plan = build_plan(strict=True, disabled=disabled)
    normalizer = StreamNormalizer(plan, RequestContext(seed="seed"))
    return normalizer.feed(stream) + normalizer.finish(end), normalizer


def worsened(stream: bytes, end: BodyEnd, disabled: Collection[str]) -> list[str]:
    """Return what the judge finds wrong with the repaired stream if it is more than before; nothing else.

    A stream of which nothing but an error leaves is not a stream: the client gets an HTTP error instead.
    """
    made, normalizer = repaired(stream, end, disabled)
    after = violations_in(made)
    if not normalizer.committed or len(after) <= violations_as_it_came(stream):
        return []
    note(shown(stream, "<"))
    note(shown(made, ">"))
    return [f"event {position}: {rule}" for position, rule in sorted(after)]


@cache
def violations_as_it_came(stream: bytes) -> int:
    return len(violations_in(stream))


def broken_rules(stream: bytes) -> set[tuple[int, str]]:
    return {(violation.position, violation.rule) for violation in check_stream(stream)}


def violations_in(stream: bytes) -> set[tuple[int, str]]:
    """Return which events break which rules: an event that breaks one in several ways does so once.

    Behind a ``[DONE]`` that came too early the judge reads no further, so it is judged at the end as well.
    """
    frames = frames_of(stream)
    later = [frame for frame in frames if frame != DONE] + [frame for frame in frames if frame == DONE]
    as_it_is = broken_rules(stream)
    as_meant = as_it_is if later == frames else broken_rules(stream_of(later))
    return max(as_it_is, as_meant, key=len)


def misnumbered(made: bytes) -> list[str]:
    """Return the events that do not have the next number; heartbeats repeat the last, or are 0 before the first.

    A payload that is not an event has whatever number upstream gave it, if it was let through as it came.
    """
    expected, wrong = {0}, []
    for frame in FrameDecoder(max_frame_bytes=len(made) + 1).feed(made):
        if frame.comment is not None or frame.data == b"[DONE]":
            continue
        event = parse_event(frame.data)
        number = event.body.get("sequence_number")
        if event.type == KEEPALIVE and any(number == max(next_number - 1, 0) for next_number in expected):
            continue
        following = {next_number + 1 for next_number in expected if number == next_number}
        if event.type is OPAQUE:
            expected |= following
        elif following:
            expected = following
        else:
            wrong.append(f"{event.type} has {number!r} instead of {expected}")
    return wrong


@pytest.mark.long
@pytest.mark.parametrize("name", OPTIONAL)
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


@given(DAMAGED, st.sets(OFF, min_size=2, max_size=3))
def test_some_off(damaged: Damaged, disabled: set[str]) -> None:
    """So it is with two or three of them off.

    With many off, what the others insert stands on ground that nobody prepared: then one stream in thousands has a violation
    more than it came with.
    """
    assert worsened(damaged.stream, damaged.end, disabled) == []


@given(DAMAGED, SETS, st.sampled_from(Dialect), st.sampled_from(Reasoning), st.sampled_from(ENDS))
def test_numbers(
    damaged: Damaged, disabled: set[str], dialect: Dialect, reasoning: Reasoning, end: BodyEnd
) -> None:
    """Whatever is off, up to all that can be, nothing raises, all is numbered without a gap, and the stream ends once."""
    plan = build_plan(strict=True, disabled=disabled, dialect=dialect, reasoning=reasoning)
    normalizer = StreamNormalizer(plan, RequestContext(seed="seed"))
    made = normalizer.feed(damaged.stream) + normalizer.finish(end)
    assert normalizer.ended
    assert misnumbered(made) == []
    assert made.count(b"data: [DONE]\n\n") <= 1
