"""The last station: the frame of a message event. Nothing is numbered, and nothing follows the last event.

``event:`` is the type, since the SDKs of Anthropic read it first. An event that has a name of upstream's own keeps it: that is
possible only while the repair ``event_names`` is switched off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm_sse_proxy.sse import encode_data, event_pieces
from vllm_sse_proxy.stream.event import OPAQUE, serialize_event
from vllm_sse_proxy.stream.exit import Writer

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.exit import Exit


class MessagesWriter(Writer):
    """One stream's last station."""

    def __init__(self, context: StreamContext) -> None:
        self._names = "event_names" not in context.disabled

    def write(self, event: Event, exit_: Exit) -> None:
        """Add the event's frame."""
        data = serialize_event(event)
        name = event.type if self._names or event.raw is None else event.name
        if name is None or name == OPAQUE:
            exit_.out.append(encode_data(data))
        else:
            exit_.out += event_pieces(name, data)

    def sentinel(self, out: list[bytes]) -> None:
        """Add nothing: Anthropic's streams end with their last event (A02)."""
