"""A ``delta`` that is not a string (F01): the case that started this project.

``{"delta": {"content": "We"}}``: Codex drops the event ("invalid type: map, expected a string"), openai-python's
helper raises ``TypeError``, openai-node shows ``[object Object]``. By design only
``response.shell_call_output_content.delta`` holds an object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.grammar import Kind
from vllm_sse_proxy.stream.event import dump_json
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Event

_TEXT_FIELDS: Final = (
    "text",
    "content",
    "summary",
    "arguments",
    "reasoning",
    "refusal",
    "input",
    "code",
    "delta",
    "value",
)
"""Members of an object delta that hold its text, the likeliest first."""

_DEEPEST: Final = 16
"""Levels of objects around a text; the deepest one seen has three."""


def flatten(value: Any, depth: int = 0) -> str | None:
    """Return the text in a delta of any shape; None if there is none. Never the notation of an object.

    An object gives its likeliest text member, a list the join of its elements' texts, a number itself.
    """
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool) or depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        for name in _TEXT_FIELDS:
            if name in value:
                return flatten(value[name], depth + 1)
        return None
    if isinstance(value, list):
        texts = [text for element in value if (text := flatten(element, depth + 1)) is not None]
        return "".join(texts) if texts else None
    return dump_json(value).decode()


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
            value = next((body[name] for name in _TEXT_FIELDS if name in body), "")
        text = flatten(value)
        return [event.having(**{field: text})] if text is not None else []
