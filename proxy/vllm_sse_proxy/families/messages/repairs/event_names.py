"""Events whose ``event:`` line and ``type`` are not the same, and payloads that are not events.

The Python SDK of Anthropic goes by the line and skips a frame without one; the TypeScript SDK and the AI SDK go by the type. A
payload that only lenient readers take (NaN, a byte order mark, control characters) leaves as they see it; one that nobody can
read is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.events import type_of
from vllm_sse_proxy.stream.event import COMMENT, END, OPAQUE, Event
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.messages.view import MessageView


class EventNames(Repair):
    """Make both names of an event the same."""

    __slots__ = ()

    name: ClassVar = "event_names"
    summary: ClassVar = (
        "the `event:` line is the `type` in the data; payloads that nobody can read are dropped"
    )
    fixes: ClassVar = ("P01",)
    handles: ClassVar = None

    @classmethod
    def is_asked_about(cls, type_: str) -> bool:
        """Return whether something of this type has a frame with a name."""
        return type_ not in (COMMENT, END)

    def repair(self, event: Event, view: MessageView) -> Sequence[Event] | None:  # noqa: ARG002 - the frame says it all
        """Return the event with one name."""
        type_, name = event.type, event.name
        if type_ is not OPAQUE:
            if name == type_ or event.raw is None:
                return None
            return [Event(type_, event.body, event.raw, name=type_)]
        named = type_of(event.body) or (name if name in grammar.EVENTS and event.body else "")
        if not named:
            return []
        return [Event(named, {**event.body, "type": named})]
