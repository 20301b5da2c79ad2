"""Freed memory: a few megabytes are kept for the next read instead of being returned to the system.

A long answer that arrives at once, as a replay does, takes some buffers of a megabyte for a moment. glibc returns such memory
to the system at once and asks for it again with the next read, and the system zeroes each page before it hands it out: 1,200
page faults for an answer of 2,000 events, a third of its cost (docs/benchmarks.md).

The image says so to glibc by environment variables, before Python starts; for any other installation it is said here.
"""

from __future__ import annotations

import os
from typing import Final

KEPT_BYTES: Final = 8 * 1024 * 1024
"""Free memory at the end of the heap that is not returned."""
LARGE_BYTES: Final = KEPT_BYTES // 2
"""A buffer of this size or more is allocated by the system directly, and returned to it at once."""

# The names of <malloc.h>.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_IN_ENVIRONMENT: Final = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Keep a few megabytes of freed memory from now on; return whether that could be set.

    It can with glibc. What the environment says takes precedence. Call it once per process, at its start.
    """
    if any(name in os.environ for name in _IN_ENVIRONMENT):
        return False
    import ctypes  # noqa: PLC0415 - a third of a MiB, which the image does without

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
