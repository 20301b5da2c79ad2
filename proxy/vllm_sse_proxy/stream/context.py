"""What a station knows beside the event and the view: of the request, and of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Seen = dict[Any, None]
"""A set, kept as the keys of a dictionary: nearly all of them stay empty, and an empty dictionary takes 64 bytes where a set
takes 216. Every open stream has seven."""


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
