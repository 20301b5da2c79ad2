"""Garbage collection: seldom, and never among the objects that live as long as the process.

Python frees nearly everything at once, by counting references; its collector looks for objects that refer to each other in a
cycle, and visits every object there is to find them. By default it runs after each 700 new ones, which is a request or two.
With 2,000 streams open it visited a million objects again and again: most of the cost of opening them, and half of the cost of
an event beside them (docs/benchmarks.md).
"""

from __future__ import annotations

import gc
from typing import Final

NEW_OBJECTS: Final = 10_000
"""New objects that start a collection of the youngest: a millisecond's work, and a megabyte of garbage or two."""


def collect_less_often() -> None:
    """Leave the objects that exist now out of every later collection, and collect less often.

    Call it once per process, when everything is loaded and nobody can be waiting for an answer: it takes a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
