"""Errors in shapes that Anthropic's clients do not read (A03, A18, C01).

The Python SDK skips an error without an ``event:`` line and ends as if all was well; Claude Code shows the dump of a failed
validation to the user. An error that says that the request is invalid, after a part of the answer, is wrong, and keeps clients
from asking again (C31).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.error_reports import is_error, is_readable, read_error, read_text
from vllm_sse_proxy.stream.event import COMMENT, END, Event
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView

_NONE_OF_THEM: Final = (grammar.EVENTS | {COMMENT, END}) - {grammar.ERROR}


class MessageErrors(Repair):
    """Give an error Anthropic's shape."""

    __slots__ = ()

    name: ClassVar = "message_errors"
    summary: ClassVar = (
        "errors of any shape become `error` events of one of Anthropic's types, in plain words"
    )
    fixes: ClassVar = ("A03", "A18", "C01", "C31")
    handles: ClassVar = None

    @classmethod
    def is_asked_about(cls, type_: str) -> bool:
        """Return whether events of this type may report an error: errors, and what the protocol does not know."""
        return type_ not in _NONE_OF_THEM

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | None:
        """Return the error event."""
        if not is_error(event) or (event.type == grammar.ERROR and is_readable(event.body)):
            return None
        report = event.body or {"message": read_text(event.raw or b"")}
        error = read_error(report, accepted=bool(view.blocks))
        return [Event(grammar.ERROR, {"type": grammar.ERROR, "error": error})]
