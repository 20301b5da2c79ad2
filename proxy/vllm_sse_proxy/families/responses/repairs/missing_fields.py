"""Fields that an event must have and that no other repair fills: at their zero value (F01).

Clients with typed events (Zed, async-openai, generated SDKs) refuse an event that misses one; most of them then drop
the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, assert_never

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.grammar import Kind
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Event

_OTHERS: Final = frozenset(
    {
        "item_id",
        "output_index",
        "content_index",
        "summary_index",
        "response",
        "item",
        "part",
        "delta",
        "logprobs",
        "message",
    }
    | {run.done_field for run in grammar.TEXT_RUNS}
)
"""Fields that the later repairs fill with something truer than a zero value."""

_FIELDS: Final = {
    type_: left
    for type_, fields in grammar.EVENT_FIELDS.items()
    if (
        left := {
            name: kind
            for name, kind in fields.items()
            if name not in _OTHERS or (kind is Kind.OBJECT and name == "delta")
        }
    )
}


class MissingFields(Repair):
    """Fill required fields of the rarer events."""

    __slots__ = ()

    name: ClassVar = "missing_fields"
    summary: ClassVar = "required fields of hosted tools' events that are missing get their zero value"
    fixes: ClassVar = ("F01",)
    handles: ClassVar = frozenset(_FIELDS)

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - the shape is wrong in itself
        """Return the event with all of its fields."""
        body = event.body
        missing = {
            name: _zero(kind)
            for name, kind in _FIELDS[event.type].items()
            if not _is_of_kind(body.get(name), kind)
        }
        return [event.having(**missing)] if missing else None


def _is_of_kind(value: object, kind: Kind) -> bool:
    match kind:
        case Kind.STRING:
            return isinstance(value, str)
        case Kind.INDEX:
            return type(value) is int and value >= 0
        case Kind.LIST:
            return isinstance(value, list)
        case Kind.OBJECT:
            return isinstance(value, dict)
        case _:
            assert_never(kind)


def _zero(kind: Kind) -> Any:
    match kind:
        case Kind.STRING:
            return ""
        case Kind.INDEX:
            return 0
        case Kind.LIST:
            return []
        case Kind.OBJECT:
            return {}
        case _:
            assert_never(kind)
