"""What a correction is called, what it corrects, and at which station: what tables, counters and switches are made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Station(Enum):
    """The stations that an event passes, in order; the values are titles for the documentation."""

    READ = "Read: each event can be understood by itself"
    ADDRESS = "Address: each event names its response, its item and its part"
    COMPLETE = "Complete: nothing comes before its opening, nothing after its end, and the end sums up what was streamed"
    EMIT = "Emit: each event has the form of its dialect, and its number"


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction that a later station makes: it is counted and switched by its name, like a repair.

    :ivar name: the one name: counter label, configuration, golden, docs anchor.
    :ivar summary: one line for tables.
    :ivar fixes: ids of the defects that it corrects (docs/repairs.md).
    :ivar station: where it is corrected.
    :ivar needed: why it cannot be switched off: what else relies on it. Empty for one that can.
    :ivar is_default: whether it is made unless the settings say otherwise.
    """

    name: str
    summary: str
    fixes: tuple[str, ...]
    station: Station = Station.READ
    needed: str = ""
    is_default: bool = True
