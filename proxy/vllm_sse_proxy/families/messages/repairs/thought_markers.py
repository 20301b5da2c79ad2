"""The marker that begins thoughts, at the beginning of a thought (C25, C36).

A parser takes it out, unless a stop string of the request puts text and tokens out of step: then thinking begins with
``<think>``, which clients show. The first words of a thinking block leave without it (``markup.left_opening`` says what is
one, and the judge asks the same); they are held while they may be the beginning of a marker. Within a thought it is the
model's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.markup import behind_openings
from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import IDLE, delta_type, said_by, saying, says_nothing
from vllm_sse_proxy.families.texts.passing_text import PassingText
from vllm_sse_proxy.families.texts.signs import has_sign
from vllm_sse_proxy.stream.repair import HOLD, PASS, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.event import Event

_SIGNS: Final = "<["
"""What markers begin with."""


class ThoughtMarkers(Repair):
    """Take the marker off the beginning of a thought."""

    __slots__ = ()

    name: ClassVar = "thought_markers"
    summary: ClassVar = "thinking does not begin with the marker of thinking"
    fixes: ClassVar = ("C25", "C36")
    handles: ClassVar = None

    @classmethod
    def is_asked_about(cls, type_: str) -> bool:  # noqa: ARG003 - whatever follows a piece that is held
        """Return whether events of this type are thinking, or follow it."""
        return True

    def watches(self, type_: str, view: MessageView) -> str | None:  # noqa: ARG002 - there is one type of deltas
        """Watch for markers as long as a thought is blank."""
        return "" if _has_begun(view) else _SIGNS

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:
        """Return the first words without their marker."""
        if event.type in IDLE:
            return PASS
        if self.held and (event.type == grammar.BLOCK_STOP or says_nothing(event)):
            return HOLD  # it may come too early
        if delta_type(event) != grammar.THINKING_DELTA or _has_begun(view):
            return None
        piece = said_by(event)
        if not self.held and not has_sign(piece, _SIGNS):
            return None
        begun = "".join(map(said_by, self.held)) + piece
        rest, is_open = behind_openings(begun)
        if rest == begun:
            return HOLD if is_open else None
        made = [
            saying(event, grammar.THINKING_DELTA, rest),
            *(each for each in self.take() if not said_by(each)),
        ]
        if is_open:
            self.held = made
            return []
        return made


def _has_begun(view: MessageView) -> bool:
    """Return whether the thought that is open, if one is, has had words."""
    block = view.open
    return (
        block is not None
        and block.type == grammar.THINKING
        and isinstance(block.text, PassingText)
        and not block.text.is_blank
    )
