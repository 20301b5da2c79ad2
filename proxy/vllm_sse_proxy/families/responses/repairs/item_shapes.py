"""Items and parts whose own fields have the wrong shape (R27, R12's done items; issue 12, K10).

vLLM announces reasoning items with ``"content": null`` (openai-python's helper then raises ``AttributeError`` on the
first part), closes text parts with ``"logprobs": null``, and adds ``"summary": []`` to messages; gateways announce
calls with all their arguments, and close items that are ``in_progress``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import grammar, item_fields, item_objects
from vllm_sse_proxy.families.responses.grammar import ItemKind, item_kind
from vllm_sse_proxy.families.responses.ids import derive_id
from vllm_sse_proxy.families.responses.logprobs import is_readable_logprob, whole_logprobs
from vllm_sse_proxy.families.responses.settings import Dialect
from vllm_sse_proxy.stream.event import dump_json
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Body, Event

_ADDED: Final = grammar.PARTS_ADDED | {grammar.ITEM_ADDED}
_STATUS_KINDS: Final = frozenset({grammar.MESSAGE, grammar.FUNCTION_CALL})
"""Kinds whose status clients insist on (AI SDK: function calls; Open Responses: messages)."""
_CHAT_PARTS: Final = frozenset({"text", "input_text"})
"""What a part of a message is called in the chat API, and in requests."""


class ItemShapes(Repair):
    """Give the fields of items and parts the types that the protocol has for them."""

    __slots__ = ()

    name: ClassVar = "item_shapes"
    summary: ClassVar = (
        "items and parts have the fields, and the `status`, that their types require, with the right types"
    )
    fixes: ClassVar = ("R27", "R12")
    handles: ClassVar = (
        grammar.OF_ITEMS | grammar.OF_PARTS | {grammar.OUTPUT_TEXT.delta, grammar.OUTPUT_TEXT.done}
    )

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Return the event with fields of the right types; one without its item or part says nothing and is dropped."""
        added = event.type in _ADDED
        if event.type in grammar.OF_ITEMS:
            return self._repair_item(event, view, added=added)
        if event.type in grammar.OF_PARTS:
            part = event.body.get("part")
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                return []
            changes = _type_changes(part, summary=event.type in grammar.SUMMARY_EVENTS)
            changes |= _part_changes(part | changes if changes else part, added=added)
            return [event.having(part=part | changes)] if changes else None
        logprobs = event.body.get("logprobs")
        if type(logprobs) is list and (not logprobs or all(map(is_readable_logprob, logprobs))):
            return None
        return [event.having(logprobs=whole_logprobs(logprobs))]

    def _repair_item(self, event: Event, view: ClientView, *, added: bool) -> Sequence[Event] | None:
        given = event.body.get("item")
        item = item_fields.with_type(given) if isinstance(given, dict) else {}
        if not isinstance(item.get("type"), str):
            return []
        changes = _item_changes(item, added=added)
        if item is not given:
            changes["type"] = item["type"]
        if not view.looks_like_openai:  # whose items lack some, and clients know it
            is_closed = self.context.settings.dialect is Dialect.OPEN_RESPONSES
            known = item | changes if changes else item
            changes |= item_objects.required_fields(known, open_responses=is_closed)
            changes |= _status_changes(item, view, added=added)
        if added and changes.get("name", item.get("name")) == "":
            return []  # a call without a name: its done item or the terminal event names it and holds all of it
        has_more = item["type"] == "message" and "summary" in item
        if not changes and not has_more:
            return None
        whole = item | changes
        if has_more:
            del whole["summary"]
        return [event.having(item=whole)]


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
    return changes


