"""The marker that begins thoughts, at the beginning of a thought (C25, C36).

A parser takes it out, unless a stop string of the request puts text and tokens out of step: then thinking begins with
``<think>``, which clients show. The first pieces of a thinking block leave without it; they are held while they may be the
beginning of a marker. Within a thought it is the model's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import delta_of, delta_type, said_by, says_nothing
from vllm_sse_proxy.stream.repair import HOLD, PASS, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.event import Event

_MARKERS: Final = ("<think>", "<mm:think>", "[THINK]")


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

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:
        """Return the first piece without its marker. The first one of a block is always walked."""
        if event.type == grammar.MESSAGE_START:
            return PASS  # a second one, which changes nothing
        block = view.open
        if block is not None and block.type == grammar.THINKING and block.text.last is not None:
            return None
        if self.held and (event.type == grammar.BLOCK_STOP or says_nothing(event)):
            return HOLD  # it may come too early
        piece = delta_of(event).get("thinking")
        if delta_type(event) != grammar.THINKING_DELTA or type(piece) is not str:
            return None
        begun = "".join(map(said_by, self.held)) + piece
        rest = begun
        while rest.startswith(_MARKERS):
            rest = rest[rest.index(_ENDS[rest[0]]) + 1 :]
        if rest and any(marker.startswith(rest) for marker in _MARKERS):
            return HOLD
        if rest == begun:
            return None
        others = [each for each in self.take() if not said_by(each)]
        return [event.having(delta={**delta_of(event), "thinking": rest}), *others] if rest else others


_ENDS: Final = {"<": ">", "[": "]"}
"""How a marker ends that begins so."""
