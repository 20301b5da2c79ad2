"""Constructors for every event that the proxy inserts; no other module builds one.

Theory of operation. Upstream leaves events out: an announcement, the closings of a part, a whole item that only the terminal
event shows. The completer (:mod:`.complete`) decides *that* an event is missing; this module decides what it says. There are
three layers, each built from the one above it:

*Objects* are what events carry: response objects (:mod:`.response_objects`), items and parts (:mod:`.item_objects`).

*Events* wrap one object each: :func:`item_added`, :func:`part_done`, :func:`delta`, :func:`text_done` and so on.

*Sequences* are the events that something goes through from its announcement to its closing: :func:`life_of_part` and
:func:`life_of_item` for what was never streamed, :func:`end_of_part` for what upstream left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm_sse_proxy.families.responses import agreement, grammar, item_fields, item_objects
from vllm_sse_proxy.families.responses.events import inserted
from vllm_sse_proxy.families.responses.grammar import Holder, TextRun, item_kind
from vllm_sse_proxy.families.responses.item_fields import COMPLETED, IN_PROGRESS
from vllm_sse_proxy.families.responses.response_objects import known_code
from vllm_sse_proxy.families.responses.view import ItemView, PartView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.responses.view import RunView
    from vllm_sse_proxy.stream.event import Body, Event


# The response


def lifecycle(type_: str, response: Mapping[str, Any], *, status: str, **changes: Any) -> Event:
    """Return a lifecycle event that carries ``response`` with this status."""
    return inserted(type_, response={**response, "status": status, **changes})


def opening(type_: str, response: Mapping[str, Any]) -> Event:
    """Return ``response.created`` or ``response.in_progress``, with the response as it is before any output."""
    changes: Body = {"output": []}
    for name in ("usage", "error", "incomplete_details", "completed_at"):
        if name in response:
            changes[name] = None
    return lifecycle(type_, response, status=IN_PROGRESS, **changes)


def as_opening(event: Event) -> Event:
    """Return an opening of upstream's with a response that has no output yet; the event itself if it has none."""
    response, statuses = event.body["response"], grammar.STATUSES_OF[event.type]
    status = response.get("status")
    known = isinstance(status, str) and status in statuses
    if known and not response.get("output"):
        return event
    wanted = status if known else IN_PROGRESS if IN_PROGRESS in statuses else "queued"
    return event.having(response={**response, "status": wanted, "output": []})


def failed(response: Mapping[str, Any], error: Mapping[str, Any]) -> Event:
    """Return ``response.failed`` for an error, with a code that the SDKs' types know."""
    return lifecycle(
        grammar.FAILED,
        response,
        status="failed",
        error={"code": known_code(error.get("code")), "message": str(error.get("message", ""))},
    )


def error(*, code: str, message: str, error_type: str) -> Event:
    """Return an ``error`` event."""
    return inserted(grammar.ERROR, **error_body(code=code, message=message, error_type=error_type))


def error_body(*, code: str, message: str, error_type: str, param: object = None) -> Body:
    """Return the fields of an ``error`` event, flat and nested at once: some clients read one form, some the other."""
    nested = {"type": error_type, "code": code, "message": message, "param": param}
    return {"code": code, "message": message, "param": param, "error": nested}


# Items, parts and texts


def item_added(index: int, item: Body) -> Event:
    """Return the announcement of an item."""
    return inserted(grammar.ITEM_ADDED, output_index=index, item=item)


def item_done(index: int, item: Body) -> Event:
    """Return the closing of an item."""
    return inserted(grammar.ITEM_DONE, output_index=index, item=item)


def part_added(item: ItemView, run: TextRun, index: int, part: Body | None = None) -> Event:
    """Return the announcement of the part that ``run`` grows in."""
    type_ = grammar.SUMMARY_ADDED if run.holder is Holder.SUMMARY else grammar.PART_ADDED
    return inserted(
        type_, **_place(item, run, index), part=part or item_objects.new_part(run.part_type or "")
    )


def part_done(
    item: ItemView,
    part: PartView,
    proven: object = None,
    *,
    text: str | None = None,
    annotations: list[Any] | None = None,
) -> Event:
    """Return the closing of a part, given the text and annotations that it has by then."""
    summary = part.type == grammar.SUMMARY_TEXT.part_type
    type_ = grammar.SUMMARY_DONE if summary else grammar.PART_DONE
    place = {
        "item_id": item.id,
        "output_index": item.index,
        "summary_index" if summary else "content_index": part.index,
    }
    return inserted(
        type_, **place, part=item_objects.emitted_part(part, proven, text=text, annotations=annotations)
    )