def _status_changes(item: Body, view: ClientView, *, added: bool) -> Body:
    type_: str = item["type"]
    status = item.get("status")
    if type_ not in item_fields.STATUSES:
        is_over = not added and status is not None
        wanted = item_fields.closed_status(type_, status) if is_over else status
    elif status is None and type_ in item_fields.STATUS_IS_OPTIONAL and item_kind(type_) not in _STATUS_KINDS:
        wanted = None
    elif added:
        wanted = item_fields.opened_status(type_, status)
    elif _is_for_program(item):
        wanted = status
    else:
        wanted = item_fields.closed_status(type_, "failed" if _has_failed(item, view) else status)
    return {} if wanted == status else {"status": wanted}


def _is_for_program(item: Body) -> bool:
    """Return whether a program that the server runs has made the call: such a call is done while it is in progress."""
    return isinstance(item.get("caller"), dict) and item.get("status") == item_fields.IN_PROGRESS


def _has_failed(item: Body, view: ClientView) -> bool:
    """Return whether upstream has said of an item whose status is open, or none, that it failed."""
    status = item.get("status")
    if isinstance(status, str) and status in item_fields.STATUSES_WHEN_DONE:
        return False
    id_ = item.get("id")
    known = view.by_id.get(id_) if isinstance(id_, str) else None
    return bool(item.get("error")) or (
        known is not None and f"response.{item['type']}.failed" in known.progress
    )


def _call_changes(item: Body, kind: ItemKind, *, added: bool) -> Body:
    if kind.run is None:
        return {}
    if added and kind is grammar.CODE_CALL and item.get(kind.run.field) is None:
        return {}  # its code may be null
    changes: Body = {name: "" for name in kind.required if not isinstance(item.get(name), str)}
    if ("call_id" in kind.required and not item.get("call_id")) or "call_id" in changes:
        changes["call_id"] = derive_id("call", item.get("id"), item.get("name"))
    text = item.get(kind.run.field)
    if added and text != "":
        changes[kind.run.field] = ""
    elif not isinstance(text, str):
        changes[kind.run.field] = "" if text is None else dump_json(text).decode()
    return changes


def _list_changes(item: Body, field: str, *, added: bool, required: bool) -> Body:
    """Return what to change in a list of parts: another value, or parts in the announcement, which later events bring."""
    parts = item.get(field)
    if added or parts is None:
        return {field: []} if parts != [] and (required or field in item) else {}
    types = item_kind(item["type"]).parts if field == "content" else ("summary_text",)
    if not isinstance(parts, list):
        parts = [parts] if parts and isinstance(parts, dict | str) else []
    if all(isinstance(part, str) for part in parts):
        parts = [{"type": types[0], "text": text} for text in parts]
    whole = [part | _changes_of(part, types[0]) for part in parts if isinstance(part, dict)]
    return {field: whole} if whole != item[field] else {}


def _changes_of(part: Body, wanted: str) -> Body:
    type_ = part.get("type")
    changes: Body = {"type": wanted} if not isinstance(type_, str) or type_ in _CHAT_PARTS else {}
    return changes | _part_changes(part | changes, added=False)


def _type_changes(part: Body, *, summary: bool) -> Body:
    """Return the type that the part of an event has in the protocol, if upstream calls it otherwise."""
    wanted = "summary_text" if summary else "output_text" if part["type"] in _CHAT_PARTS else part["type"]
    return {"type": wanted} if part["type"] != wanted else {}


def _part_changes(part: Body, *, added: bool) -> Body:
    type_ = part.get("type")
    run = grammar.RUN_OF_PART.get(type_) if isinstance(type_, str) else None
    if run is None:
        return {}
    changes: Body = {}
    text = part.get(run.field)
    if not isinstance(text, str) or (added and text):
        changes[run.field] = "" if added else item_fields.flatten(text) or ""
    if run is grammar.OUTPUT_TEXT:
        annotations = part.get("annotations")
        if not isinstance(annotations, list) or (added and annotations):
            changes["annotations"] = []
        elif (whole := item_fields.whole_annotations(annotations)) is not annotations:
            changes["annotations"] = whole
        if "logprobs" in part and (logprobs := part["logprobs"]) != []:
            whole = whole_logprobs(logprobs)
            if whole is not logprobs:
                changes["logprobs"] = whole
    return changes
