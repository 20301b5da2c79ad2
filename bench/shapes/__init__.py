"""Streams in which one element stands many times: what they cost must grow with their length, and no faster.

Every shape is a function of a number, and returns a stream with so many of its element. ``bench/worst.py`` measures them a
megabyte long, ``tests/properties`` counts the steps of short ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.shapes import chunks, messages, responses
from tests.support.chunk_streams import REQUEST as CHAT_REQUEST
from tests.support.messages import REQUEST as MESSAGES_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class FamilyShapes(NamedTuple):
    """The shapes of one family by their names, and the request that is answered; None: nothing is known of it."""

    shapes: Mapping[str, Callable[[int], bytes]]
    request: Any = None


FAMILIES: Final = {
    "responses": FamilyShapes(responses.SHAPES),
    "chat": FamilyShapes(chunks.CHAT, CHAT_REQUEST),
    "completions": FamilyShapes(chunks.COMPLETION),
    "transcriptions": FamilyShapes(chunks.TRANSCRIPTS),
    "messages": FamilyShapes(messages.SHAPES, MESSAGES_REQUEST),
}
"""By the names of the families."""
