"""The base class of repairs: the first station of a family is a chain of them.

A repair corrects one upstream defect. It sees an event as upstream sent it, with the corrections of the repairs before it, and
the client's view of the stream. It never writes the view, never changes an event in place, and never sees its own work
again: what it returns goes to the later repairs only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event


class Verdict:
    """A repair's answer other than a correction."""

    __slots__ = ()


HOLD: Final = Verdict()
"""The engine keeps the event until the repair releases it, or lets another event pass."""
PASS: Final = Verdict()
"""The event goes on, and what is held for the repair stays held."""


class Released(Verdict):
    """Events that go on in the event's place, uncorrected; what is held for the repair stays held."""

    __slots__ = ("events",)

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events


class Repair(ABC):
    """Base of the repairs; one instance per stream.

    :cvar name: the one name of the repair: module, counter label, configuration, golden, docs anchor.
    :cvar summary: one line for tables.
    :cvar fixes: ids of the defects that it corrects (docs/repairs.md).
    :cvar handles: the event types that it is asked about; None for every type, as a repair that holds events must be.
    :cvar needed: why it cannot be switched off, if something else relies on it; empty if it can.
    :ivar held: the events that the engine keeps for it, in order.
    """

    __slots__ = ("context", "held")

    name: ClassVar[str]
    summary: ClassVar[str]
    fixes: ClassVar[tuple[str, ...]]
    handles: ClassVar[frozenset[str] | None]
    needed: ClassVar[str] = ""

    def __init__(self, context: StreamContext) -> None:
        self.context = context
        self.held: list[Event] = []

    @classmethod
    def wanted(cls, settings: Any) -> bool:  # noqa: ARG003 - most repairs always are
        """Return whether these settings ask for the repair at all."""
        return True

    @classmethod
    def is_asked_about(cls, type_: str) -> bool:
        """Return whether the repair handles events of this type."""
        return cls.handles is None or type_ in cls.handles

    @abstractmethod
    def repair(self, event: Event, view: Any) -> Sequence[Event] | Verdict | None:
        """Return the events that replace this one; None if nothing is wrong with it.

        ``[]`` drops the event, ``[event.having(...)]`` replaces it, ``[inserted, event]`` goes ahead of it: each counts as a
        correction. With None, what is held goes on before the event. For the other answers see :class:`Verdict`.
        """

    def take(self) -> list[Event]:
        """Return what is held, and hold nothing."""
        held, self.held = self.held, []
        return held

    def watches(self, type_: str, view: Any) -> str | None:  # noqa: ARG002 - for those that look at words
        """Return the characters for which this repair must be asked about a delta; None if it must be asked about each.

        It is about deltas of this type that may now follow one of which the repair said nothing, or always the same.
        """
        return ""

    def settled(self, waiting: str, words: str, type_: str, view: Any) -> int:
        """Return how many characters of what waits and of the words behind it need not wait; -1 if words alone do not say it.

        It is asked about deltas of which a watched character stands in the words, or that follow some that wait, while the
        repair holds nothing. All that is not settled it would hold, as it came.

        :param waiting: words of the deltas before this one that this repair would hold, of the same text; mostly none.
        :param words: those of a delta.
        """
        for sign in self.watches(type_, view) or "":
            if sign in words:
                return -1
        return len(waiting) + len(words)
