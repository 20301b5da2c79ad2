"""Chunks that say nothing (C10, C29): ``"tool_calls": []``, ``"delta": {}``, pieces of calls without anything.

vLLM 0.20 to 0.22 sends an empty list with every step of a tool parser that emits nothing; code that asks whether
``tool_calls`` is not None takes it for a call. A chunk that carries log probabilities, token ids,
usage or a finish reason stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.chat.chunks import (
    arguments_of,
    delta_of,
    id_of,
    name_of,
    says_anything,
    with_delta,
)
from vllm_sse_proxy.families.chunk_repairs import says_nothing
from vllm_sse_proxy.families.chunks import CHOICE, FINISH, choice_of, index_of
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.event import Body, Event


class EmptyDeltas(Repair):
    """Leave out what says nothing."""

    __slots__ = ()

    name: ClassVar = "empty_deltas"
    summary: ClassVar = "no empty list of calls, no piece or delta that says nothing"
    fixes: ClassVar = ("C10", "C29")
    handles: ClassVar = frozenset({CHOICE, FINISH})

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | None:
        """Return the chunk without what is empty; nothing if nothing remains."""
        choice = choice_of(event)
        delta = delta_of(choice)
        pieces = delta.get("tool_calls")
        kept = delta
        if type(pieces) is list and not any(type(piece) is dict and _is_full(piece) for piece in pieces):
            kept = {name: value for name, value in delta.items() if name != "tool_calls"}
        said = kept
        if "role" in kept and view.has_begun(index_of(choice)):  # the role again, which says nothing
            said = {name: value for name, value in kept.items() if name != "role"}
        if says_anything(said) or event.type == FINISH or _carries(choice, event.body):
            return None if kept is delta else [with_delta(event, kept)]
        return []


def _is_full(piece: Body) -> bool:
    """Return whether a piece of a call says anything."""
    function = piece.get("function")
    is_odd = type(function) is dict and type(function.get("arguments")) not in (str, type(None))
    return is_odd or bool(id_of(piece) or name_of(piece) or arguments_of(piece))


def _carries(choice: Body, body: Body) -> bool:
    """Return whether a chunk carries something beside its delta."""
    logprobs = choice.get("logprobs")
    has_logprobs = type(logprobs) is dict and any(logprobs.values())
    return has_logprobs or bool(choice.get("token_ids")) or not says_nothing(body)
