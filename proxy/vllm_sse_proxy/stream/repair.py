"""The base class of repairs: the first station of a family is a chain of them.

A repair corrects one upstream defect. It sees an event as upstream sent it, with the corrections of the repairs before it, and
the client's view of the stream. It never writes the view, never changes an event in place, and never sees its own work
again: what it returns goes to the later repairs only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.stream.event import Event


MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""One frame: an image of 5 MB in base64 fits; an endless line does not."""
MAX_TEXT_BYTES: Final = 16 * 1024 * 1024
"""The most that the view remembers of one stream, text and items: four million tokens, far beyond any model's answers."""
MAX_HELD_EVENTS: Final = 8192
"""The most events that are held for a repair: when more come, all are released as they came."""

Seen = dict[Any, None]
"""A set, kept as the keys of a dictionary: nearly all of them stay empty, and an empty dictionary takes 64 bytes where a set
takes 216. Every open stream has seven."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Settings of the core that every family has; a family's own settings extend them.

    :ivar done_sentinel: whether ``[DONE]`` ends a stream.
    :ivar observe: whether upstream's bytes pass unchanged, and corrections are only counted.
    :ivar strict: whether an exception of a repair is raised (tests) instead of leaving the repair out.
    :ivar max_frame_bytes: size of the largest frame, in bytes.
    :ivar max_text_bytes: what may be remembered of one stream, in characters.
    """

    done_sentinel: bool = True
    observe: bool = False
    strict: bool = False
    max_frame_bytes: int = MAX_FRAME_BYTES
    max_text_bytes: int = MAX_TEXT_BYTES


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


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What the shell knows of the request.

    :ivar seed: what ids are derived from while the response's own id is unknown; the same for every replay of one stream.
    :ivar body: the request's JSON object as the client sent it, where it was read; its ``input`` is not needed.
    :ivar conversion: what must be converted back in the answer, where upstream was sent another request than the client's;
        the family's own.
    """

    seed: str = ""
    body: Mapping[str, Any] | None = None
    conversion: Any = None


class StreamContext:
    """What a station may know beside the event and the view; a plain class, since every stream makes one.

    :ivar settings: the family's own.
    :ivar disabled: names of what is switched off.
    :ivar asked: what the family reads off the request, once it has: all of a stream's repairs share it.
    """

    __slots__ = ("asked", "disabled", "request", "settings")

    def __init__(self, settings: Any, disabled: frozenset[str], request: RequestContext) -> None:
        self.settings = settings
        self.disabled = disabled
        self.request = request
        self.asked: Any = None


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
