"""``make bench-worst``: how long the loop stands still for a megabyte of the worst that can come in one piece.

    python -m bench.worst [--family NAME ...] [--only SHAPE ...] [--kilobytes 1000]

Every shape in ``bench/shapes/`` is made a megabyte long and given to one ``feed``, then half as long: twice the length
should take twice the time. The time is that of the process, the best of a few runs; a stream that takes more than two seconds
is run once. The table is Markdown. No line of it should be over 100 ms on a compiled core (``CORE=compiled``): so long every
other stream waits.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.shapes import FAMILIES
from vllm_sse_proxy import BodyEnd, Plan, StreamNormalizer
from vllm_sse_proxy.families import FAMILIES as ALL
from vllm_sse_proxy.stream import CORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

KILOBYTES: Final = 1000
RUNS: Final = 3
LONG_SECONDS: Final = 2.0
LIMIT_MS: Final = 100.0
"""For which no stream may hold up the others."""
_PROBE: Final = (64, 128)
"""Elements by which the size of one is measured."""
_PLANS: Final = {family.name: Plan.of(family) for family in ALL}


@dataclass(frozen=True)
class Row:
    """What one shape takes.

    :ivar elements: how many there are.
    :ivar ms: of process time for the whole.
    :ivar half_ms: for half as many.
    :ivar out: bytes that came out.
    """

    family: str
    name: str
    elements: int
    size: int
    out: int
    ms: float
    half_ms: float

    @property
    def doubling(self) -> float:
        """By how much twice as many elements take longer."""
        return self.ms / self.half_ms if self.half_ms else 0.0


def elements_in(shape: Callable[[int], bytes], size: int) -> int:
    """Return how many elements make a stream of about this size, in bytes."""
    few, more = (len(shape(number)) for number in _PROBE)
    return max(2, int((size - few) * (_PROBE[1] - _PROBE[0]) / max(1, more - few)) + _PROBE[0])


def measured(family: str, stream: bytes) -> tuple[float, int]:
    """Return the process time that a stream takes, in milliseconds, and how many bytes come out."""
    best, out = float("inf"), 0
    plan = _PLANS[family]
    for _ in range(RUNS):
        normalizer = StreamNormalizer(plan, plan.family.context("", FAMILIES[family].request))
        began = time.process_time()
        made = normalizer.feed(stream)
        made += normalizer.finish(BodyEnd.EOF)
        took = time.process_time() - began
        best, out = min(best, took), len(made)
        if took > LONG_SECONDS:
            break
    return best * 1000, out


def rows(family: str, names: Iterable[str], size: int) -> Iterator[Row]:
    """Measure these shapes; yield each as soon as it is known.

    :param size: of the streams, in bytes.
    """
    for name in names:
        shape = FAMILIES[family].shapes[name]
        elements = elements_in(shape, size)
        stream = shape(elements)
        half_ms, _ = measured(family, shape(elements // 2))
        ms, out = measured(family, stream)
        yield Row(family, name, elements, len(stream), out, ms, half_ms)


HEAD: Final = (
    "| family | shape | elements | kB in | kB out | ms | twice as many take |",
    "|---|---|--:|--:|--:|--:|--:|",
)


def line(row: Row) -> str:
    """Return a row of the table; what is over the limit is bold."""
    ms = f"{row.ms:,.0f}" if row.ms >= 10 else f"{row.ms:.1f}"  # noqa: PLR2004 - a digit more for what is short
    shown = f"**{ms}**" if row.ms > LIMIT_MS else ms
    shape = FAMILIES[row.family].shapes[row.name]
    what = (shape.__doc__ or row.name).removeprefix("Return ").rstrip(".")
    sizes = f"{row.elements:,} | {row.size // 1000:,} | {row.out // 1000:,}"
    return f"| {row.family} | {what} | {sizes} | {shown} | ×{row.doubling:.1f} |"


def main(arguments: Sequence[str]) -> int:
    """Print the table; return how many shapes are over the limit."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.worst", description="A megabyte of each bad shape, in one piece."
    )
    parser.add_argument(
        "--family", nargs="*", choices=sorted(FAMILIES), help="those of these; all without it"
    )
    parser.add_argument("--only", nargs="*", metavar="SHAPE", help="these shapes; all without it")
    parser.add_argument("--kilobytes", type=int, default=KILOBYTES, help="size of the streams (%(default)s)")
    given = parser.parse_args(arguments)
    print(f"Core: {CORE}, Python {sys.version.split()[0]}; one feed, process time.\n")
    print("\n".join(HEAD))
    count = over = 0
    for family in given.family or FAMILIES:
        names = [name for name in FAMILIES[family].shapes if name in (given.only or [name])]
        for row in rows(family, names, given.kilobytes * 1000):
            count += 1
            over += row.ms > LIMIT_MS
            print(line(row), flush=True)
    print(f"\n{over} of {count} over {LIMIT_MS:.0f} ms.")
    return over


if __name__ == "__main__":
    main(sys.argv[1:])