def delta(item: ItemView, run: TextRun, index: int, text: str) -> Event:
    """Return one delta of a text."""
    fields: Body = {"delta": text}
    if run is grammar.OUTPUT_TEXT:
        fields["logprobs"] = []
    return inserted(run.delta, **_place(item, run, index), **fields)


def text_done(item: ItemView, text: RunView, index: int = 0, *, said: str | None = None) -> Event:
    """Return the done event of a text: the sum of its deltas, or ``said`` in its place."""
    run = text.run
    if run is None:
        message = "a part of an unknown type has no text to finish"
        raise ValueError(message)
    fields: Body = {run.done_field: text.text if said is None else said}
    if run is grammar.OUTPUT_TEXT:
        fields["logprobs"] = list(text.logprobs) if isinstance(text, PartView) else []
    if run is grammar.FUNCTION_ARGUMENTS:
        # Required by OpenAI's OpenAPI document, unknown to its SDK.
        fields["name"] = item.item.get("name", "")
    return inserted(run.done, **_place(item, run, index), **fields)


def progress(type_: str, item: ItemView) -> Event:
    """Return an event without content that reports the progress of an item."""
    return inserted(type_, item_id=item.id, output_index=item.index)


def _place(item: ItemView, run: TextRun, index: int) -> Body:
    place: Body = {"item_id": item.id, "output_index": item.index}
    if run.holder is Holder.PART:
        place["content_index"] = index
    elif run.holder is Holder.SUMMARY:
        place["summary_index"] = index
    return place


# Sequences of events


def end_of_part(item: ItemView, part: PartView, account: object) -> list[Event]:
    """Return the events that close an open part; text that ``account`` adds is emitted first, as one more delta."""
    known: Body = account if isinstance(account, dict) and account.get("type") == part.type else {}
    events: list[Event] = []
    run, text, annotations = part.run, part.text, part.annotations
    if run is not None and not part.done:
        missing = agreement.tail(text, known.get(run.field))
        if missing:
            events.append(delta(item, run, part.index, missing))
            text += missing
        if not annotations and isinstance(known.get("annotations"), list):
            annotations = known["annotations"]
            place = {"item_id": item.id, "output_index": item.index, "content_index": part.index}
            events += [
                inserted(grammar.ANNOTATION_ADDED, **place, annotation_index=index, annotation=annotation)
                for index, annotation in enumerate(annotations)
            ]
        events.append(text_done(item, part, part.index, said=text))
    events.append(part_done(item, part, known, text=text, annotations=annotations))
    return events


def life_of_part(item: ItemView, index: int, account: Body) -> list[Event]:
    """Return all events of a part that upstream showed only when it was complete; none for a type without text."""
    run = grammar.RUN_OF_PART.get(account["type"])
    if run is None:
        return []
    part = PartView(index, item_objects.new_part(account["type"]))
    return [part_added(item, run, index, part.part), *end_of_part(item, part, account)]


def life_of_item(index: int, item: Body, *, status: str | None = None) -> list[Event]:
    """Return all events of an item that upstream showed only when it was complete: announcement, texts, closings."""
    kind = item_kind(item.get("type"))
    start = item_objects.announced(item, kind)
    view = ItemView(index, start)
    final = status or item_fields.closed_status(kind.type, item.get("status"))
    events = [item_added(index, start)]
    for parts, field, types in (
        (view.summaries, "summary", ("summary_text",)),
        (view.parts, "content", kind.parts),
    ):
        for account in agreement.unsent_parts(
            item.get(field), parts, types if field == "content" or kind.summaries else ()
        ):
            life = life_of_part(view, len(parts), account)
            part = PartView(len(parts), life[-1].body["part"])
            part.closed = True
            parts.append(part)
            events += life
    if final == COMPLETED:
        events += [progress(type_, view) for type_ in kind.progress]
    own = view.own
    if own is not None and own.run is not None:
        said = item.get(own.run.field)
        if isinstance(said, str) and said:
            events.append(delta(view, own.run, 0, said))
            own.grow(said)
        events.append(text_done(view, own))
    if final == COMPLETED:
        events += [progress(type_, view) for type_ in kind.finish]
    events.append(item_done(index, item_objects.emitted_item(view, status=final, proven=item)))
    return events
