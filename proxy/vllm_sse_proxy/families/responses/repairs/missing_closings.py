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
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.families.responses.outcome import (
    can_be_read,
    closing_status,
    hit_token_limit,
    is_finished,
    outcome_of,
)
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair
from vllm_sse_proxy.families.responses.view import part_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.events import Event
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
            missing = _close(_finished_reasoning(view), synthesis.COMPLETED)
        elif event.type == grammar.ITEM_DONE:
            item = view.by_id.get(event.body["item"]["id"])
            is_known = item is not None and item.id not in self.context.held_calls
            missing = (
                synthesis.missing_before_done(item, event.body["item"])
                if item is not None and is_known
                else []
            )
        elif event.type in grammar.TERMINAL:
            missing = self._before_terminal(event, view)
        else:  # upstream failed, or ended without a word
            finished = _finished_reasoning(view)
            missing = _close(finished, synthesis.COMPLETED)
            missing += _close(
                [item for item in _harmless(view) if item not in finished], synthesis.INCOMPLETE
            )
        return [*missing, event] if missing else None

    def _before_terminal(self, event: Event, view: ClientView) -> list[Event]:
        open_items = view.open_items()
        if not open_items:
            return []
        response = event.body["response"]
        outcome = outcome_of(event)
        match = match_final(view, response.get("output"))
        missing: list[Event] = []
        for item in open_items:
            account = match.accounts.get(item.index)
            is_last = match.is_last(item, was_cut=hit_token_limit(response))
            status = closing_status(item, account, response, outcome, is_last=is_last)
            is_unreadable = self.context.held_calls.get(item.id)
            if status is not None and (is_unreadable is None or (is_unreadable and can_be_read(account))):
                missing += synthesis.close_item(item, status=status, account=account)
        return missing


def _close(items: list[ItemView], status: str) -> list[Event]:
    return [event for item in items for event in synthesis.close_item(item, status=status)]


def _finished_reasoning(view: ClientView) -> list[ItemView]:
    """Return the open reasoning items of which upstream has sent every text to its end."""
    finished = [item for item in view.youngest() if item.kind is grammar.REASONING and is_finished(item)]
    return finished[::-1]


def _harmless(view: ClientView) -> list[ItemView]:
    """Return the open items whose first half may be closed when the response fails (docs/adr/0011-cut-calls.md).

    A call may not: Codex and the AI SDK run whatever ``output_item.done`` brings, and then take the turn for a good one.
    """
    return [item for item in view.open.values() if not item.kind.acts]


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
