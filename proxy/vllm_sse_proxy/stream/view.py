"""What the client of one stream has been sent, as far as every family has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.ending import Ending, Failure
    from vllm_sse_proxy.stream.event import Event


class TextView:
    """A text that grows by deltas, as the client has it.

    :ivar last: what the last delta added; None before the first.
    """

    __slots__ = ("_pieces", "_write", "last")

    def __init__(self) -> None:
        self._pieces = StringIO()  # which translates no line ends
        self._write = self._pieces.write  # looked up once: it is called for every delta
        self.last: str | None = None

    def grow(self, piece: str) -> None:
        """Add a piece that was emitted."""
        self._write(piece)
        self.last = piece

    @property
    def text(self) -> str:
        """The whole."""
        return self._pieces.getvalue()


class View(ABC):
    """What the client of one stream knows. Only the engine's exit writes it, for every event that really goes out.

    :ivar next_number: the number that the next event takes, in a family that numbers its events.
    :ivar size: how much is remembered, in characters: of text; for other things their JSON and a fixed amount.
    :ivar heard: an event of upstream's own that reports no error was emitted, so the stream cannot become an HTTP error.
    :ivar reported: upstream reported an error.
    :ivar outcome: how the stream ended for the client, once its last event was emitted: completed, incomplete or failed.
    """

    def __init__(self) -> None:
        self.next_number = 0
        self.size = 0
        self.heard = False
        self.reported = False
        self.outcome: Ending | None = None

    @property
    def response_id(self) -> str | None:
        """The id by which upstream can be asked for the stream's answer, once the client knows it."""
        return None

    @property
    def is_over(self) -> bool:
        """Whether the client has been sent all that it waits for, in a family in which no event says that: ``[DONE]`` does."""
        return False

    @abstractmethod
    def apply(self, event: Event) -> None:
        """Take note of an event that goes out."""

    def text_of(self, event: Event) -> TextView | None:  # noqa: ARG002 - a family without texts has none
        """Return the text that a delta goes on with; None if the client knows of none."""
        return None

    def words_of(self, event: Event) -> str | None:  # noqa: ARG002 - as above
        """Return the words of a delta."""
        return None

    def has_words_twice(self, event: Event) -> bool:  # noqa: ARG002 - as above
        """Return whether a delta has its words twice, under two names."""
        return False

    def idle_index(self, event: Event) -> bytes:  # noqa: ARG002 - most have none
        """Return the name of a member of a delta whose value, an index, makes no difference now; empty if there is none."""
        return b""

    def varying_members(self, event: Event) -> tuple[bytes, ...]:  # noqa: ARG002 - as above
        """Return the names of the members of a delta that hold something else in each."""
        return ()

    def value_left(self, member: bytes, value: Any) -> Any:  # noqa: ARG002 - as above
        """Return what the repairs leave of the value of such a member: itself if they do not change it.

        :returns: None if that is not certain.
        """
        return None

    @abstractmethod
    def failure(self) -> Failure:
        """Return what upstream's own report of a failure says, for the HTTP error that takes the stream's place."""
