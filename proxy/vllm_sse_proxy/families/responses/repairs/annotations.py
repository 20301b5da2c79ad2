"""Annotations: objects, with all that their types require, counted in their part (issue 12, K10).

``annotation_index`` is the place of an annotation among those of its part. Gateways leave it out, count over the whole
response, or say 0 each time: a client that keeps a list then overwrites what it has. What is no object is no citation, and
typed clients refuse the event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, item_fields
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair
from vllm_sse_proxy.families.responses.view import part_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView


class Annotations(Repair):
    """Count the annotations of a part, and give each the fields of its type."""

    __slots__ = ()

    name: ClassVar = "annotations"
    summary: ClassVar = (
        "`annotation_index` counts the annotations of a part, and each has the fields of its type"
    )
    fixes: ClassVar = ("F01",)
    phase: ClassVar = Phase.IDENTITY
    handles: ClassVar = frozenset({grammar.ANNOTATION_ADDED})

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with its index and a whole annotation; one without an annotation says nothing and is dropped."""
        body = event.body
        annotation = body.get("annotation")
        if not isinstance(annotation, dict):
            return []
        item = view.by_id.get(body["item_id"])
        part = part_at(item.parts, body["content_index"]) if item is not None else None
        index = len(part.annotations) if part is not None else 0
        changes: Body = {}
        theirs = body.get("annotation_index")
        if type(theirs) is int and theirs != index:  # one that is no number is 0 by now (`missing_fields`)
            changes["annotation_index"] = index
        whole = item_fields.whole_annotation(annotation)
        if whole is not annotation:
            changes["annotation"] = whole
        return [event.having(**changes)] if changes else None
