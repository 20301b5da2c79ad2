"""Items and parts as the client gets them: announced, implied by another event, closed, in the final output.

They take ids, names and texts from the client's view, so they agree with what was emitted. Upstream's own *account* (a done
item, or an item of the final output) adds what the deltas cannot carry: annotations, encrypted content and the like
(:mod:`.agreement` compares the two).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm_sse_proxy.families.responses import agreement, grammar, item_fields
from vllm_sse_proxy.families.responses.agreement import NAMES, STREAMED
from vllm_sse_proxy.families.responses.grammar import Holder, ItemKind
from vllm_sse_proxy.families.responses.ids import derive_id
from vllm_sse_proxy.families.responses.item_fields import COMPLETED, IN_PROGRESS, INCOMPLETE
from vllm_sse_proxy.families.responses.logprobs import whole_logprobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.responses.view import ClientView, ItemView, PartView
    from vllm_sse_proxy.stream.event import Body, Event


def new_item(kind: ItemKind, id_: str, **fields: Any) -> Body:
    """Return the item that an event without an announcement implies, with every field that its type requires."""
    item: Body = {"id": id_, "type": kind.type, "status": IN_PROGRESS}
    if kind is grammar.MESSAGE:
        item |= {"role": "assistant", "content": []}
    elif kind is grammar.REASONING:
        item |= {"summary": [], "content": []}
    elif kind.run is not None:
        item[kind.run.field] = ""
    item |= required_fields(item)
    if kind is grammar.CODE_CALL:
        item["outputs"] = []
    elif kind is grammar.IMAGE_CALL:
        item["result"] = None
    return item | fields


def announced(item: Mapping[str, Any], kind: ItemKind) -> Body:
    """Return ``item`` as it is announced: everything that later events bring is at its zero value."""
    zero: Body = {**item}
    if kind is grammar.MESSAGE:
        zero["content"] = []
        zero.setdefault("role", "assistant")
    elif kind is grammar.REASONING:
        zero["summary"] = []
        if zero.get("content") is not None:
            zero["content"] = []
        zero.pop("encrypted_content", None)
    elif kind.run is not None:
        zero[kind.run.field] = ""
    zero |= item_fields.announced_fields(item)
    zero |= required_fields(zero)
    status = item_fields.opened_status(kind.type, item.get("status"))
    if kind is grammar.REASONING and item.get("status") is None:
        zero.pop("status", None)
    elif status is not None:
        zero["status"] = status
    return zero


def required_fields(item: Mapping[str, Any], *, open_responses: bool = False) -> Body:
    """Return the fields that an item's type requires and the item lacks, apart from texts and names.

    :param open_responses: leave alone types that only OpenAI's API knows; in this dialect their fields are upstream's own.
    """
    type_ = item.get("type")
    if not isinstance(type_, str) or (open_responses and type_ not in item_fields.OF_OPEN_RESPONSES):
        return {}
    changes = item_fields.missing_fields(type_, item)
    call_id = item.get("call_id")
    if type_ in grammar.OTHER_CALLS and not (isinstance(call_id, str) and call_id):
        changes["call_id"] = derive_id("call", item.get("id"), type_)
    return changes


def emitted_item(item: ItemView, *, status: str, proven: Mapping[str, Any] | None = None) -> Body:
    """Return the item as its done event must show it to agree with the emitted events.

    :param status: its status; a reasoning item that has none anywhere gets none, as in OpenAI's streams.
    :param proven: upstream's own account of the item, for what the deltas did not carry (annotations, encrypted
        content, …).
    """
    base: Body = {**item.item}
    if proven is not None and proven.get("type") == item.type:
        base |= proven
    base |= {
        name: item.item.get(name)
        for name in (*NAMES, *item.kind.required)
        if name in item.item or name in base
    }
    if item.kind is grammar.MESSAGE or item.kind is grammar.REASONING:
        content = emitted_parts(item.parts, base.get("content"))
        if content or item.kind is grammar.MESSAGE or base.get("content") is not None:
            base["content"] = content
    if item.kind is grammar.REASONING:
        base["summary"] = emitted_parts(item.summaries, base.get("summary"))
    if item.own is not None and item.own.run is not None:
        base[item.own.run.field] = item.own.text
    has_status = "status" in item.item or base.get("status") not in (None, COMPLETED)
    if has_status or item_fields.needs_status(item.type) or status == INCOMPLETE:
        base["status"] = item_fields.fitting_status(item.type, status)
    return base


def items_so_far(view: ClientView) -> list[Body]:
    """Return the emitted items; those that are still open are incomplete."""
    return [item.item if item.closed else emitted_item(item, status=INCOMPLETE) for item in view.items]


def done_item(item: ItemView, said: Body, *, text_is_open: bool) -> Body:
    """Return a done item that is the sum of its events; the given item if it is that already.

    :param text_is_open: the closing of the item's own text is still held, and the done item may settle what it says.
    """
    status = said.get("status")
    # An item that was announced with a status is closed with one; OpenAI's reasoning items never have any.
    lacks_status = item.item.get("status") is not None and status is None
    if agreement.is_as_emitted(item, said) and not lacks_status:
        return said
    known = status if status in (COMPLETED, INCOMPLETE) else COMPLETED
    done = emitted_item(item, status=known, proven=said)
    run = item.kind.run
    if text_is_open and run is not None and run.field in said:
        done[run.field] = said[run.field]
    return done


def final_item(item: ItemView, account: Mapping[str, Any]) -> Body:
    """Return an item of the final output: the emitted item, with the fields that only upstream's final account of it has.

    The account cannot add what the stream has brought (texts, status), because two items may share one account (R08).
    """
    if account.get("type") != item.type:
        return item.item
    final = {
        **account,
        **{name: value for name, value in item.item.items() if value is not None or name not in account},
    }
    return {
        name: value
        for name, value in final.items()
        if name not in STREAMED or item.item.get(name) is not None or agreement.is_nothing(value)
    }


def summed_up(item: ItemView, account: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return an item of the final output.

    :param account: upstream's own account of it, None if there is none.
    """
    if not item.closed:  # a call that was cut
        return emitted_item(item, status=INCOMPLETE, proven=account)
    if account is None:
        return item.item
    is_whole = not _has_null_logprobs(account) and not _lacks_text(item, account)
    if is_whole and (
        account == item.item
        or (account.get("type") == item.type and agreement.says_the_same(item.item, account))
    ):
        return account
    final = final_item(item, account)
    run = item.kind.run
    if run is not None and item.kind.acts and account.get("type") == item.type:
        # Upstream closed the call in the middle, too long ago for its closing to be held (R19). Clients that run calls from
        # the final output need all of its arguments.
        whole, emitted = account.get(run.field), str(final.get(run.field))
        if isinstance(whole, str) and whole.startswith(emitted) and not agreement.are_arguments(emitted):
            return {**final, run.field: whole}
    return final


