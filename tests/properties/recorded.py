"""Real streams, damaged: the strategies that the properties are tried on.

The streams are the recordings of the repository, each with its long runs of deltas shortened: what is said in forty deltas is
said in a few, as by a server that sends several tokens a step. Hypothesis then tries more streams in the same time, and what
it finds is shorter. Damage is that of `tests/support/mutations.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from tests.support.goldens import RECORDINGS
from tests.support.mutations import DAMAGES, Frames, body_of, frames_of, having, stream_of, type_of
from tests.support.streams import conforming_events, cut, wire
from vllm_sse_proxy import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.mutations import Damage

CASES: Final = RECORDINGS.parent / "cases"
"""Streams rebuilt from reports: small, and each the worst of its kind."""
LARGEST_BYTES: Final = 60_000
MOST_FRAMES: Final = 120
"""Longer streams are left out: they say nothing that the shorter ones do not."""
MOST_DELTAS: Final = 5
"""Deltas that are left of a run of them."""
MOST_DAMAGES: Final = 4
LONGEST_LINE: Final = 400
"""Characters of a frame that are shown where something failed."""

ENDS: Final = tuple(end for end in BodyEnd if end is not BodyEnd.CLIENT_GONE)


@dataclass(frozen=True)
class Damaged:
    """One stream as upstream sent it.

    :ivar source: the recording that it was.
    :ivar damages: what was done to it, in order.
    """

    source: str
    damages: tuple[str, ...]
    frames: tuple[bytes, ...] = field(repr=False)
    end: BodyEnd

    @property
    def stream(self) -> bytes:
        return stream_of(list(self.frames))

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        printer.text(f"<{self}>")

    def __str__(self) -> str:
        return f"{self.source} after {', '.join(self.damages) or 'nothing'}, then {self.end}"


def shown(stream: bytes, sign: str) -> str:
    """Return a stream to look at where something failed: a line for each frame, without what is always there."""
    lines = []
    for frame in stream.split(b"\n\n"):
        body = body_of(frame)
        if body is None:
            lines.append(repr(frame[:LONGEST_LINE]))
            continue
        response = body.get("response")
        if isinstance(response, dict):
            kept = {name: response[name] for name in ("status", "error", "output") if name in response}
            body = {**body, "response": kept}
        lines.append(json.dumps(body)[:LONGEST_LINE])
    return "\n".join(f"{sign} {line}" for line in lines)


@cache
def recordings() -> dict[str, Frames]:
    """Return the frames of every recording of a Responses stream, and of every case, by its name; the shortest first."""
    found: dict[str, Frames] = {}
    for path in [*sorted(RECORDINGS.rglob("*.sse")), *sorted(CASES.glob("*.sse"))]:
        body = path.read_bytes()
        if path.name == "expected.sse" or len(body) > LARGEST_BYTES:
            continue
        frames = shortened(frames_of(body))
        if any(type_of(frame).startswith("response.") for frame in frames) and len(frames) <= MOST_FRAMES:
            name = path.parent.name if path.name == "upstream.sse" else f"{path.parent.name}/{path.stem}"
            found[name] = frames
    return dict(sorted(found.items(), key=lambda one: (len(one[1]), one[0])))


def shortened(frames: Frames) -> Frames:
    """Return the stream with long runs of deltas joined to a few, and numbered as if it had come so."""
    kept: Frames = []
    lost = at = 0
    while at < len(frames):
        end = _end_of_run(frames, at)
        run = frames[at:end]
        if len(run) > MOST_DELTAS:
            middle = run[2 : len(run) - MOST_DELTAS + 3]
            joined = "".join((body_of(frame) or {})["delta"] for frame in middle)
            run = [*run[:2], having(middle[0], delta=joined), *run[2 + len(middle) :]]
        for place, frame in enumerate(run):
            kept.append(_renumbered(frame, lost + (end - at - len(run)) * (place > 2)))
        lost += end - at - len(run)
        at = end
    return kept


def _end_of_run(frames: Frames, at: int) -> int:
    """Return where the run of deltas ends that begins here: those that differ in nothing but their words and numbers."""
    first, end = _envelope(frames[at]), at + 1
    while first is not None and end < len(frames) and _envelope(frames[end]) == first:
        end += 1
    return end


def _envelope(frame: bytes) -> dict[str, Any] | None:
    """Return all of a delta but its words and its number; None for what is not a plain delta."""
    body = body_of(frame)
    if body is None or not isinstance(body.get("delta"), str) or body.get("logprobs"):
        return None
    return {name: value for name, value in body.items() if name not in ("delta", "sequence_number")}


def _renumbered(frame: bytes, lost: int) -> bytes:
    number = (body_of(frame) or {}).get("sequence_number")
    return (
        having(frame, sequence_number=number - lost)
        if lost and type(number) is int and number >= lost
        else frame
    )


@st.composite
def damaged_recordings(
    draw: st.DrawFn,
    *,
    least: int = 0,
    most: int = MOST_DAMAGES,
    damages: Sequence[Damage] = DAMAGES,
    done: bool | None = None,
) -> Damaged:
    """Draw a recording to which up to four kinds of damage were done.

    :param least: how many kinds at least.
    :param most: how many kinds at most.
    :param damages: those that may be done.
    :param done: whether ``[DONE]`` ends it; None leaves it as it is.
    """
    known = recordings()
    source = draw(st.sampled_from(list(known)))
    frames = [*known[source]]
    kinds = draw(st.lists(st.sampled_from(damages), min_size=least, max_size=most))
    for kind in kinds:
        frames = kind(frames, lambda below: draw(st.integers(0, below - 1)))
    if done is not None:
        frames = [frame for frame in frames if frame != b"data: [DONE]"] + [b"data: [DONE]"] * done
    names = tuple(kind.__name__ for kind in kinds)
    return Damaged(source, names, tuple(frames), draw(st.sampled_from(ENDS)))


@st.composite
def damaged_lives(
    draw: st.DrawFn, *, most: int = MOST_DAMAGES, damages: Sequence[Damage] = DAMAGES
) -> Damaged:
    """Draw a conforming stream, of kinds of items that no recording has, to which damage was done in the same way."""
    frames = frames_of(wire(draw(conforming_events())))
    kinds = draw(st.lists(st.sampled_from(damages), max_size=most))
    for kind in kinds:
        frames = kind(frames, lambda below: draw(st.integers(0, below - 1)))
    names = tuple(kind.__name__ for kind in kinds)
    return Damaged("made", names, tuple(frames), draw(st.sampled_from(ENDS)))


@st.composite
def chunks_of(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """Draw a way to cut a stream."""
    return cut(stream, draw(st.lists(st.integers(0, 1 << 20), max_size=12)))
