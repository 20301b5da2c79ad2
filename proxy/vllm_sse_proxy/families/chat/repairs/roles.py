"""The role of a choice: in its first delta, and in no other.

openai-node's helper raises without one (``missing role for choice 0``), openai-python's joins two to ``assistantassistant``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.chat.chunks import CHAT_CHOICE_TYPES, delta_of, with_delta
from vllm_sse_proxy.families.chat.grammar import ROLE
from vllm_sse_proxy.families.chunks import choice_of, index_of
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.event import Event


class Roles(Repair):
    """Put the role where it belongs."""

    __slots__ = ()

    name: ClassVar = "roles"
    summary: ClassVar = "the first delta of a choice has the role, and no later one"
    fixes: ClassVar = ("C52",)
    handles: ClassVar = CHAT_CHOICE_TYPES

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | None:
        """Return the chunk with the role, or without it."""
        choice = choice_of(event)
        delta = delta_of(choice)
        role = delta.get("role")
        if not view.has_begun(index_of(choice)):
            return None if role == ROLE else [with_delta(event, {**delta, "role": ROLE})]
        if role is None:
            return None
        return [with_delta(event, {name: value for name, value in delta.items() if name != "role"})]