def _lacks_text(item: ItemView, account: Mapping[str, Any]) -> bool:
    """Return whether an account of a call lacks the field of its arguments or input; it was emitted with an empty one."""
    return item.own is not None and item.own.run is not None and account.get(item.own.run.field) is None


def _has_null_logprobs(account: Mapping[str, Any]) -> bool:
    """Return whether a text part has ``"logprobs": null``, where the streamed one has a list (R27)."""
    content = account.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and "logprobs" in part and part["logprobs"] is None for part in content
    )


def new_part(type_: str) -> Body:
    """Return a part at its zero value."""
    if type_ == "output_text":
        return {"type": type_, "text": "", "annotations": [], "logprobs": []}
    return {"type": type_, grammar.RUN_OF_PART[type_].field: ""}


def typed_part(event: Event, item: ItemView) -> Event:
    """Return a part event with a part of a type that its item can hold; the event itself if it has one."""
    if event.type not in (grammar.PART_ADDED, grammar.PART_DONE):
        return event
    part = event.body["part"]
    if not item.kind.parts or part["type"] in item.kind.parts:
        return event
    run = grammar.RUN_OF_PART[item.kind.parts[0]]
    own = grammar.RUN_OF_PART.get(part["type"])
    text = part.get(own.field) if own is not None and own.holder is Holder.PART else ""
    return event.having(part={**new_part(item.kind.parts[0]), run.field: text})


def emitted_parts(parts: list[PartView], proven: object) -> list[Body]:
    """Return the emitted parts as they are closed; parts of the account supply the fields that deltas do not carry."""
    accounts = agreement.accounts_of(parts, proven)
    return [emitted_part(part, accounts.get(part.index)) for part in parts]


def emitted_part(
    part: PartView, proven: object = None, *, text: str | None = None, annotations: list[Any] | None = None
) -> Body:
    """Return one emitted part as it is closed; a part that is closed already stays as it was emitted."""
    if part.closed:
        return part.part
    base: Body = {**part.part}
    if isinstance(proven, dict) and proven.get("type") == part.type:
        base |= proven
    if part.run is not None:
        base[part.run.field] = part.text if text is None else text
    if part.type == "output_text":
        base["annotations"] = list(part.annotations if annotations is None else annotations)
        if not isinstance(base.get("logprobs"), list) or (part.logprobs and not base["logprobs"]):
            base["logprobs"] = list(part.logprobs)
        base["logprobs"] = whole_logprobs(base["logprobs"])
    return base
