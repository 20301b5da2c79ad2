"""Streams of the other families take time in proportion to their length, too, whatever they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from bench.shapes import FAMILIES
from bench.shapes.chunks import MORE
from tests.properties.growth import growth
from tests.support.chunk_streams import ROLE, compact, wire
from tests.support.compiled import python_core

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

pytestmark = [python_core, pytest.mark.long]

OTHERS: Final = [
    (name, shape) for name, family in FAMILIES.items() if name != "responses" for shape in family.shapes
]
COUNTS: Final = (72, 78, 84)
"""Elements of the three streams that are compared: as often each of the texts that take turns."""
TOLERANCE: Final = 0.01
"""What the second difference of the steps may be, as a share of the first: tables that grow, and numbers that get wider."""


STOPS: Final = ["\n\nUser:", "</s>", "<|im_end|>", "aaab"]
ASKED_TO_STOP: Final = {"chat": {"stop": STOPS}, "messages": {"stop_sequences": STOPS}}


def normalizers(core: SimpleNamespace, family: str, **asked: Any) -> Callable[[], Any]:
    """Return what makes a normalizer of a family; ``asked`` is what the request asks for besides."""

    def make() -> Any:
        made, request = getattr(core, family.upper()), FAMILIES[family].request
        context = made.context("", {**request, **asked} if asked else request)
        return core.StreamNormalizer(core.Plan.of(made, strict=True), context)

    return make


@pytest.mark.parametrize(("family", "name"), OTHERS)
@pytest.mark.parametrize("how", ["whole", "frames"])
def test_linear(metered_core: SimpleNamespace, family: str, name: str, how: str) -> None:
    """Doubling any repeated element of a stream at most doubles the steps."""
    make = normalizers(metered_core, family)
    assert growth(metered_core, make, FAMILIES[family].shapes[name], how, COUNTS) <= TOLERANCE


@pytest.mark.parametrize(("family", "name"), [each for each in OTHERS if each[0] in ASKED_TO_STOP])
def test_linear_with_stop_strings(metered_core: SimpleNamespace, family: str, name: str) -> None:
    """So it is where the text is searched for stop strings."""
    make = normalizers(metered_core, family, **ASKED_TO_STOP[family])
    assert growth(metered_core, make, FAMILIES[family].shapes[name], "frames", COUNTS) <= TOLERANCE


@pytest.mark.parametrize("place", ["content", "arguments"])
@pytest.mark.parametrize(
    "text", ["<", "<tool_call>", '"', "{", "[TOOL_CALLS]", "</think>\n", " ", "<|start|>"]
)
def test_one_long_text(metered_core: SimpleNamespace, text: str, place: str) -> None:
    def shape(number: int) -> bytes:
        long = compact(text * number)
        line = f'{{"content":{long}}}' if place == "content" else MORE % (0, long)
        return wire(f'{ROLE}\n{{"reasoning":"r"}}\n{line}\n{line}')

    assert growth(metered_core, normalizers(metered_core, "chat"), shape, "frames", COUNTS) <= TOLERANCE
