"""The stations of a stream that a family makes: the one that completes its events, and the one that writes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.exit import Exit


class Completer(ABC):
    """The station that emits: an event, after whatever must come before it."""

    @abstractmethod
    def complete(self, event: Event) -> None:
        """Emit an event of upstream, with what it lacks, or drop it; for END, emit the last events of the stream."""

    def release(self) -> None:  # noqa: B027 - most hold nothing
        """Emit what waits for the next event: upstream's heartbeat says that time passes."""


class Writer(ABC):
    """The last station: the form in which an event leaves.

    It is given the exit and keeps none: two objects that hold each other stay in memory until the collector finds them.
    """

    def finish(self, event: Event, exit_: Exit) -> Event:  # noqa: ARG002 - most count nothing
        """Return the event as it leaves, but for its number."""
        return event

    @abstractmethod
    def write(self, event: Event, exit_: Exit) -> None:
        """Number the event and add the pieces of its frame to ``exit_.out``."""

    @abstractmethod
    def sentinel(self, out: list[bytes]) -> None:
        """Add what comes after the last event."""
