"""Payloads that are not events: not JSON, not an object, or without a ``type``.

Every strict client stops at one: openai-python raises ``JSONDecodeError``, the AI SDK reports a validation error,
pydantic-ai hangs . Some gateways leave ``type`` out and rely on the ``event:`` line
(cursor2api#116).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses.events import canonical_type, is_typed
from vllm_sse_proxy.stream.event import OPAQUE, Event
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView


class OpaquePayloads(Repair):
    """Give a payload the type that its ``event:`` line names; drop what no client could read."""

    __slots__ = ()

    name: ClassVar = "opaque_payloads"
    summary: ClassVar = (
        "payloads without a `type` get the one of their `event:` line; unreadable ones are dropped"
    )
    fixes: ClassVar = ("P01",)
    handles: ClassVar = frozenset({OPAQUE})
    needed: ClassVar = (
        "what only lenient clients can read, the repairs after it must know as these clients do"
    )

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - the payload suffices
        """Return the typed event, or nothing."""
        if is_typed(event.body):  # JSON only to a lenient reader: emitted as such a reader sees it
            return [Event(canonical_type(event.body), event.body)]
        name = event.name
        if event.body and name is not None and name.startswith("response."):
            body = {**event.body, "type": name}
            return [Event(canonical_type(body), body)]
        return []
