"""Linear: a stream twice as long takes twice as long, whatever it is that stands in it twice as often.

Steps are counted, not seconds (`tests/properties/steps.py`): what is linear takes exactly as many more steps from the 80th to
the 90th element as from the 70th to the 80th. `make bench-worst` measures the same shapes in milliseconds.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

from bench.shapes import SHAPES
from tests.properties.steps import METER, metered
from tests.support.compiled import python_core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace

pytestmark = python_core

COUNTS: Final = (70, 80, 90)
"""Elements of the three streams that are compared: more than repairs look back or ahead."""
SHORT_ELEMENT_BYTES: Final = 100
MANY: Final = 16
"""At most so many times more, if an element is but a few characters: then it is their number that matters."""
FIRST_NUMBER: Final = 20_000
"""Of the events that leave: all of one width, as those that come (`bench/shapes.py`)."""
TOLERANCE: Final = 0.001
"""What the second difference of the steps may be, as a share of the first: tables that grow, and numbers that get wider."""
MOST_STEPS: Final = 50_000_000
"""For the shortest of the streams: a few times what any of them takes."""
TOO_MANY: Final = 2
"""So many times what one of that length may take, after the shortest: what is not linear may not hold up the tests."""
PIECE_BYTES: Final = 61
RECURSION_LIMIT: Final = 10_000
"""The meter's matcher of regular expressions calls itself for each repetition of a group."""


@pytest.fixture(scope="module")
def core() -> Iterator[SimpleNamespace]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    yield metered()
    sys.setrecursionlimit(before)


def steps(core: SimpleNamespace, chunks: list[bytes], most: int) -> int:
    """Return how many steps the core takes for a stream that comes in these chunks.

    :raises TooManyStepsError: if they are more than ``most``.
    """
    normalizer = core.StreamNormalizer(core.build_plan(strict=True), core.RequestContext(seed="seed"))
    normalizer._engine.exit.view.next_number = FIRST_NUMBER
    before = METER.steps
    METER.limit = before + most
    METER.where.clear()
    try:
        for chunk in chunks:
            normalizer.feed(chunk)
        normalizer.finish(core.BodyEnd.EOF)
    finally:
        METER.limit = float("inf")
    return METER.steps - before


def growth(core: SimpleNamespace, name: str, how: str, counts: tuple[int, int, int] = COUNTS) -> float:
    """Return by how much the second half of what is added costs more than the first, as a share of what it costs."""
    shape = SHAPES[name]
    unit = len(shape(COUNTS[1])) - len(shape(COUNTS[1] - 1))
    times = max(1, min(MANY, SHORT_ELEMENT_BYTES // max(1, unit)))
    streams = [cut(shape(count * times), how) for count in counts]
    steps(core, cut(shape(counts[0] // 4), how), MOST_STEPS)  # fills the caches
    few = steps(core, streams[0], MOST_STEPS)
    more, most = (steps(core, stream, few * TOO_MANY * counts[2] // counts[0]) for stream in streams[1:])
    return (most - 2 * more + few) / max(1, more - few)


def cut(stream: bytes, how: str) -> list[bytes]:
    if how == "whole":
        return [stream]
    if how == "frames":
        return [frame + b"\n\n" for frame in stream.split(b"\n\n") if frame]
    return [stream[start : start + PIECE_BYTES] for start in range(0, len(stream), PIECE_BYTES)]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("how", ["whole", "frames"])
def test_linear(core: SimpleNamespace, name: str, how: str) -> None:
    """Doubling any repeated element of a stream at most doubles the steps."""
    assert growth(core, name, how) <= TOLERANCE


@pytest.mark.parametrize(
    "name", ["long_text", "data_lines", "comments", "wide_objects", "line_ends_of_all_kinds"]
)
def test_linear_in_small_pieces(core: SimpleNamespace, name: str) -> None:
    """So it is for a frame that comes in many pieces, but for where the cuts fall."""
    assert growth(core, name, "pieces", (60, 120, 180)) <= 0.2  # what is quadratic makes it 0.7
