"""Truth: a stream ends as completed only if upstream said so, wherever it is cut, and whatever cuts it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.properties.recorded import Damaged, damaged_recordings, recordings
from tests.properties.said import completed_calls, is_call, read, tool_of
from tests.properties.truth import proves_completion
from tests.support.mutations import (
    DAMAGES,
    DONE,
    TERMINAL,
    Frames,
    body_of,
    frames_of,
    having,
    move,
    replay,
    stream_of,
    type_of,
)
from vllm_sse_proxy import BodyEnd, Ending, RequestContext, StreamNormalizer, build_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

from hypothesis import given

Json = dict[str, Any]
PLAN = build_plan(strict=True)
COMPLETED = (Ending.COMPLETED, Ending.UNTERMINATED)
STALE: dict[str, Json | None] = {
    "in progress": {"status": "in_progress"},
    "no status": {"status": None},
    "queued": {"status": "queued"},
    "id only": {},
    "no object": None,
}
"""What the response object of the terminal event may be like at an earlier time, beside its id."""


def repaired(stream: bytes, end: BodyEnd = BodyEnd.EOF) -> tuple[bytes, StreamNormalizer]:
    normalizer = StreamNormalizer(PLAN, RequestContext(seed="seed"))
    return normalizer.feed(stream) + normalizer.finish(end), normalizer


def cuts(frames: Frames) -> Iterator[tuple[bytes, BodyEnd]]:
    """Yield the stream cut between any two of its events, each with and without ``[DONE]``, at a clean and at a broken end."""
    sent = [frame for frame in frames if frame != DONE]
    for place in range(len(sent) + 1):
        broken = (BodyEnd.CUT, BodyEnd.RESET)[place % 2]
        for done in ([], [DONE]):
            stream = stream_of([*sent[:place], *done])
            yield stream, BodyEnd.EOF
            yield stream, broken


@pytest.mark.long
@pytest.mark.parametrize("name", recordings())
def test_completed_only_if_upstream_says_so(name: str) -> None:
    """For every recording, cut between any two events, with and without ``[DONE]``, at each kind of end."""
    for stream, end in cuts(recordings()[name]):
        _, normalizer = repaired(stream, end)
        if normalizer.ending in COMPLETED:
            assert proves_completion(stream), f"{stream[-300:]!r}, then {end}"


@given(damaged_recordings(damages=[damage for damage in DAMAGES if damage not in (move, replay)]))
def test_completed_only_if_upstream_says_so_for_damaged_streams(damaged: Damaged) -> None:
    """The same for streams that are damaged in other ways than by a cut."""
    _, normalizer = repaired(damaged.stream, damaged.end)
    if normalizer.ending in COMPLETED:
        assert proves_completion(damaged.stream), str(damaged)


@given(damaged_recordings())
def test_ends_as_it_says(damaged: Damaged) -> None:
    """What the client reads last is how the proxy says that the stream ended."""
    made, normalizer = repaired(damaged.stream, damaged.end)
    last = next(reversed([type_of(frame) for frame in frames_of(made) if type_of(frame)]), "")
    if normalizer.committed:
        assert (last == "response.completed") == (normalizer.ending in COMPLETED)
        assert (last == "response.incomplete") == (normalizer.ending is Ending.INCOMPLETE)


def is_plainly_completed(frames: Frames) -> bool:
    """Return whether upstream's last event says in all ways that the response is completed, and so does the proxy."""
    last = [body_of(frame) or {} for frame in frames if type_of(frame) in TERMINAL]
    said = [event["response"].get("status") for event in last if event["type"] == "response.completed"]
    return said == ["completed"] and repaired(stream_of(frames))[1].ending is Ending.COMPLETED


PLAIN = [name for name, frames in recordings().items() if is_plainly_completed(frames)]


@pytest.mark.parametrize("how", STALE)
def test_a_stale_object_does_not_change_what_the_event_says(how: str) -> None:
    """``response.completed`` stays what it is, however old the object is that it holds."""
    changes, wrong = STALE[how], []
    for name in PLAIN:
        frames = [*recordings()[name]]
        at = next(at for at, frame in enumerate(frames) if type_of(frame) == "response.completed")
        response = (body_of(frames[at]) or {})["response"]
        if how in ("id only", "no object") and read(stream_of(frames)).open_calls:
            continue  # only the final object has their arguments
        stale: Json | None = (
            None if changes is None else {**response, **changes} if changes else {"id": response["id"]}
        )
        frames[at] = having(frames[at], response=stale)
        if repaired(stream_of(frames))[1].ending is not Ending.COMPLETED:
            wrong.append(name)
    assert wrong == []


@pytest.mark.parametrize("where", ["stream", "final object"])
@pytest.mark.parametrize("status", ["incomplete", "in_progress"])
def test_an_unfinished_item_in_the_middle_does_not_cut_the_response(where: str, status: str) -> None:
    """Only the last item can have been cut with the response."""
    wrong = []
    for name in PLAIN:
        frames = [*recordings()[name]]
        places = [at for at, frame in enumerate(frames) if type_of(frame) == "response.output_item.done"]
        if len(places) < 2:
            continue
        item = (body_of(frames[places[0]]) or {})["item"]
        if is_call(item):
            continue
        if where == "stream":
            frames[places[0]] = having(frames[places[0]], item={**item, "status": status})
        else:
            at = next(at for at, frame in enumerate(frames) if type_of(frame) == "response.completed")
            response = (body_of(frames[at]) or {})["response"]
            output = [
                {**final, "status": status} if index == 0 else final
                for index, final in enumerate(response["output"])
            ]
            if len(output) < 2:
                continue
            frames[at] = having(frames[at], response={**response, "output": output})
        if repaired(stream_of(frames))[1].ending is not Ending.COMPLETED:
            wrong.append(name)
    assert wrong == []


@pytest.mark.parametrize("type_", ["response.cancelled", "response.aborted", "response.errored", "response.expired",
                                   "response.timeout"])  # fmt: skip
def test_a_private_end_is_what_it_says(type_: str) -> None:
    """A terminal event that the protocol does not have ends the response as its status says, never as completed."""
    wrong = []
    for name in PLAIN:
        frames = [*recordings()[name]]
        at = next(at for at, frame in enumerate(frames) if type_of(frame) == "response.completed")
        response = (body_of(frames[at]) or {})["response"]
        frames[at:] = [
            having(frames[at], type=type_, response={**response, "status": type_.partition(".")[2]})
        ]
        for rest in ([], [DONE]):
            made, normalizer = repaired(stream_of([*frames, *rest]))
            if normalizer.ending in COMPLETED or made.count(b"event: response.failed") != 1:
                wrong.append(name)
    assert wrong == []


@pytest.mark.long
@pytest.mark.parametrize("name", recordings())
def test_half_a_call_is_never_done(name: str) -> None:
    """A call that upstream has not closed is not done with half of its arguments, wherever the stream is cut."""
    for stream, end in cuts(recordings()[name]):
        upstream = read(stream)
        closed = [tool_of(call) for call in (*upstream.done, *filter(is_call, upstream.final or []))]
        made, _ = repaired(stream, end)
        for call in completed_calls(read(made)):
            assert tool_of(call) in closed or _is_json(call.get("arguments")), (
                f"{stream[-300:]!r}, then {end}"
            )


def _is_json(text: object) -> bool:
    try:
        json.loads(str(text))
    except ValueError:
        return False
    return True
