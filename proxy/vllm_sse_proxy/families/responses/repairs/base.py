"""What a repair is.

A repair mends one upstream defect. It asks what the client believes (the view) and what it must hear for this event
to make sense. It never writes the view, never changes an event in place, and never sees its own work again: what it
returns goes to the later repairs only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from vllm_sse_proxy.families.responses.events import COMMENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView


MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""One frame: an image of 5 MB in base64 fits; an endless line does not."""
MAX_TEXT_BYTES: Final = 16 * 1024 * 1024
"""What the view must remember of one stream, text and items: four million tokens, far over any model's longest answer."""
MAX_HELD_DELTAS: Final = 8192
"""Deltas that a repair holds back at most, where it must (R03, R12): when more come, all are told as they came."""


MAX_UNSENT_ITEMS: Final = 1000
"""Items of the final output that were never streamed: each gets its six events in one call, which holds all other streams up.
A response of many tool calls has a hundred."""


Seen = dict[Any, None]
"""What was seen, as the keys of a dictionary: empty, which nearly all of them stay, it takes 64 bytes, and a set 216. Every
open stream has seven."""


class Phase(IntEnum):
    """The order of repairs: each phase may rely on what the earlier ones made true."""

    SHAPE = 1
    """Each event is readable on its own: names, types of fields."""
    IDENTITY = 2
    """Each event names the item and the part that it belongs to."""
    LIFECYCLE = 3
    """What must come before it was told, what may not come is gone."""
    CONTENT = 4
    """Its texts agree with what the deltas told."""
    TERMINAL = 5
    """The end is told once, truly, and sums up what was streamed."""


class Dialect(StrEnum):
    """Whose names the events go by (protocol.md, "Dialects")."""

    OPENAI = "openai"
    OPEN_RESPONSES = "open-responses"
    UPSTREAM = "upstream"


class Reasoning(StrEnum):
    """How raw reasoning is told."""

    RAW = "raw"
    SUMMARY = "summary"


class NestedNumbers(StrEnum):
    """What becomes of a ``sequence_number`` inside an item, a part or a response (R14)."""

    RENUMBER = "renumber"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Settings:
    """What steers the core; the same for every stream of a process."""

    dialect: Dialect = Dialect.OPENAI
    reasoning: Reasoning = Reasoning.RAW
    nested_numbers: NestedNumbers = NestedNumbers.RENUMBER
    done_sentinel: bool = True
    observe: bool = False
    strict: bool = False
    max_frame_bytes: int = MAX_FRAME_BYTES
    max_text_bytes: int = MAX_TEXT_BYTES


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What the shell knows of the request.

    :ivar seed: what ids are derived from while the response's own id is unknown; the same for every replay of one
    stream.
    :ivar body: the request's JSON object, where it was read; its ``input`` is not needed.
    """

    seed: str = ""
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StreamContext:
    """What a repair may know beside the event and the view."""

    settings: Settings = field(default_factory=Settings)
    request: RequestContext = field(default_factory=RequestContext)
    held_calls: dict[str, bool] = field(default_factory=dict)
    """ids of the calls whose closings from upstream wait (``unreadable_calls``) → whether nobody can read the call"""


class Flatten(Protocol):
    """What makes a string of words that are none."""

    def __call__(self, value: Any, /) -> str | None:
        """Return the words; None if there are none."""


class Repair(ABC):
    """Base of the repairs; one instance per stream.

    :cvar name: the one name of the repair: module, counter label, configuration, golden, docs anchor.
    :cvar summary: one line for tables.
    :cvar fixes: ids of the defects that it mends (docs/repairs.md).
    :cvar handles: the event types that it is asked about; None for every type.
    :cvar holds: whether it keeps events for a moment. Then it is asked about comments too: upstream's heartbeat says that time
        passes, nothing is held for long, and nothing is told in another order than it came.
    :cvar reads_deltas: whether it looks at the words of a delta. One that does not is asked about the first delta of
        several in a row that differ in nothing else: it must find nothing wrong with the others if it found nothing
        there.
    :cvar needed: why it cannot be switched off: what the repairs after it rely on. Empty for a repair that can.
    :cvar flatten: for the repair that does nothing to deltas but make strings of words that are none: how it does; None if
        an event is dropped for it.
    """

    __slots__ = ("context",)

    name: ClassVar[str]
    summary: ClassVar[str]
    fixes: ClassVar[tuple[str, ...]]
    phase: ClassVar[Phase]
    handles: ClassVar[frozenset[str] | None]
    holds: ClassVar[bool] = False
    reads_deltas: ClassVar[bool] = False
    needed: ClassVar[str] = ""
    flatten: ClassVar[Flatten | None] = None

    def __init__(self, context: StreamContext) -> None:
        self.context = context

    @classmethod
    def wanted(cls, settings: Settings) -> bool:  # noqa: ARG003 - most repairs always are
        """Tell whether these settings ask for the repair at all."""
        return True

    @classmethod
    def is_asked_about(cls, type_: str) -> bool:
        """Tell whether the repair handles events of this type; about comments, only one that holds events is asked."""
        if type_ == COMMENT:
            return cls.holds or (cls.handles is not None and type_ in cls.handles)
        return cls.handles is None or type_ in cls.handles

    @abstractmethod
    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the events that take this one's place; None if nothing is wrong with it.

        ``[]`` drops the event, ``[event.having(...)]`` replaces it, ``[invented, event]`` goes ahead of it.
        """

    def signs(self, type_: str, spelling: str) -> str | None:  # noqa: ARG002 - for those that read deltas
        """Return the characters among a delta's words that it must be asked about; None: it must be asked about each delta.

        It is about the deltas that may now follow in a streak: those of this type, under this name of upstream's, in which
        nothing else is wrong.
        """
        return None

    def pass_by(self, type_: str, words: str) -> None:  # noqa: B027 - most have nothing to note
        """Take note that it was not asked about some deltas, as it did not wish to be; ``words`` are the last one's."""
