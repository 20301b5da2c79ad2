"""A ``delta`` that is not a string (F01): the case that started this project.

``{"delta": {"content": "We"}}``: Codex drops the event ("invalid type: map, expected a string"), openai-python's
helper raises ``TypeError``, openai-node shows ``[object Object]``. By design only
``response.shell_call_output_content.delta`` holds an object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.grammar import Kind
from vllm_sse_proxy.families.responses.item_fields import TEXT_FIELDS, flatten
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Event


class StringDeltas(Repair):
    """Flatten the text fields of deltas and done events to strings."""

    __slots__ = ()

    name: ClassVar = "string_deltas"
    summary: ClassVar = "a `delta` (or whole text) that is an object or a list becomes the string in it"
    fixes: ClassVar = ("F01",)
    handles: ClassVar = frozenset(
        {type_ for type_, fields in grammar.EVENT_FIELDS.items() if fields.get("delta") is Kind.STRING}
        | set(grammar.RUN_OF_DONE)
    )

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - the shape is wrong in itself
        """Return the event with a string; a delta that says nothing at all is dropped."""
        body = event.body
        run = grammar.RUN_OF_DONE.get(event.type)
        field = "delta" if run is None else run.done_field
        value = body.get(field)
        if type(value) is str:
            return None
        if value is None and run is not None:  # the fork's done events: {"reasoning": {"content": "…"}}
            value = next((body[name] for name in TEXT_FIELDS if name in body), "")
        text = flatten(value)
        return [event.having(**{field: text})] if text is not None else []
