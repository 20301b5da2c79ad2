"""Headers of gpt-oss that leak into the text when the answer is cut in one, and its end token alone (C40).

Between two messages the model writes a header, ``<|start|>assistant<|channel|>commentary to=functions.lookup``. If the token
limit falls into it, vLLM 0.32 sends what there is of it as text, in one piece; an answer that is only the end token is sent as
that. A text that is only such a header was never meant to be read. A header within a text is the model's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import delta_of, delta_type, says_nothing
from vllm_sse_proxy.families.messages.results import reason_of
from vllm_sse_proxy.stream.repair import HOLD, PASS, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView
    from vllm_sse_proxy.stream.event import Event

_HEADER: Final = re.compile(
    r"(?:<\|start\|>(?:assistant)?|(?=<\|channel\|>))"
    r"(?: to=[\w.-]*)?(?:<\|channel\|>(?:analysis|commentary|final)?)?(?: to=[\w.-]*)?"
    r"(?: ?<\|constrain\|>\w*)?(?:<\|message\|>)?"
)
_END_TOKENS: Final = frozenset({"<|return|>", "<|end|>", "<|call|>"})
_LONGEST: Final = 200
"""Characters of the longest header that is looked for: the name of a tool has 64 at most."""


class LeakedHeaders(Repair):
    """Drop a text that is nothing but a header."""

    __slots__ = ()

    name: ClassVar = "leaked_headers"
    summary: ClassVar = "a text that is nothing but a token or a cut header of gpt-oss is dropped"
    fixes: ClassVar = ("C40",)
    handles: ClassVar = None

    @classmethod
    def is_asked_about(cls, type_: str) -> bool:  # noqa: ARG003 - whatever follows a text that is held
        """Return whether events of this type are a text, or follow one."""
        return True

    def watches(self, type_: str, view: MessageView) -> str | None:  # noqa: ARG002 - there is one type of deltas
        """Watch for what headers begin with, at the beginning of a text."""
        return "<"

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | Verdict | None:
        """Hold a header that is a whole text, until it is known why the message ends."""
        if self.held:
            return self._decide(event)
        return HOLD if _is_header(event, view) else None

    def _decide(self, event: Event) -> Sequence[Event] | Verdict | None:
        header, *stops = self.held
        if event.type == grammar.BLOCK_STOP:
            return HOLD
        if event.type == grammar.MESSAGE_START or says_nothing(event):
            return PASS
        if event.type != grammar.MESSAGE_DELTA:
            return None
        is_cut = reason_of(event) == grammar.MAX_TOKENS
        if not is_cut and delta_of(header).get("text") not in _END_TOKENS:
            return None
        self.take()
        return [*stops, event]


def _is_header(event: Event, view: MessageView) -> bool:
    """Return whether an event is the first delta of a text, and may be a header."""
    if event.type != grammar.BLOCK_DELTA or delta_type(event) != grammar.TEXT_DELTA:
        return False
    text = delta_of(event).get("text")
    if type(text) is not str or not text.startswith("<|") or len(text) > _LONGEST:
        return False
    block = view.open
    if block is not None and block.type == grammar.TEXT and block.text.last is not None:
        return False
    return text in _END_TOKENS or _HEADER.fullmatch(text) is not None
