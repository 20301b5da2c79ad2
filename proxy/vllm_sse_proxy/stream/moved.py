"""What a repair returns that mends nothing: events in another place in time.

A module of its own, because it is not compiled: mypyc makes no class that is a tuple (docs/adr/0080-a-compiled-core.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Event


class Moved(tuple["Event", ...]):
    """Events in another place in time, but mended in nothing: the engine counts no repair."""

    __slots__ = ()


HOLD: Final = Moved()
"""Returned for an event that the repair keeps for a moment: one without content, or text that may be a call. END frees it."""
