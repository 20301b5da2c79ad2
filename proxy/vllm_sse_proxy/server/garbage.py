"""When Python looks for garbage: seldom, and never among what lives as long as the process.

Python frees nearly everything at once, by counting references; its collector looks for what refers to itself in a circle, and
for that it visits every object there is. By default it sets out after each 700 new ones, which is a request or two. With
2,000 streams open it visited a million objects again and again: most of what opening them cost, and half of what an event
cost beside them (docs/performance.md).
"""

from __future__ import annotations

import gc
from typing import Final

NEW_OBJECTS: Final = 10_000
"""Objects made and not freed before the youngest are looked at: a millisecond's work, and a megabyte of garbage or two."""


def settle() -> None:
    """Leave what is there now out of every later search, and search less often.

    Call it once per process, when all is loaded and before anybody can wait for an answer: it takes a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
