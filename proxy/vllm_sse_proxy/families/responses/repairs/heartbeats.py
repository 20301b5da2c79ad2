"""Heartbeats and notices that are sent as events (F01 ``response.ping``; issue 12, K10).

openai-node's ``.stream()`` throws on an event type that it does not know, and the fork does not consume the ping's
number, so the next event repeats it. A comment keeps the connection alive as well.

One form is better than a comment: a ``keepalive`` that repeats the number of the last event. Every client accepts it, and it
resets the idle timers of Codex and LangChain, which comments do not. It stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.events import COMMENT, END, Event, canonical_type, is_typed
from vllm_sse_proxy.families.responses.repairs.base import Dialect, Phase, Repair, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body
    from vllm_sse_proxy.families.responses.view import ClientView

_HEARTBEATS: Final = frozenset({"ping", "pong", "heartbeat", "keepalive", "noop"})
_NOTICES: Final = frozenset({"ratelimit", "ratelimits"})
"""Words of a name, without hyphens and underscores, that say what an event is for."""
_SEPARATORS: Final = re.compile(r"[.:/]")
_LONGEST_NAME: Final = 100
"""Characters of a name that are looked at: no heartbeat has a longer one."""
_SAY_NOTHING: Final = frozenset(
    {"type", "sequence_number", "event_id", "response_id", "timestamp", "time", "ts", "created", "created_at"}
)
"""Members of an event that say when and where it was sent, and nothing else."""
_STATES: Final = (
    "ed",
    "done",
    "end",
    "stop",
    "start",
    "timeout",
    "error",
    "abort",
    "cancel",
    "finish",
    "complete",
)
"""How names end that say something by themselves: ``response.cancelled``, ``stream.end``."""
_OTHERS: Final = frozenset(
    {COMMENT, END, grammar.TOOL_CALL_DELTA, *grammar.EVENT_FIELDS, *grammar.PRIVATE_NOTICES}
)


class Heartbeats(Repair):
    """Turn heartbeats into comments, and drop notices that have nothing to do with the response."""

    __slots__ = ()

    name: ClassVar = "heartbeats"
    summary: ClassVar = (
        "`response.ping`, `response.heartbeat` and their like become comments; notices of rate limits go"
    )
    fixes: ClassVar = ("F01",)
    phase: ClassVar = Phase.SHAPE
    handles: ClassVar = None

    @classmethod
    def is_asked_about(cls, type_: str) -> bool:
        """Return whether events of this type may be heartbeats: those that the protocol does not know."""
        return type_ not in _OTHERS

    @classmethod
    def wanted(cls, settings: Settings) -> bool:
        """Dialect ``upstream`` keeps upstream's own events."""
        return settings.dialect is not Dialect.UPSTREAM

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the comment; nothing for a notice."""
        body = event.body
        if event.type == grammar.KEEPALIVE and _repeats_last_number(body, view):
            return None
        typed = is_typed(body)
        name = canonical_type(body) if typed else event.name or ""
        if name == "" or name in _OTHERS or len(name) > _LONGEST_NAME:
            return None
        words = {word.replace("-", "").replace("_", "") for word in _SEPARATORS.split(name.lower())}
        if not words.isdisjoint(_NOTICES):
            return []
        if not words.isdisjoint(_HEARTBEATS) or (typed and _says_nothing(name, body)):
            return [Event(COMMENT, {}, b"ping")]
        return None


def _repeats_last_number(body: Body, view: ClientView) -> bool:
    number = body.get("sequence_number")
    return type(number) is int and 0 <= number == view.next_number - 1


def _says_nothing(name: str, body: Body) -> bool:
    """Return whether neither the name of an unknown event nor anything in it says anything.

    A name with a colon is a vendor's own, as Open Responses has them, and may say all by itself.
    """
    if ":" in name or name.endswith(_STATES):
        return False
    return all(member in _SAY_NOTHING or value in (None, "", [], {}) for member, value in body.items())
