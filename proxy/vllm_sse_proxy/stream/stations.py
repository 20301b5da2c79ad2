"""The station of a stream that completes its events, as a family makes it; the one that writes them stands at the exit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Event


class Completer(ABC):
    """The station that completes: it hands an event to the exit, after whatever must come before it."""

    @abstractmethod
    def complete(self, event: Event) -> None:
        """Emit an event of upstream, with what it lacks, or drop it; for END, emit the last events of the stream."""

    def release(self) -> None:  # noqa: B027 - most hold nothing
        """Emit what waits for the next event: upstream's heartbeat says that time passes."""
