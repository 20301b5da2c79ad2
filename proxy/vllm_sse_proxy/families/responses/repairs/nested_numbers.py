"""``sequence_number`` inside items, parts and responses (R14, R31).

vLLM from 0.11.1 to 0.33 leaves ``-1`` in the items of harmony function calls: strict item types refuse it, clients
that type it as u64 fail, and OpenAI's API rejects the item when it comes back as input. Decision (protocol.md,
"Numbering"): it takes the number of the event that carries it; the setting ``nested_sequence_number = "remove"``
deletes it.

This is the last repair, so the number is the one that the exit gives next.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses.repairs.base import NestedNumbers as Setting
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView

_FIELD: Final = "sequence_number"
_USERS_OWN: Final = frozenset(
    {
        "tools",
        "tool_choice",
        "metadata",
        "text",
        "instructions",
        "input",
        "prompt",
        "parameters",
        "input_schema",
    }
)
"""Fields that hold what a user wrote: a ``sequence_number`` in there is a property of a tool, not of an event."""


_ABSENT: Final = object()
_NODES: Final = (dict, list)


class NestedNumbers(Repair):
    """Give every nested ``sequence_number`` the number of its event, or remove it."""

    __slots__ = ()

    name: ClassVar = "nested_numbers"
    summary: ClassVar = "a `sequence_number` inside an item takes the event's number, or goes"
    fixes: ClassVar = ("R14", "R31")
    phase: ClassVar = Phase.TERMINAL
    handles: ClassVar = None

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with its nested numbers right."""
        body, raw = event.body, event.raw
        # A quote inside a JSON string is escaped, so these bytes are always the name of a member.
        if raw is not None and raw.count(b'"sequence_number"') == (_FIELD in body):
            return None
        number = None if self.context.settings.nested_numbers is Setting.REMOVE else view.next_number
        wrong = [
            name
            for name, value in body.items()
            if isinstance(value, _NODES) and name not in _USERS_OWN and _set(value, number, dry=True)
        ]
        if not wrong:
            return None
        changes = {name: deepcopy(body[name]) for name in wrong}
        for value in changes.values():
            _set(value, number)
        return [event.having(**changes)]


def _set(value: Any, number: int | None, *, dry: bool = False) -> bool:
    """Set (None: delete) every nested number in ``value``, or only tell whether any would change."""
    changed = False
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            nested = node.get(_FIELD, _ABSENT)
            if nested is not _ABSENT and not _is(nested, number):
                if dry:
                    return True
                changed = True
                if number is None:
                    del node[_FIELD]
                else:
                    node[_FIELD] = number
            pending += [
                child
                for name, child in node.items()
                if child and isinstance(child, _NODES) and name not in _USERS_OWN
            ]
        elif isinstance(node, list):
            pending += node
    return changed


def _is(nested: object, number: int | None) -> bool:
    return type(nested) is int and nested == number
