"""Linear: a stream twice as long takes twice as long, whatever it is that stands in it twice as often.

Steps are counted, not seconds. `make bench-worst` measures the same shapes in milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from bench.shapes.responses import SHAPES
from tests.properties.growth import growth
from tests.support.compiled import python_core

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

pytestmark = [python_core, pytest.mark.long]

FIRST_NUMBER: Final = 20_000
"""Of the events that leave: all of one width, as those that come (`bench/shapes.py`)."""
TOLERANCE: Final = 0.001
"""What the second difference of the steps may be, as a share of the first: tables that grow, and numbers that get wider."""


def normalizers(core: SimpleNamespace) -> Callable[[], Any]:
    def make() -> Any:
        normalizer = core.StreamNormalizer(core.build_plan(strict=True), core.RequestContext(seed="seed"))
        normalizer._engine.exit.view.next_number = FIRST_NUMBER
        return normalizer

    return make


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("how", ["whole", "frames"])
def test_linear(metered_core: SimpleNamespace, name: str, how: str) -> None:
    """Doubling any repeated element of a stream at most doubles the steps."""
    assert growth(metered_core, normalizers(metered_core), SHAPES[name], how) <= TOLERANCE


@pytest.mark.parametrize(
    "name", ["long_text", "data_lines", "comments", "wide_objects", "line_ends_of_all_kinds"]
)
def test_linear_in_small_pieces(metered_core: SimpleNamespace, name: str) -> None:
    """So it is for a frame that comes in many pieces, but for where the cuts fall."""
    # what is quadratic makes it 0.7
    assert growth(metered_core, normalizers(metered_core), SHAPES[name], "pieces", (60, 120, 180)) <= 0.2
