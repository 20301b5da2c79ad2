"""The outcome of a response according to upstream, and what follows for the items that upstream left open.

Two rules (issue 12, K1 to K3). A response counts as completed only if upstream reported that. Likewise it counts as failed or
incomplete only if upstream reported that: neither a failure nor a reason is made up, even where the object that says
"completed" may be stale. Where type and status of a terminal event contradict each other, the lesser claim counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import agreement, grammar, item_fields
from vllm_sse_proxy.families.responses.grammar import TERMINAL_OF_STATUS, item_kind
from vllm_sse_proxy.families.responses.item_fields import closed_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.families.responses.final_match import FinalMatch
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView
    from vllm_sse_proxy.stream.event import Body, Event

_CLAIMS: Final = (grammar.FAILED, grammar.INCOMPLETE, grammar.COMPLETED)
"""Types of terminal events, the least claim first."""
_STALE: Final = (None, "completed", "in_progress", "queued")
"""What the status in a completed response may say without saying anything else."""


def outcome_of(event: Event) -> str:
    """Return the type that a terminal event should have: its own, or a lesser one that the status names.

    Where the status says nothing, the reason for which a response is incomplete does.
    """
    response = event.body.get("response")
    status = response.get("status") if type(response) is dict else None
    named = terminal_of_status(status) or event.type
    if status not in _STALE and named == event.type == grammar.COMPLETED and _has_reason(response):
        named = grammar.INCOMPLETE
    if named == event.type:
        return named
    return min(event.type, named, key=_CLAIMS.index)


def _has_reason(response: Any) -> bool:
    details = response.get("incomplete_details")
    return type(details) is dict and type(details.get("reason")) is str


def terminal_of_status(status: object) -> str | None:
    """Return the type of the terminal event that a status belongs to.

    :returns: None for a status that says nothing of an end: that of a response that goes on, in an object that ends one, is
        stale.
    """
    return TERMINAL_OF_STATUS.get(status) if type(status) is str else None


def closing_status(
    item: ItemView, account: Body | None, response: Mapping[str, Any], outcome: str, *, is_last: bool
) -> str | None:
    """Return the status to close an item with that upstream left open; None if it must stay open.

    Clients run a call as soon as it is done, whatever its status says (docs/adr/0011-cut-calls.md). So a call is closed as
    completed only if it can be read. Input of custom tools is free text, in which nobody sees that an end is missing: it
    is closed only if upstream's own account has it whole.

    :param account: upstream's final account of the item, if it has one.
    :param outcome: type of the terminal event.
    :param is_last: no item comes after it.
    """
    kind = item.kind
    if kind.acts and (outcome == grammar.FAILED or (account is None and kind is grammar.CUSTOM_CALL)):
        return None
    cut = outcome != grammar.COMPLETED
    if account is not None and is_cut_short(account, response):
        return _status_of_half(item)
    if kind is grammar.FUNCTION_CALL and not (can_be_read(account) or _has_json(item)):
        return item_fields.INCOMPLETE
    if kind.acts and account is None and cut:
        return _status_of_half(item)
    if is_last and (cut or (hit_token_limit(response) and _is_unfinished(item, account))):
        return _status_of_half(item)
    return item_fields.COMPLETED


def _status_of_half(item: ItemView) -> str | None:
    return None if item.kind.acts and item.kind is not grammar.FUNCTION_CALL else item_fields.INCOMPLETE


def _has_json(item: ItemView) -> bool:
    return item.own is not None and agreement.are_arguments(item.own.text)


def can_be_read(account: Body | None) -> bool:
    """Return whether an account of a call has arguments, or input, that somebody can read."""
    run = item_kind(account.get("type")).run if account is not None else None
    said = account.get(run.field) if account is not None and run is not None else None
    return (
        run is not None
        and type(said) is str
        and said != ""
        and (not run.is_json or agreement.are_arguments(said))
    )


def _is_unfinished(item: ItemView, account: Body | None) -> bool:
    """Return whether an item was surely cut if it is the last one and the tokens are spent: reasoning, or half a call (R48).

    The last token of a message may have been its end (R43).
    """
    run = item.kind.run
    if item.own is None or run is None:
        return item.kind is grammar.REASONING
    said = (account or {}).get(run.field)
    return not agreement.are_arguments(said if type(said) is str else item.own.text)


def is_finished(item: ItemView) -> bool:
    """Return whether an item has texts, and upstream has sent the done event of each."""
    texts = [*item.summaries, *item.parts]
    return bool(texts) and all(text.done for text in texts)


def is_whole(view: ClientView) -> bool:
    """Return whether upstream has closed every item, and the last is an answer or a call: its ``[DONE]`` then ends a success.

    Reasoning whose texts upstream has finished counts as closed: forks close it no further (F01).
    """
    if not view.items or any(not _is_closed_whole(item) for item in view.items):
        return False
    return view.items[-1].kind is grammar.MESSAGE or view.items[-1].kind.acts


def _is_closed_whole(item: ItemView) -> bool:
    if item.item.get("status") == item_fields.INCOMPLETE:
        return False
    if not item.is_closed_by_upstream:
        return item.kind is grammar.REASONING and is_finished(item)
    return item.kind is not grammar.FUNCTION_CALL or (
        item.own is not None and agreement.are_arguments(item.own.text)
    )


def ends_in_half(response: Mapping[str, Any], view: ClientView, match: FinalMatch) -> bool:
    """Return whether upstream said of the last item that it is not whole, though it calls the response completed.

    Of the last one only: a response may go on after an item that was not finished, and be completed.
    """
    output = response.get("output")
    last = output[-1] if type(output) is list and output else None
    if type(last) is dict and is_cut_short(last, response):
        return True
    unsent = match.unsent[-1] if match.unsent else None
    if unsent is not None and match.ends_with(unsent) and will_close_as_half(unsent):
        return True
    if unsent is not None and item_kind(unsent.get("type")).acts and is_cut_short(unsent, response):
        return True  # wherever it stands: it is emitted as the last item, and nobody may run it
    return (
        bool(view.items)
        and view.items[-1].item.get("status") == item_fields.INCOMPLETE
        and match.is_last(view.items[-1], was_cut=hit_token_limit(response))
    )


def will_close_as_half(final: Mapping[str, Any]) -> bool:
    """Return whether an item that only the final output has is closed as incomplete, for what its status says."""
    type_ = final.get("type")
    return type(type_) is str and closed_status(type_, final.get("status")) == item_fields.INCOMPLETE


def hit_token_limit(response: Mapping[str, Any]) -> bool:
    """Return whether a response has as many tokens as it may have: what is unfinished then was cut short (R48)."""
    usage, limit = response.get("usage"), response.get("max_output_tokens")
    spent = usage.get("output_tokens") if type(usage) is dict else None
    return type(spent) is int and type(limit) is int and spent >= limit


def is_cut_short(final: Mapping[str, Any], response: Mapping[str, Any]) -> bool:
    """Return whether a final item was cut short, though its response may say that it is completed (R48).

    Of a message alone the status proves nothing: a stop string ends one in the middle, and rightly.
    """
    status = final.get("status")
    if status not in (item_fields.INCOMPLETE, item_fields.IN_PROGRESS):
        return False
    run = item_kind(final.get("type")).run
    if hit_token_limit(response):
        return True
    if run is None or not run.is_json:
        # An item in progress may just be stale, and nobody sees that free text lacks its end.
        return run is not None and status == item_fields.INCOMPLETE
    return not agreement.are_arguments(str(final.get(run.field)))


def typed_terminal(event: Event, *, is_half: bool) -> Event:
    """Return a terminal event with type and status in agreement, with the error or the reason that it implies.

    :param is_half: upstream said of the last item that it is not whole.
    :returns: the event itself if it is so.
    """
    response = event.body["response"]
    status = response.get("status")
    type_ = outcome_of(event)
    if type_ == grammar.COMPLETED and is_half:
        type_ = grammar.INCOMPLETE
    changes: Body = {}
    if not isinstance(status, str) or status not in grammar.STATUSES_OF[type_]:
        changes["status"] = type_.rpartition(".")[2]
    if type_ == grammar.FAILED and not response.get("error"):
        changes["error"] = {"code": "server_error", "message": _what_happened(status)}
    if type_ == grammar.INCOMPLETE and not _has_reason(response):
        # No reason is made up: only usage that has reached its limit names one.
        reason = {"reason": "max_output_tokens"} if hit_token_limit(response) else None
        if "incomplete_details" not in response or response["incomplete_details"] != reason:
            changes["incomplete_details"] = reason
    if type_ == event.type and not changes:
        return event
    return event.renamed(type_, response={**response, **changes})


def _what_happened(status: object) -> str:
    """Return a sentence for a response that failed without an error."""
    if not isinstance(status, str) or status in (
        "",
        "failed",
        "completed",
        "incomplete",
        "in_progress",
        "queued",
    ):
        return "The response failed."
    return "The response was cancelled." if status == "cancelled" else f"The response ended as {status!r}."
