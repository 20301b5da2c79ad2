"""Heartbeats told as events (F01 ``response.ping``).

openai-node's ``.stream()`` throws on an event type that it does not know, and the fork does not consume the ping's
number, so the next event repeats it. A comment keeps the connection alive as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.events import COMMENT, Event
from vllm_sse_proxy.families.responses.repairs.base import Dialect, Phase, Repair, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView


class Heartbeats(Repair):
    """Turn a ping event into a comment."""

    __slots__ = ()

    name: ClassVar = "heartbeats"
    summary: ClassVar = "`response.ping` events become comments"
    fixes: ClassVar = ("F01",)
    phase: ClassVar = Phase.SHAPE
    handles: ClassVar = grammar.PINGS

    @classmethod
    def wanted(cls, settings: Settings) -> bool:
        """Dialect ``upstream`` keeps upstream's own events."""
        return settings.dialect is not Dialect.UPSTREAM

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - a ping is a ping
        """Return the comment."""
        return [Event(COMMENT, {}, b"ping")]
