"""By how much more a stream costs that is longer, in steps of the metered core (`tests/properties/steps.py`).

What is linear takes exactly as many more steps from the 80th to the 90th element as from the 70th to the 80th.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.properties.steps import METER

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

COUNTS: Final = (70, 80, 90)
"""Elements of the three streams that are compared: more than repairs look back or ahead."""
SHORT_ELEMENT_BYTES: Final = 100
MANY: Final = 16
"""At most so many times more, if an element is but a few characters: then it is their number that matters."""
MOST_STEPS: Final = 50_000_000
"""For the shortest of the streams: a few times what any of them takes."""
TOO_MANY: Final = 2
"""So many times what one of that length may take, after the shortest: what is not linear may not hold up the tests."""
PIECE_BYTES: Final = 61
RECURSION_LIMIT: Final = 10_000
"""The meter's matcher of regular expressions calls itself for each repetition of a group."""


def steps(core: SimpleNamespace, make: Callable[[], Any], chunks: list[bytes], most: int) -> int:
    """Return how many steps a normalizer takes for a stream that comes in these chunks.

    :param core: the metered core.
    :param make: makes a normalizer of it.
    :raises TooManyStepsError: if they are more than ``most``.
    """
    normalizer = make()
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


def growth(
    core: SimpleNamespace,
    make: Callable[[], Any],
    shape: Callable[[int], bytes],
    how: str,
    counts: tuple[int, int, int] = COUNTS,
) -> float:
    """Return by how much the second half of what is added costs more than the first, as a share of what it costs.

    :param shape: makes a stream of so many elements.
    :param how: in what chunks it comes, see :func:`cut`.
    """
    unit = len(shape(COUNTS[1])) - len(shape(COUNTS[1] - 1))
    times = max(1, min(MANY, SHORT_ELEMENT_BYTES // max(1, unit)))
    streams = [cut(shape(count * times), how) for count in counts]
    steps(core, make, cut(shape(counts[0] // 4), how), MOST_STEPS)  # fills the caches
    few = steps(core, make, streams[0], MOST_STEPS)
    more, most = (
        steps(core, make, stream, few * TOO_MANY * counts[2] // counts[0]) for stream in streams[1:]
    )
    return (most - 2 * more + few) / max(1, more - few)


def cut(stream: bytes, how: str) -> list[bytes]:
    """Cut a stream: ``whole``, into its ``frames``, or into small ``pieces``."""
    if how == "whole":
        return [stream]
    if how == "frames":
        return [frame + b"\n\n" for frame in stream.split(b"\n\n") if frame]
    return [stream[start : start + PIECE_BYTES] for start in range(0, len(stream), PIECE_BYTES)]
