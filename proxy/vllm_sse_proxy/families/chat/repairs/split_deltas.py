"""Deltas with more than one thing in them (C26, C27, C44): Continue keeps the text only, LlamaIndex loses all calls but one.

vLLM joins reasoning and text where thinking ends, text and calls where calls begin, and what several tokens of one step made.
Each becomes a chunk of its own: reasoning, text, refusal, then one piece of a call after the other. Log probabilities go with
the text, everything else that a choice has once (its finish reason, its token ids) with the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import delta_of, kind_of
from vllm_sse_proxy.families.chat.grammar import REASONING_NAMES, TEXT_MEMBERS
from vllm_sse_proxy.families.chunks import CHOICE, FINISH, choice_of
from vllm_sse_proxy.stream.event import Event
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.event import Body

_IN_ALL: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint"})
"""Members of a chunk that its parts share; the others go with the first."""
_KINDS: Final = (REASONING_NAMES, ("content",), ("refusal",))
"""Members of a delta that make one part, in the order of the parts."""


class SplitDeltas(Repair):
    """Let every delta have one kind of content."""

    __slots__ = ()

    name: ClassVar = "split_deltas"
    summary: ClassVar = "a delta has reasoning, text or a piece of one call, never two of them"
    fixes: ClassVar = ("C26", "C27", "C44")
    handles: ClassVar = frozenset({CHOICE, FINISH})
    needed: ClassVar = "the repairs of calls see one piece at a time"

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | None:  # noqa: ARG002 - it is wrong in itself
        """Return one chunk for each kind of content."""
        choice = choice_of(event)
        parts = _parts_of(delta_of(choice))
        if len(parts) < 2:  # noqa: PLR2004 - several
            return None
        last = len(parts) - 1
        has_text = next((place for place, part in enumerate(parts) if part.get("content")), last)
        return [
            _part_of(event, _choice_with(choice, part, place == last, place == has_text), first=place == 0)
            for place, part in enumerate(parts)
        ]


def _parts_of(delta: Body) -> list[Body]:
    """Return the parts of a delta; one, or none, if it has no two kinds of content."""
    parts: list[Body] = []
    for names in _KINDS:
        part = {name: delta[name] for name in names if delta.get(name)}
        if part:
            parts.append(part)
    pieces = delta.get("tool_calls")
    if type(pieces) is list:
        parts += [{"tool_calls": [piece]} for piece in pieces]
    if len(parts) > 1:
        rest: Body = {
            name: value
            for name, value in delta.items()
            if value is not None and name != "tool_calls" and name not in TEXT_MEMBERS
        }
        parts[0] = {**rest, **parts[0]}
    return parts


def _choice_with(choice: Body, delta: Body, is_last: bool, has_logprobs: bool) -> Body:  # noqa: FBT001 - private
    """Return a choice with a part of its delta, and what goes with that."""
    made: Body = {}
    for name, value in choice.items():
        kept: Any = value
        if name == "delta":
            kept = delta
        elif name == "logprobs":
            kept = value if has_logprobs else None
        elif name != "index" and not is_last:
            kept = None
        made[name] = kept
    return made


def _part_of(event: Event, choice: Body, *, first: bool) -> Event:
    body = {name: value for name, value in event.body.items() if first or name in _IN_ALL}
    body["choices"] = [choice]
    return Event(kind_of(body), body)
