"""The exit: the one way out of a stream's stations. It alone writes the client's view, and counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from vllm_sse_proxy.sse import encode_comment
from vllm_sse_proxy.stream.event import END
from vllm_sse_proxy.stream.tally import Tally

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.view import View


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


class Exit:
    """The one way out of a stream's stations.

    :ivar out: encoded frames, in pieces, that wait to be collected.
    :ivar last: the event that left last.
    :ivar corrections: names of the corrections since the engine last looked.
    :ivar structure: how many events have left that upstream did not send, or that are not deltas.
    """

    def __init__(self, view: View, writer: Writer, starting_after: int, deltas: frozenset[str]) -> None:
        self.tally = Tally()
        self._deltas = deltas
        self.structure = 0
        self.view = view
        self.starting_after = starting_after
        self.out: list[bytes] = []
        self.last: Event | None = None
        self.corrections: list[str] = []
        self._has_begun = False
        """whether the client was sent an event"""
        self._writer = writer

    def emit(self, event: Event) -> None:
        """Note an event in the view, and write it."""
        writer = self._writer
        event = writer.finish(event, self)
        view, tally = self.view, self.tally
        view.apply(event)
        tally.events_out += 1
        if event.inserted:
            tally.events_inserted += 1
        if event.inserted or event.type not in self._deltas:
            self.structure += 1
        self.last = event
        mark = len(self.out)
        writer.write(event, self)
        if view.next_number <= self.starting_after + 1 and self.starting_after >= 0:
            del self.out[mark:]  # the client has it
        else:
            self._has_begun = True

    def take_last(self) -> Event | None:
        """Return the event that left last, and forget it."""
        last, self.last = self.last, None
        return last

    def correct(self, name: str) -> None:
        """Count a correction."""
        self.tally.correct(name)
        self.corrections.append(name)

    def drop(self, name: str, event: Event) -> None:
        """Count a correction that leaves an event out."""
        self.correct(name)
        if event.type is not END:
            self.tally.events_dropped += 1

    def comment(self, text: bytes) -> None:
        """Emit a comment; before the first event that the client is sent it goes no further."""
        self.tally.comments += 1
        if self._has_begun:
            self.out.append(encode_comment(text))

    def sentinel(self) -> None:
        """Emit what comes after the last event."""
        self._writer.sentinel(self.out)

    def take(self) -> bytes:
        """Return all frames made since the last call, as one piece for one write."""
        out = self.out
        if not out:
            return b""
        joined = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return joined
