"""Done events that upstream never sends (R09, R25), and text that only the whole holds.

"2 + 2 equals" was streamed, "2 + 2 equals 4." is in ``response.completed``: without ``output_text.done``,
``content_part.done`` and ``output_item.done`` Codex has no answer at all ("no last agent message"), openai-python
refuses the response as unfinished.

What is missing is told as late as it may be, because the whole may still prove more. Only reasoning whose text is done
is closed before the next item begins (the fork says no more of it, F01): Codex posts items back in the order in which
they closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.events import END
from vllm_sse_proxy.families.responses.proof import Proof, is_half, is_spent
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair
from vllm_sse_proxy.families.responses.view import part_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Body, Event
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView

_PART_DONE = (grammar.PART_DONE, grammar.SUMMARY_DONE)


class MissingClosings(Repair):
    """Close texts, parts and items before what closes around them, from what was streamed and what the whole proves."""

    __slots__ = ()

    name: ClassVar = "missing_closings"
    summary: ClassVar = (
        "missing `*.done` events are told, with text that only the done item or the terminal event holds"
    )
    fixes: ClassVar = ("R09", "R10", "R25", "R36", "R41", "R48", "R01", "F01")
    phase: ClassVar = Phase.LIFECYCLE
    handles: ClassVar = frozenset(
        {*_PART_DONE, grammar.ITEM_ADDED, grammar.ITEM_DONE, *grammar.TERMINAL, grammar.ERROR, END}
    )

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Put the missing closings ahead of the event."""
        if event.type in _PART_DONE:
            missing = _before_part_done(event, view)
        elif event.type == grammar.ITEM_ADDED:
            missing = _close(_told_reasoning(view.open_items()), synthesis.COMPLETED)
        elif event.type == grammar.ITEM_DONE:
            item = view.by_id.get(event.body["item"]["id"])
            missing = synthesis.missing_before_done(item, event.body["item"]) if item is not None else []
        elif event.type in grammar.TERMINAL:
            missing = _before_terminal(event, view)
        elif (
            event.body.get("said_done") and view.error is None
        ):  # after an error, [DONE] proves nothing whole
            missing = _close(view.open_items(), synthesis.COMPLETED)
        else:
            missing = _close(_harmless(view.open_items()), synthesis.INCOMPLETE)
        return [*missing, event] if missing else None


def _close(items: list[ItemView], status: str) -> list[Event]:
    return [event for item in items for event in synthesis.close_item(item, status=status)]


def _told_reasoning(items: list[ItemView]) -> list[ItemView]:
    """Return the reasoning items of which upstream has told every text to its end."""
    return [
        item
        for item in items
        if item.kind is grammar.REASONING
        and (texts := [*item.summaries, *item.parts])
        and all(text.done for text in texts)
    ]


def _harmless(items: list[ItemView]) -> list[ItemView]:
    """Return the items whose first half may be told as done when the response fails (docs/adr/0011-cut-calls.md).

    A call may not: Codex and the AI SDK run whatever ``output_item.done`` brings, and then take the turn for a good one.
    """
    return [item for item in items if not item.kind.acts]


def _before_part_done(event: Event, view: ClientView) -> list[Event]:
    item = view.by_id.get(event.body["item_id"])
    if item is None:
        return []
    summary = event.type == grammar.SUMMARY_DONE
    part = part_at(
        item.summaries if summary else item.parts, event.body["summary_index" if summary else "content_index"]
    )
    if part is None or part.done or part.run is None:
        return []
    return synthesis.close_part(item, part, event.body["part"])[:-1]


def _before_terminal(event: Event, view: ClientView) -> list[Event]:
    open_items = view.open_items()
    if event.type == grammar.FAILED:
        open_items = _harmless(open_items)
    if not open_items:
        return []
    response = event.body["response"]
    proof = Proof(view.items, response.get("output"))
    cut = response.get("status", event.type.rpartition(".")[2]) != synthesis.COMPLETED
    missing: list[Event] = []
    for item in open_items:
        account = proof.accounts.get(item.index)
        last = item is view.items[-1]
        half = cut and item.kind.acts if account is None else is_half(account, response)
        half = half or (last and (cut or (is_spent(response) and _is_unfinished(item, account))))
        status = synthesis.INCOMPLETE if half else synthesis.COMPLETED
        missing += synthesis.close_item(item, status=status, proven=account)
    return missing


def _is_unfinished(item: ItemView, account: Body | None) -> bool:
    """Tell whether an item was surely cut if it is the last one, and the tokens are spent: reasoning, or half a call (R48).

    The last token of a message may have been its end (R43).
    """
    run = item.kind.run
    if item.own is None or run is None:
        return item.kind is grammar.REASONING
    said = (account or {}).get(run.field)
    return not synthesis.is_json(said if isinstance(said, str) else item.own.text)
