"""What becomes of freed memory: so much of it is kept for the next read.

A long answer that comes at once, as a replay does, takes some buffers of a megabyte, for a moment. glibc gives such
memory back to the system at once and asks for it again with the next read, and the system fills each page with noughts before
it hands it out: 1,200 page faults for an answer of 2,000 events, a third of its cost (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

KEPT_BYTES: Final = 8 * 1024 * 1024
"""Free memory at the end of the heap that is not given back."""
LARGE_BYTES: Final = KEPT_BYTES // 2
"""From this size on a buffer is the system's own business again, and goes back to it at once."""

# The names of <malloc.h>.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_SET_BY_OPERATOR: Final = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_some() -> bool:
    """Keep a few megabytes of freed memory; say whether that could be set.

    It can with glibc. What an operator has set in the environment stays as it is. Call it once per process, at its start.
    """
    if any(name in os.environ for name in _SET_BY_OPERATOR):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
