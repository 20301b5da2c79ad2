"""Items and parts whose own fields have the wrong shape (R27, R12's done items, clients.md §0.4).

vLLM announces reasoning items with ``"content": null`` (openai-python's helper then raises ``AttributeError`` on the
first part), closes text parts with ``"logprobs": null``, and adds ``"summary": []`` to messages; gateways announce
calls with all their arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.events import dump_json
from vllm_sse_proxy.families.responses.grammar import ItemKind, item_kind
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView

_ITEM_EVENTS: Final = frozenset({grammar.ITEM_ADDED, grammar.ITEM_DONE})
_PART_EVENTS: Final = frozenset(
    {grammar.PART_ADDED, grammar.PART_DONE, grammar.SUMMARY_ADDED, grammar.SUMMARY_DONE}
)
_ADDED: Final = frozenset({grammar.ITEM_ADDED, grammar.PART_ADDED, grammar.SUMMARY_ADDED})
_STATUSES: Final = frozenset({"in_progress", "completed", "incomplete"})
_STATUS_KINDS: Final = frozenset({grammar.MESSAGE, grammar.FUNCTION_CALL})
"""Kinds whose status clients insist on (AI SDK: function calls; Open Responses: messages)."""
_HOSTED_KINDS: Final = frozenset(
    {grammar.CODE_CALL, grammar.WEB_SEARCH_CALL, grammar.FILE_SEARCH_CALL, grammar.IMAGE_CALL}
)
_HOSTED_STATUSES: Final = _STATUSES | {"searching", "interpreting", "generating", "failed"}
"""Hosted tools may end in the middle: what is one of their statuses at all is left as upstream says it."""


class ItemShapes(Repair):
    """Give the fields of items and parts the types that the protocol has for them."""

    __slots__ = ()

    name: ClassVar = "item_shapes"
    summary: ClassVar = (
        "`content`, `summary`, `arguments`, `logprobs`, `status` of items and parts have the right types"
    )
    fixes: ClassVar = ("R27", "R12")
    phase: ClassVar = Phase.SHAPE
    handles: ClassVar = _ITEM_EVENTS | _PART_EVENTS | {grammar.OUTPUT_TEXT.delta, grammar.OUTPUT_TEXT.done}

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:  # noqa: ARG002 - the shape is wrong in itself
        """Return the event with fields of the right types; one without its item or part tells nothing and is dropped."""
        added = event.type in _ADDED
        if event.type in _ITEM_EVENTS:
            item = event.body.get("item")
            if not isinstance(item, dict) or not isinstance(item.get("type"), str):
                return []
            changes = _item_changes(item, added=added)
            if added and (item | changes).get("name") == "":
                return []  # a call without a name: its done item or the terminal event names it and holds all of it
            extra = [name for name in ("summary",) if item["type"] == "message" and name in item]
            if not changes and not extra:
                return None
            return [
                event.having(
                    item={name: value for name, value in (item | changes).items() if name not in extra}
                )
            ]
        if event.type in _PART_EVENTS:
            part = event.body.get("part")
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                return []
            changes = (
                {"type": "summary_text"}
                if event.type in grammar.SUMMARY_EVENTS and part["type"] != "summary_text"
                else {}
            )
            changes |= _part_changes(part | changes, added=added)
            return [event.having(part=part | changes)] if changes else None
        logprobs = event.body.get("logprobs")
        if type(logprobs) is list and (not logprobs or all(map(synthesis.is_readable_logprob, logprobs))):
            return None
        return [event.having(logprobs=synthesis.whole_logprobs(logprobs))]


def _item_changes(item: Body, *, added: bool) -> Body:
    kind = item_kind(item["type"])
    changes = _call_changes(item, kind, added=added)
    if kind is grammar.MESSAGE:
        if item.get("role") != "assistant":  # nobody else speaks in a response
            changes["role"] = "assistant"
        changes |= _list_changes(item, "content", added=added, required=True)
    elif kind is grammar.REASONING:
        changes |= _list_changes(item, "summary", added=added, required=True)
        changes |= _list_changes(item, "content", added=added, required=False)
    status = item.get("status")
    if kind in _STATUS_KINDS or (kind is grammar.REASONING and status is not None):
        if added and status != synthesis.IN_PROGRESS:
            changes["status"] = synthesis.IN_PROGRESS
        elif not isinstance(status, str) or status not in _STATUSES:
            changes["status"] = synthesis.COMPLETED
    if kind is grammar.WEB_SEARCH_CALL and "action" in item and not _has_type(item["action"]):
        changes["action"] = synthesis.new_item(kind, "")["action"]  # OpenAI announces searches without one
    if kind in _HOSTED_KINDS and (not isinstance(status, str) or status not in _HOSTED_STATUSES):
        changes["status"] = synthesis.IN_PROGRESS if added else synthesis.COMPLETED
    return changes


def _has_type(node: object) -> bool:
    return isinstance(node, dict) and isinstance(node.get("type"), str)


def _call_changes(item: Body, kind: ItemKind, *, added: bool) -> Body:
    if kind.run is None or kind is grammar.CODE_CALL:  # a code call's code may be null
        return {}
    changes: Body = {name: "" for name in kind.required if not isinstance(item.get(name), str)}
    if ("call_id" in kind.required and not item.get("call_id")) or "call_id" in changes:
        changes["call_id"] = synthesis.derive_id("call", item.get("id"), item.get("name"))
    text = item.get(kind.run.field)
    if added and text != "":
        changes[kind.run.field] = ""
    elif not isinstance(text, str):
        changes[kind.run.field] = "" if text is None else dump_json(text).decode()
    return changes


def _list_changes(item: Body, field: str, *, added: bool, required: bool) -> Body:
    """Return what to change in a list of parts: no list, or parts at the announcement, which later events tell."""
    parts = item.get(field)
    if not isinstance(parts, list):
        return {field: []} if required or field in item else {}
    if added:
        return {field: []} if parts else {}
    mended = [part | _part_changes(part, added=False) for part in parts if isinstance(part, dict)]
    return {field: mended} if mended != parts else {}


def _part_changes(part: Body, *, added: bool) -> Body:
    type_ = part.get("type")
    run = grammar.RUN_OF_PART.get(type_) if isinstance(type_, str) else None
    if run is None:
        return {}
    changes: Body = {}
    text = part.get(run.field)
    if not isinstance(text, str) or (added and text):
        changes[run.field] = ""
    if run is grammar.OUTPUT_TEXT:
        annotations = part.get("annotations")
        if not isinstance(annotations, list) or (added and annotations):
            changes["annotations"] = []
        if "logprobs" in part and (logprobs := part["logprobs"]) != []:
            whole = synthesis.whole_logprobs(logprobs)
            if whole is not logprobs:
                changes["logprobs"] = whole
    return changes
