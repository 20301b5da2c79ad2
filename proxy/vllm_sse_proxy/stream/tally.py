"""What one stream cost and needed, in plain integers; added to the metrics once, at its end."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of one stream.

    :ivar events_in: events of upstream, without comments and the end of the body.
    :ivar events_out: events emitted.
    :ivar events_renumbered: upstream's events that left with another number.
    :ivar events_inserted: events that the proxy made.
    :ivar events_dropped: upstream's events that did not leave.
    :ivar comments: upstream's comments.
    :ivar bytes_in: bytes of upstream's body.
    :ivar bytes_out: bytes for the client.
    :ivar repairs: name of a repair → how many corrections it made.
    :ivar repair_failures: name of a repair → how often it raised, and was left out for that event.
    """

    events_in: int = 0
    events_out: int = 0
    events_renumbered: int = 0
    events_inserted: int = 0
    events_dropped: int = 0
    comments: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    repairs: dict[str, int] = field(default_factory=dict)
    repair_failures: dict[str, int] = field(default_factory=dict)

    def observed(self) -> None:
        """Count what left in observe mode: upstream's events, as they came."""
        self.events_out = self.events_in
        self.events_renumbered = self.events_inserted = self.events_dropped = 0

    def correct(self, name: str, number: int = 1) -> None:
        """Count corrections of a repair."""
        self.repairs[name] = self.repairs.get(name, 0) + number

    def fail(self, name: str) -> None:
        """Count an exception of a repair."""
        self.repair_failures[name] = self.repair_failures.get(name, 0) + 1
