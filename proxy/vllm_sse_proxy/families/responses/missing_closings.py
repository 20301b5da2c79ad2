"""Closings that upstream never sent, emitted when what they close is over (correction ``missing_closings``).

An item is closed from what was emitted of it, and from upstream's account of it: its done item, or its item of the final
output. Text that the account adds comes first, as one more delta; then the done event of each text, the closings of the parts,
and the item's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses import agreement, construct, grammar, item_objects
from vllm_sse_proxy.families.responses.final_match import match_final
from vllm_sse_proxy.families.responses.item_fields import COMPLETED, INCOMPLETE
from vllm_sse_proxy.families.responses.item_texts import with_text_in_place
from vllm_sse_proxy.families.responses.outcome import closing_status, hit_token_limit, is_finished, outcome_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.responses.unreadable_calls import UnreadableCalls
    from vllm_sse_proxy.families.responses.view import ClientView, ItemView, PartView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.exit import Exit

_NAME: Final = "missing_closings"


class MissingClosings:
    """Close items, parts and texts that upstream left open."""

    __slots__ = ("_exit", "_is_on", "_unreadable", "_view")

    def __init__(
        self, context: StreamContext, view: ClientView, exit_: Exit, unreadable: UnreadableCalls
    ) -> None:
        self._is_on = _NAME not in context.disabled
        self._view = view
        self._exit = exit_
        self._unreadable = unreadable

    def close_finished_reasoning(self) -> None:
        """Close reasoning whose texts are done."""
        if self._is_on and self._close_finished_reasoning():
            self._exit.correct(_NAME)

    def close_for_failure(self) -> None:
        """Close what may be closed when the response fails."""
        if not self._is_on:
            return
        closed = self._close_finished_reasoning()
        for item in self._view.open_items():
            if not item.kind.acts:  # clients run calls that are closed, so half of one stays open (ADR 11)
                self._close(item, INCOMPLETE, None)
                closed = True
        if closed:
            self._exit.correct(_NAME)

    def close_open_items(self, terminal: Event) -> None:
        """Close the items that are still open at the terminal event, as far as that may be done."""
        if not self._is_on or not self._view.open:
            return
        self._unreadable.forget_unclosed()
        response = terminal.body["response"]
        outcome = outcome_of(terminal)
        match = match_final(self._view, response.get("output"))
        was_cut = hit_token_limit(response)
        closed = False
        for item in self._view.open_items():
            account = match.accounts.get(item.index)
            is_last = match.is_last(item, was_cut=was_cut)
            status = closing_status(item, account, response, outcome, is_last=is_last)
            if status is not None and self._unreadable.may_close(item, account):
                self._close(item, status, account)
                closed = True
        if closed:
            self._exit.correct(_NAME)

    def finish_item(self, item: ItemView, done: Body) -> None:
        """Emit the closings that are missing before an item's own."""
        if self._is_on and self._finish(item, done):
            self._exit.correct(_NAME)

    def finish_text(self, item: ItemView, part: PartView, account: Body) -> None:
        """Emit the done event of a part's text, if it is missing."""
        if self._is_on and not part.done and part.run is not None:
            self._emit(construct.end_of_part(item, part, account)[:-1])
            self._exit.correct(_NAME)

    def close_open_parts(self, item: ItemView) -> bool:
        """Close the parts of an item that are open; return whether there were any."""
        open_parts = item.open_parts()
        for part in open_parts:
            self._emit(construct.end_of_part(item, part, None))
        return bool(open_parts)

    def emit_part(self, item: ItemView, account: Body) -> None:
        """Emit all events of a part that was never announced."""
        run = grammar.RUN_OF_PART[account["type"]]  # a part of any other type has no address
        self._emit(construct.life_of_part(item, len(item.holders(run)), account))

    def _close_finished_reasoning(self) -> bool:
        if not self._view.open:
            return False
        finished = [
            item for item in self._view.youngest() if item.kind is grammar.REASONING and is_finished(item)
        ]
        for item in reversed(finished):
            self._close(item, COMPLETED, None)
        return bool(finished)

    def _close(self, item: ItemView, status: str, account: Body | None) -> None:
        """Close an open item.

        :param account: upstream's account of the item in the terminal event; what it adds to the emitted text comes first,
            as one more delta. Readable arguments that were emitted are kept (issue 12, K6).
        """
        known = account if account is not None and account.get("type") == item.type else None
        self._finish(item, known or {}, is_final=True)
        self._exit.emit(
            construct.item_done(item.index, item_objects.emitted_item(item, status=status, proven=known))
        )

    def _finish(self, item: ItemView, account: Body, *, is_final: bool = False) -> bool:
        """Emit the closings that are missing before an item's own closing; return whether there were any.

        :param is_final: the account is the terminal event's, which is a second parse, instead of the stream's own done item.
        """
        if account.get("type", item.type) != item.type:
            account = {}
        account = with_text_in_place(account, item)
        before = self._exit.tally.events_out
        self._finish_parts(item, account)
        own = item.own
        if own is not None and own.run is not None and not own.done:
            said = account.get(own.run.field)
            if is_final and own.length and own.run.is_json and agreement.are_arguments(own.text):
                said = None
            missing = agreement.missing_end(own.run, own.text, said)
            if missing:
                self._exit.emit(construct.delta(item, own.run, 0, missing))
            stands = (
                item.kind.acts and type(said) is str and not missing and agreement.supersedes(said, own.text)
            )
            closing = construct.text_done(item, own, said=said if stands else None)
            if not is_final:
                self._unreadable.end(closing, item)
                return True
            self._exit.emit(closing)
        return self._exit.tally.events_out != before

    def _finish_parts(self, item: ItemView, account: Body) -> None:
        """Close the open parts of an item, and emit those that only its account has, if the item can hold their types."""
        for parts, field in ((item.summaries, "summary"), (item.parts, "content")):
            left_open = [part for part in parts if not part.closed]
            accounts = agreement.accounts_of(parts, account.get(field)) if left_open else {}
            for part in left_open:
                self._emit(construct.end_of_part(item, part, accounts.get(part.index)))
        for parts, field, types in (
            (item.summaries, "summary", ("summary_text",) if item.kind.summaries else ()),
            (item.parts, "content", item.kind.parts),
        ):
            for unsent in agreement.unsent_parts(account.get(field), parts, types):
                self.emit_part(item, unsent)

    def _emit(self, events: list[Event]) -> None:
        for event in events:
            self._exit.emit(event)
