"""The third station: what the client must be sent before, with and after an event for it to make sense.

Theory of operation. An event that comes here is readable and says by the client's own names which item and part it is about
(:mod:`.address`). The client's view holds what the client has been sent. Whatever an event needs before it is emitted first:
the openings of the response, the announcement of its item and part, the closings of what it ends. What was emitted already, or
may no longer be emitted, is dropped. Every such correction is named (``CORRECTIONS`` in :mod:`.corrections`) and counted.

Events are emitted at once, one after the other, so the view is always up to date and nothing here plans ahead. Two kinds of
events are held:

*Closings of an item* (text done, part done, item done) are held until the next event, which follows at once: the next item, or
the terminal event, which shows what the item was (``held_closings``). Deltas are never held.

*Closings of calls with unreadable arguments* are held until the terminal event, which may have the arguments, and so are the
closings of the calls after them, since clients run calls in the order in which they close (``unreadable_calls``).

The terminal event is completed in this order, each step relying on the one before: the closings that wait; the closings that
upstream never sent; the type of the event; the items that were never streamed; the calls that wait; the final output. The
final output is matched once with what was emitted (:mod:`.final_match`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import (
    agreement,
    construct,
    grammar,
    item_fields,
    item_objects,
    response_objects,
)
from vllm_sse_proxy.families.responses.address import Addresser
from vllm_sse_proxy.families.responses.events import inserted
from vllm_sse_proxy.families.responses.final_match import FinalMatch, match_final
from vllm_sse_proxy.families.responses.grammar import Holder, TextRun, item_kind
from vllm_sse_proxy.families.responses.headless import HeadlessArguments
from vllm_sse_proxy.families.responses.ids import ItemNamer
from vllm_sse_proxy.families.responses.item_fields import COMPLETED, INCOMPLETE
from vllm_sse_proxy.families.responses.item_texts import text_of, with_text_in_place
from vllm_sse_proxy.families.responses.outcome import (
    can_be_read,
    closing_status,
    ends_in_half,
    hit_token_limit,
    is_cut_short,
    is_finished,
    is_whole,
    outcome_of,
    typed_terminal,
    will_close_as_half,
)
from vllm_sse_proxy.families.responses.view import PartView, part_at, part_index
from vllm_sse_proxy.stream.ending import REPORTS
from vllm_sse_proxy.stream.event import END
from vllm_sse_proxy.stream.repair import MAX_HELD_EVENTS, MAX_TEXT_BYTES
from vllm_sse_proxy.stream.stations import Completer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vllm_sse_proxy.families.responses.view import ClientView, ItemView, RunView
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.exit import Exit
    from vllm_sse_proxy.stream.repair import StreamContext

_ITEM_CLOSINGS: Final = frozenset(
    {*grammar.RUN_OF_DONE, grammar.PART_DONE, grammar.SUMMARY_DONE, grammar.ITEM_DONE}
)
_OF_ITEMS: Final = (
    grammar.ITEM_EVENTS | {grammar.ITEM_ADDED, grammar.ITEM_DONE} | frozenset(grammar.ITEM_ID_EVENTS)
)
_PART_DONE: Final = frozenset({grammar.PART_DONE, grammar.SUMMARY_DONE})
_CAN_BE_CUT: Final = (*grammar.TEXT_KINDS, *grammar.CLIENT_CALLS)


class ResponsesCompleter(Completer):
    """The third station of one stream."""

    def __init__(self, context: StreamContext, view: ClientView, exit_: Exit) -> None:
        self._context = context
        self._view = view
        self._exit = exit_
        self._off = context.disabled
        self._addresser = Addresser(context, view, exit_)
        self._headless = HeadlessArguments(context, view, exit_)
        self._held: list[Event] = []
        """closings of one item, held until the next event"""
        self._held_places: dict[object, None] = {}
        self._waiting: list[Event] = []
        """closings of calls, held until the terminal event, from the first call with unreadable arguments on"""
        self._waiting_calls: dict[str, bool] = {}
        """ids of those calls → whether the arguments of the call are unreadable"""
        self._nameless = NamelessCalls()

    # ------------------------------------------------------------------------------------------------------------ the way in

    def complete(self, event: Event) -> None:
        """Emit an event, and whatever must come before it; or drop it."""
        addressed = self._addresser.address(event)
        if addressed is not None:
            for ready in self._headless.take(addressed):
                self._complete(ready)

    def release(self) -> None:
        """Release what is held until the next event: a heartbeat of upstream's shows that time passes."""
        for event in self._headless.give_up():
            self._complete(event)
        if self._held:
            self._release()

    def _complete(self, event: Event) -> None:
        view = self._view
        type_ = event.type
        opened: Event | None = event
        if not view.in_progress or type_ in grammar.OPENING:
            opened = self._open_response(event)
        if opened is None:
            return
        if view.terminal is not None:
            self._exit.drop("late_events", event)
        elif view.error is not None and type_ not in (grammar.FAILED, END):
            self._after_error(opened)
        else:
            self._open_item(opened)

    def _after_error(self, event: Event) -> None:
        """Let only ``response.failed`` follow an error: any other event ends the response as failed."""
        if event.type == grammar.ERROR:
            self._exit.drop("late_events", event)
            return
        self._exit.correct("late_events")
        error = self._view.error or {}
        response = response_objects.response_so_far(self._view, self._context.request)
        self._pass(construct.failed(response, error.get("error") or error))

    # ----------------------------------------------------------------------------------------------- openings of the response

    def _open_response(self, event: Event) -> Event | None:
        """Emit missing openings; return the event, corrected if it is itself an opening, None if it is a repeated one."""
        name = "response_openings"
        view, type_ = self._view, event.type
        if name in self._off:
            return event
        if (
            view.in_progress
            or (type_ == grammar.CREATED and view.created)
            or (type_ == grammar.QUEUED and view.queued)
        ):
            self._exit.drop(name, event)
            return None
        is_opening = type_ in grammar.OPENING
        missing = [] if view.created or type_ == grammar.CREATED else [grammar.CREATED]
        missing += [] if is_opening else [grammar.IN_PROGRESS]
        for opening in missing:
            self._exit.emit(construct.opening(opening, self._response_of(event)))
        opened = construct.as_opening(event) if is_opening else event
        if missing or opened is not event:
            self._exit.correct(name)
        return opened

    def _response_of(self, event: Event) -> Mapping[str, Any]:
        own = event.body.get("response")
        if self._view.response is None and type(own) is dict and own.get("id"):
            complete = response_objects.complete_response(own, self._view, self._context.request)
            return response_objects.with_whole_functions(complete)
        return response_objects.response_so_far(self._view, self._context.request)

    # ------------------------------------------------------------------------------------------------------ openings of items

    def _open_item(self, event: Event) -> None:
        """Drop an event that comes too late; announce the item that an event implies."""
        type_ = event.type
        if type_ in _OF_ITEMS:
            item = self._item_of(event)
            if item is None:
                if not self._open_unknown(event):
                    return
            elif item.closed or type_ == grammar.ITEM_ADDED or _is_late(event, item):
                self._exit.drop("late_events", event)
                return
        self._pass(event)

    def _item_of(self, event: Event) -> ItemView | None:
        """Return the item that an event is about; None if it has not been announced."""
        view, body = self._view, event.body
        if event.type in (grammar.ITEM_ADDED, grammar.ITEM_DONE):
            return view.by_id.get(body["item"]["id"])
        if event.type in grammar.ITEM_ID_EVENTS:
            return view.by_id.get(body["item_id"])
        index = body["output_index"]  # a shell call's command: named by its index alone
        return view.items[index] if 0 <= index < len(view.items) else None

    def _open_unknown(self, event: Event) -> bool:
        """Announce the item of an event that the client does not know; return whether the event may follow."""
        if event.type == grammar.ITEM_ADDED:
            return True
        if event.type == grammar.ITEM_DONE:
            self._emit_whole(event)
            return False
        if event.type in grammar.ITEM_ID_EVENTS:
            return self._announce_for(event)
        if "item_openings" in self._off:
            return True
        self._exit.drop("item_openings", event)
        return False

    def _announce_for(self, event: Event) -> bool:
        """Announce the item that an event implies; return whether the event may follow.

        A call cannot be announced before its name is known, nor a list of tools before its server is, so pieces of unannounced
        ones are dropped: the done item, or the terminal event, names them and should hold the whole. A done item without
        arguments gets them back. Kinds of items that cannot be constructed here are left to their done item as well.
        """
        if "item_openings" in self._off:
            return True
        id_: str = event.body["item_id"]
        kind = grammar.KIND_OF_EVENT.get(event.type)
        if kind is None and event.type in (grammar.PART_ADDED, grammar.PART_DONE):
            run = grammar.RUN_OF_PART.get(event.body["part"].get("type", ""))
            kind = grammar.KIND_OF_EVENT.get(run.delta) if run is not None else None
        if kind is None or not item_fields.can_be_announced_by_id(kind):
            self._nameless.keep(event, id_)
            self._exit.drop("item_openings", event)
            return False
        self._exit.correct("item_openings")
        self._pass(construct.item_added(len(self._view.items), item_objects.new_item(kind, id_)))
        return True

    def _emit_whole(self, done: Event) -> None:
        """Emit all events of an item of which upstream sent only the closing."""
        if "item_openings" in self._off:
            self._pass(done)
            return
        item = done.body["item"]
        if item.get("name") == "" and "name" in item_kind(item["type"]).required:
            self._exit.drop(
                "item_openings", done
            )  # no client can run a call without a name; the terminal event may have it
            return
        self._exit.correct("item_openings")
        index = len(self._view.items)
        life = construct.life_of_item(index, self._nameless.restored(item))
        for event in life[:-1]:
            self._pass(event)
        self._pass(done.having(item=life[-1].body["item"], output_index=index))

    # ----------------------------------------------------------------------------------- closings that wait for the next event

    def _pass(self, event: Event) -> None:
        """Hold a closing; for any other event, settle the held closings and proceed."""
        if event.type in _ITEM_CLOSINGS and self._closes_what_was_announced(event):
            self._hold(event)
        elif not self._held or self._release_for(event):
            self._proceed(event)

    def _closes_what_was_announced(self, event: Event) -> bool:
        """Return whether item and part have been announced; otherwise the closing opens them, and must not be held."""
        if "held_closings" in self._off:
            return False
        item = self._view.by_id.get(_item_id_of(event))
        if item is None or event.type == grammar.ITEM_DONE:
            return item is not None
        run = grammar.RUN_OF_DONE.get(event.type)
        if run is not None and run.holder is Holder.ITEM:
            return item.own is not None
        return part_at(item.parts_of(event), part_index(event)) is not None

    def _hold(self, event: Event) -> None:
        held = self._held
        if not held or _item_id_of(held[0]) != _item_id_of(event):
            self._release()
            self._held = [event]
            self._held_places = {_place_of(event): None}
            return
        if held[-1].type == grammar.ITEM_DONE or self._is_closed(event):
            self._exit.drop("held_closings", event)
        elif event.type == grammar.ITEM_DONE and any(_says_less(one, event.body["item"]) for one in held):
            self._exit.drop("held_closings", event)
            self._held = [event]  # its parts are then closed with its texts
        else:
            held.append(event)
            self._held_places[_place_of(event)] = None

    def _is_closed(self, event: Event) -> bool:
        """Return whether an event repeats a held closing, or closes a text whose part has a held closing."""
        if _place_of(event) in self._held_places:
            return True
        run = grammar.RUN_OF_DONE.get(event.type)
        return (
            run is not None and run.holder is not Holder.ITEM and _part_place_of(event) in self._held_places
        )

    def _release(self) -> None:
        held, self._held = self._held, []
        for closing in held:
            self._proceed(closing)

    def _release_for(self, event: Event) -> bool:
        """Release or drop what is held, as the next event demands; return whether that event is emitted."""
        held = self._held
        if event.body.get("item_id") == _item_id_of(held[0]):
            if held[-1].type == grammar.ITEM_DONE or self._is_confirmed(event):
                self._exit.drop("held_closings", event)  # upstream has sent the whole text already
                return False
            if event.type in grammar.RUN_OF_DELTA or event.type == grammar.ANNOTATION_ADDED:
                self._held = []  # the item goes on: its closing came too early, and is emitted when the item is over
                self._exit.correct("held_closings")
                return True
        if event.type in grammar.TERMINAL:
            self._judge(event)
        else:
            self._release()
        return True

    def _is_confirmed(self, delta: Event) -> bool:
        """Return whether a held closing confirms that the text of a delta's part is complete without the delta.

        An empty closing confirms nothing, so the text that comes after it is kept.
        """
        run = grammar.RUN_OF_DELTA.get(delta.type)
        if run is None:
            return False
        index = part_index(delta)
        for closing in self._held:
            if closing.type == run.done and part_index(closing) == index:
                text = self._view.by_id[delta.body["item_id"]].text_at(run, index)
                return text is not None and text.text != "" and closing.body[run.done_field] == text.text
        return False

    def _judge(self, terminal: Event) -> None:
        """Release held closings that the terminal event confirms; drop others, so that the item is closed from its account."""
        held, self._held = self._held, []
        response = terminal.body["response"]
        item = self._view.by_id[_item_id_of(held[0])]
        for closing in held:
            _note_arguments(closing, item)
        match = self._match(response)
        account = match.accounts.get(item.index)
        done = held[-1]
        if account is not None and (
            any(_says_less(one, account) for one in held)
            or (done.type == grammar.ITEM_DONE and _says_more(account, done.body["item"], item))
        ):
            self._exit.correct("held_closings")
            return
        if done.type == grammar.ITEM_DONE and self._was_cut(done, item, account, terminal):
            self._exit.correct("held_closings")
            held[-1] = done.having(item={**done.body["item"], "status": INCOMPLETE})
        for closing in held:
            self._proceed(closing)

    def _was_cut(self, done: Event, item: ItemView, account: Body | None, terminal: Event) -> bool:
        """Return whether upstream closed an item as completed that was cut short according to the terminal event."""
        # An item that was announced with a status is closed with one; OpenAI's reasoning items never have any.
        lacking = None if item.item.get("status") is not None else COMPLETED
        if done.body["item"].get("status") not in (COMPLETED, lacking):
            return False
        response = terminal.body["response"]
        if account is not None and is_cut_short(account, response):
            return True
        return (
            (terminal.type if "terminal_types" in self._off else outcome_of(terminal)) == grammar.INCOMPLETE
            and item_kind(done.body["item"]["type"]) in _CAN_BE_CUT
            and self._match(response).is_last(item)  # if it is another item, its closings came late
            and not any(other.item.get("status") == INCOMPLETE for other in self._view.items)
        )

    # ---------------------------------------------------------------------------------------------------- parts, texts, items

    def _proceed(self, event: Event) -> None:
        """Emit an event that need not be held, after what its part and its item lack."""
        proceed = _PROCEED.get(event.type)
        if proceed is None:
            self._exit.emit(event)
        else:
            proceed(self, event)

    def _announce(self, event: Event) -> None:
        """Close finished reasoning before the next item: Codex posts items back in the order in which they closed."""
        if "missing_closings" not in self._off and self._close_finished_reasoning():
            self._exit.correct("missing_closings")
        self._exit.emit(event)

    def _close_finished_reasoning(self) -> bool:
        if not self._view.open:
            return False
        finished = [
            item for item in self._view.youngest() if item.kind is grammar.REASONING and is_finished(item)
        ]
        for item in reversed(finished):
            self._close_item(item, COMPLETED, None)
        return bool(finished)

    def _grow(self, event: Event) -> None:
        """Announce the part that a delta or an annotation belongs to, unless it was announced."""
        item = self._view.by_id.get(event.body["item_id"])
        index = part_index(event)
        if item is not None and type(index) is int and index >= len(item.parts_of(event)):
            self._open_part(item, grammar.RUN_OF_EVENT.get(event.type, grammar.OUTPUT_TEXT), index)
        self._exit.emit(event)

    def _open_part(self, item: ItemView, run: TextRun, index: int) -> None:
        if "part_openings" not in self._off:
            self._exit.correct("part_openings")
            self._close_open_parts(item)
            self._exit.emit(construct.part_added(item, run, index))

    def _close_open_parts(self, item: ItemView) -> bool:
        open_parts = item.open_parts()
        for part in open_parts:
            self._close_part(item, part, None)
        return bool(open_parts)

    def _add_part(self, event: Event) -> None:
        """Announce a part with a type that its item can hold, after closing the part before it."""
        item = self._view.by_id.get(event.body["item_id"])
        if item is not None and "part_openings" not in self._off:
            typed = item_objects.typed_part(event, item)
            if self._close_open_parts(item) or typed is not event:
                self._exit.correct("part_openings")
            event = typed
        self._exit.emit(event)

    def _end_text(self, event: Event) -> None:
        """Emit the done event of a text with the sum of its deltas; text that it adds is emitted as a delta first."""
        item = self._view.by_id.get(event.body["item_id"])
        run = grammar.RUN_OF_DONE[event.type]
        if item is None:
            self._exit.emit(event)
            return
        index = part_index(event)
        if run.holder is not Holder.ITEM and type(index) is int and index >= len(item.parts_of(event)):
            self._open_part(item, run, index)
        text = item.text_at(run, index)
        if text is not None and "done_texts" not in self._off:
            event = self._true_to_deltas(event, item, run, text)
        self._end_call(event, item)

    def _true_to_deltas(self, event: Event, item: ItemView, run: TextRun, text: RunView) -> Event:
        sent = text.text
        said: str = event.body[run.done_field]  # the second station leaves out any other
        changes: Body = {}
        index = part_index(event)
        missing = agreement.missing_end(run, sent, said)
        stands = (
            said == sent
            or missing
            or (
                run.holder is Holder.ITEM
                and item.kind.acts
                and agreement.supersedes(said, sent)
                and not _repeats_others(said, sent, self._view)
            )
        )
        if not stands:
            changes[run.done_field] = sent
        if isinstance(text, PartView) and text.logprobs and not event.body.get("logprobs"):
            changes["logprobs"] = list(text.logprobs)
        if missing:
            self._exit.emit(construct.delta(item, run, index if type(index) is int else 0, missing))
        if missing or changes:
            self._exit.correct("done_texts")
        return event.having(**changes) if changes else event

    def _end_part(self, event: Event) -> None:
        """Emit the closing of a part, after the done event of its text; all events of a part that was never announced."""
        item = self._view.by_id.get(event.body["item_id"])
        if item is None:
            self._exit.emit(event)
            return
        parts, index = item.parts_of(event), part_index(event)
        if "part_openings" not in self._off:
            typed = item_objects.typed_part(event, item)
            if type(index) is int and index >= len(parts):
                self._exit.correct("part_openings")
                self._close_open_parts(item)
                self._emit_part(item, typed.body["part"])
                return
            if typed is not event:
                self._exit.correct("part_openings")
            event = typed
        part = part_at(parts, index)
        if (
            part is not None
            and "missing_closings" not in self._off
            and not part.done
            and part.run is not None
        ):
            self._emit_all(construct.end_of_part(item, part, event.body["part"])[:-1])
            self._exit.correct("missing_closings")
        if (
            part is not None
            and "done_texts" not in self._off
            and not agreement.is_part_as_emitted(part, event.body["part"])
        ):
            self._exit.correct("done_texts")
            event = event.having(part=item_objects.emitted_part(part, event.body["part"]))
        self._exit.emit(event)

    def _end_item(self, event: Event) -> None:
        """Emit the closing of an item with what was streamed of it, after the closings of its texts and parts."""
        said = event.body["item"]
        item = self._view.by_id.get(said["id"])
        if item is None:
            self._exit.emit(event)
            return
        waits = item.id in self._waiting_calls
        if "missing_closings" not in self._off and not waits and self._finish(item, said):
            self._exit.correct("missing_closings")
        if "done_items" not in self._off:
            done = item_objects.done_item(item, said, text_is_open=waits)
            if done is not said:
                self._exit.correct("done_items")
                event = event.having(item=done)
        self._end_call(event, item)

    # -------------------------------------------------------------------------------- calls that wait for the terminal event

    def _end_call(self, event: Event, item: ItemView) -> None:
        """Emit the closing of a text or an item, unless it closes a call with unreadable arguments."""
        if item.own is None or not item.kind.acts or "unreadable_calls" in self._off:
            self._exit.emit(event)
            return
        waiting = self._waiting
        is_unreadable = _is_unreadable(event, item)
        if not waiting and not is_unreadable:
            self._exit.emit(event)
            return
        is_last = event.type == grammar.ITEM_DONE and not is_unreadable
        if is_last and len(waiting) == 1 and _item_id_of(waiting[0]) == item.id:
            self._settle(event, item)
            return
        waiting.append(event)
        self._waiting_calls[item.id] = is_unreadable
        _note_arguments(event, item)
        if len(waiting) > MAX_HELD_EVENTS:
            for closing in self._take_waiting():
                self._exit.emit(closing)

    def _take_waiting(self) -> list[Event]:
        """Return what waits, and forget it; of closings that upstream sent again the last, in the place of the first."""
        latest = {(closing.type, _item_id_of(closing)): closing for closing in self._waiting}
        self._waiting = []
        self._waiting_calls.clear()
        return list(latest.values())

    def _settle(self, done: Event, item: ItemView) -> None:
        """Release the closing of a call's text with what its done item has, since nothing else is held."""
        (closing,) = self._take_waiting()
        run = item.kind.run
        said = done.body["item"].get(run.field) if run is not None else None
        if run is not None and closing.body.get(run.done_field) != said:
            self._exit.correct("unreadable_calls")
            closing = closing.having(**{run.done_field: said})
        self._exit.emit(closing)
        self._exit.emit(done)

    def _end_waiting(self, outcome: str) -> None:
        """Release held closings of calls that the outcome confirms; if the response fails, the calls stay open (ADR 11)."""
        corrected = False
        for closing in self._take_waiting():
            item = self._view.by_id[_item_id_of(closing)]
            if item.closed:
                corrected = True  # closed from the final output, with arguments
            elif outcome == grammar.COMPLETED or not _is_unreadable(closing, item):
                self._exit.emit(self._true_to_text(closing, item))
            else:
                corrected = True
                if outcome == grammar.INCOMPLETE and item.kind is grammar.FUNCTION_CALL:
                    self._exit.emit(_as_incomplete(self._true_to_text(closing, item)))
        if corrected:
            self._exit.correct("unreadable_calls")

    def _true_to_text(self, closing: Event, item: ItemView) -> Event:
        """Return a held closing as it is emitted: a done item agrees with the closing of its text, which came before it."""
        if closing.type != grammar.ITEM_DONE or "done_items" in self._off:
            return closing
        said = closing.body["item"]
        done = item_objects.done_item(item, said, text_is_open=False)
        return closing if done is said else closing.having(item=done)

    # -------------------------------------------------------------------------------------------------------------- the end

    def _fail(self, error: Event) -> None:
        """Emit an error, after closing what may be closed when the response fails."""
        self._close_for_failure()
        self._end_waiting(grammar.FAILED)
        self._exit.emit(error)

    def _close_for_failure(self) -> None:
        if "missing_closings" in self._off:
            return
        closed = self._close_finished_reasoning()
        for item in self._view.open_items():
            if not item.kind.acts:  # clients run calls that are closed, so half of one stays open (ADR 11)
                self._close_item(item, INCOMPLETE, None)
                closed = True
        if closed:
            self._exit.correct("missing_closings")

    def _end_body(self, end: Event) -> None:
        """Emit the terminal event that follows from the end of the body."""
        self._close_for_failure()
        if "unterminated_streams" in self._off:
            return
        self._exit.correct("unterminated_streams")
        view = self._view
        response = response_objects.response_so_far(view, self._context.request)
        response = {**response, "output": item_objects.items_so_far(view)}
        if view.error is not None:
            self._conclude(construct.failed(response, view.error.get("error") or view.error))
        elif end.body["said_done"] and not end.body["half"] and is_whole(view):
            self._conclude(construct.lifecycle(grammar.COMPLETED, response, status=COMPLETED))
        else:
            code, message = REPORTS[end.body["end"]]
            body = construct.error_body(code=code, message=message, error_type="server_error")
            self._end_waiting(grammar.FAILED)
            self._exit.emit(inserted(grammar.ERROR, **body))
            self._conclude(construct.failed(response, body["error"]))

    def _end(self, terminal: Event) -> None:
        """Emit the terminal event, after the closings that upstream did not send."""
        if "missing_closings" not in self._off and self._view.open:
            self._forget_unclosed_calls()
            self._close_open_items(terminal)
        self._conclude(terminal)

    def _forget_unclosed_calls(self) -> None:
        """Forget held closings of texts whose done item never came: such a call is as open as any other."""
        done = {_item_id_of(closing): None for closing in self._waiting if closing.type == grammar.ITEM_DONE}
        self._waiting = [closing for closing in self._waiting if _item_id_of(closing) in done]
        self._waiting_calls = {id_: known for id_, known in self._waiting_calls.items() if id_ in done}

    def _close_open_items(self, terminal: Event) -> None:
        response = terminal.body["response"]
        outcome = outcome_of(terminal)
        match = self._match(response)
        was_cut = hit_token_limit(response)
        closed = False
        for item in self._view.open_items():
            account = match.accounts.get(item.index)
            is_last = match.is_last(item, was_cut=was_cut)
            status = closing_status(item, account, response, outcome, is_last=is_last)
            is_unreadable = self._waiting_calls.get(item.id)
            if status is not None and (is_unreadable is None or (is_unreadable and can_be_read(account))):
                self._close_item(item, status, account)
                closed = True
        if closed:
            self._exit.correct("missing_closings")

    def _conclude(self, terminal: Event) -> None:
        """Emit the terminal event, with the type that its status demands and the emitted items, after the unsent items."""
        response = terminal.body["response"]
        match = self._match(response)
        if "terminal_types" not in self._off:
            is_half = ends_in_half(response, self._view, match) or self._ends_in_open_call(match)
            typed = typed_terminal(terminal, is_half=is_half)
            if typed is not terminal:
                self._exit.correct("terminal_types")
            terminal = typed
        if not terminal.inserted and self._view.error is None and "unsent_items" not in self._off:
            self._emit_unsent(terminal, match)  # behind an error nothing comes but the end
        self._end_waiting(outcome_of(terminal))
        response = terminal.body["response"]
        output = [item_objects.summed_up(item, match.accounts.get(item.index)) for item in self._view.items]
        if output != response.get("output"):
            self._exit.correct("final_output")
            terminal = terminal.having(response={**response, "output": output})
        self._exit.emit(terminal)

    def _ends_in_open_call(self, match: FinalMatch) -> bool:
        """Return whether the last item stays open, or waits to be closed as incomplete.

        A custom tool's call that stays open may be half: nobody knows whether its input is whole.
        """
        item = self._view.items[-1] if self._view.items else None
        if item is None or item.closed or not match.is_last(item):
            return False
        if item.id not in self._waiting_calls:
            return item.kind is grammar.CUSTOM_CALL
        return any(
            closing.type == grammar.ITEM_DONE
            and closing.body["item"]["id"] == item.id
            and closing.body["item"].get("status") == INCOMPLETE
            for closing in self._waiting
        )

    def _emit_unsent(self, terminal: Event, match: FinalMatch) -> None:
        """Emit all events of every item that only the terminal event has."""
        unsent = [item for item in match.unsent if type(item.get("type")) is str and _has_name(item)]
        if not unsent:
            return
        response = terminal.body["response"]
        is_cut = outcome_of(terminal) != grammar.COMPLETED
        namer = ItemNamer(self._view, self._context.request)
        last = unsent[-1]
        for item in unsent:
            index = len(self._view.items)
            status = None
            is_half = is_cut_short(item, response)
            if item is last and not is_cut and (is_half or will_close_as_half(item)):
                status = COMPLETED  # streamed items came after it
            elif is_half or (is_cut and item is last):
                status = INCOMPLETE
            for event in construct.life_of_item(index, namer.named(item, index), status=status):
                self._exit.emit(event)
            match.accounts[index] = item
        self._exit.correct("unsent_items")

    def _match(self, response: Mapping[str, Any]) -> FinalMatch:
        """Return the match of the final output with what was emitted; made anew only if closings have added to it."""
        return match_final(self._view, response.get("output"))

    # --------------------------------------------------------------------------------------------------------- what is closed

    def _close_item(self, item: ItemView, status: str, account: Body | None) -> None:
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
        for parts, field in ((item.summaries, "summary"), (item.parts, "content")):
            said = account.get(field)
            accounts = agreement.accounts_of(parts, said) if any(not part.closed for part in parts) else {}
            for part in parts:
                if not part.closed:
                    self._close_part(item, part, accounts.get(part.index))
        if item.kind.summaries:
            self._emit_parts(item, account.get("summary"), item.summaries, ("summary_text",))
        self._emit_parts(item, account.get("content"), item.parts, item.kind.parts)
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
                self._end_call(closing, item)
                return True
            self._exit.emit(closing)
        return self._exit.tally.events_out != before

    def _emit_parts(
        self, item: ItemView, said: object, parts: list[PartView], types: tuple[str, ...]
    ) -> None:
        """Emit the parts that only an account has, if they are of types that the item can hold."""
        for account in agreement.unsent_parts(said, parts, types):
            self._emit_part(item, account)

    def _emit_part(self, item: ItemView, account: Body) -> None:
        """Emit all events of a part."""
        run = grammar.RUN_OF_PART[account["type"]]  # a part of any other type has no address
        self._emit_all(construct.life_of_part(item, len(item.holders(run)), account))

    def _close_part(self, item: ItemView, part: PartView, account: object) -> None:
        """Close an open part; text that its account adds is emitted first."""
        self._emit_all(construct.end_of_part(item, part, account))

    def _emit_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._exit.emit(event)


# --------------------------------------------------------------------------------------------------------------- what is late


def _is_late(event: Event, item: ItemView) -> bool:
    """Return whether an event of an open item repeats what was emitted, or comes after its place."""
    type_ = event.type
    run = grammar.RUN_OF_EVENT.get(type_)
    if run is not None and run.holder is Holder.ITEM:
        return item.own is not None and item.own.done
    if type_ not in grammar.PART_EVENTS and type_ not in grammar.SUMMARY_EVENTS:
        return _is_behind(type_, item)
    part = part_at(item.parts_of(event), part_index(event))
    if part is None:
        return False
    if type_ in _PART_DONE:
        return part.closed
    if type_ in (grammar.PART_ADDED, grammar.SUMMARY_ADDED):
        return True
    return part.done


def _is_behind(type_: str, item: ItemView) -> bool:
    """Return whether an event reports a step that the item is past; OpenAI itself sends mcp_call.in_progress twice."""
    order = (*item.kind.progress, *item.kind.finish)
    if type_ not in order:
        return False
    ahead = order[order.index(type_) + (type_ == "response.mcp_call.in_progress") :]
    return any(passed in ahead for passed in item.progress)


# ----------------------------------------------------------------------------------------------------------- what closings say


def _item_id_of(event: Event) -> str:
    """Return the client's id of the item that a closing belongs to."""
    id_: str = event.body["item"]["id"] if event.type == grammar.ITEM_DONE else event.body["item_id"]
    return id_


def _place_of(event: Event) -> object:
    """Return what a closing closes: two closings of one place are the same closing."""
    return _part_place_of(event) if event.type in _PART_DONE else (event.type, False, part_index(event))


def _part_place_of(event: Event) -> object:
    return ("part", event.type in grammar.SUMMARY_EVENTS, part_index(event))


def _says_less(closing: Event, account: Body) -> bool:
    """Return whether a text's done event is empty, or only the beginning of the text in an account of its item."""
    run = grammar.RUN_OF_DONE.get(closing.type)
    if run is None:
        return False
    holder: object = account
    if run.holder is not Holder.ITEM:
        parts = account.get("summary" if run.holder is Holder.SUMMARY else "content")
        index = part_index(closing)
        holder = (
            parts[index] if type(parts) is list and type(index) is int and 0 <= index < len(parts) else None
        )
    said = closing.body[run.done_field]
    if type(holder) is not dict or (run.is_json and said and agreement.are_arguments(said)):
        return False  # arguments that can be read are whole
    return bool(agreement.tail(said, holder.get(run.field)))


def _says_more(account: Body, done: Body, item: ItemView) -> bool:
    """Return whether the final item holds more than the done item: more text, or readable arguments."""
    if done["type"] != account.get("type"):
        return False
    kind = item_kind(done["type"])
    run = kind.run
    if run is None:
        account = with_text_in_place(account, item)
        adds_summary = bool(account.get("summary")) and not done.get("summary") and not item.summaries
        return adds_summary or bool(agreement.tail(text_of(done), text_of(account)))
    said, final = done.get(run.field), account.get(run.field)
    if type(said) is not str or type(final) is not str:
        return False
    if run.is_json:
        # Emitted arguments are kept if they can be read (issue 12, K6); a brace too many makes them unreadable (R49).
        return not agreement.are_arguments(said) and agreement.are_arguments(final)
    streamed = item.own.text if item.own is not None else ""
    return bool(agreement.tail(final, streamed) or agreement.tail(said, final))


def _repeats_others(said: str, sent: str, view: ClientView) -> bool:
    """Return whether a done event holds the arguments of the calls before it, followed by its own (R49)."""
    if not sent or not said.endswith(sent):
        return False
    for item in reversed(view.items):
        if item.own is not None and item.own.length:
            own = item.own.text
            if not said.endswith(own):
                return own.endswith(said)
            said = said[: len(said) - len(own)]
            if not said:
                return True
    return False


def _is_unreadable(event: Event, item: ItemView) -> bool:
    """Return whether a closing calls a call complete but leaves it without readable arguments."""
    if event.type == grammar.ITEM_DONE and event.body["item"].get("status") == INCOMPLETE:
        return False  # upstream itself reports it
    said = _arguments_in(event, item)
    if item.kind is grammar.FUNCTION_CALL:
        return not agreement.are_arguments(str(said or ""))
    # Any input can be read; but if no delta of it came, it may have been lost.
    return said in ("", None) and (item.own is None or item.own.last is None)


def _note_arguments(closing: Event, item: ItemView) -> None:
    """Remember what the closing of a call says that is not emitted yet: it is surer than its deltas."""
    said = _arguments_in(closing, item) if item.kind.acts else None
    if item.own is not None and type(said) is str and said:
        item.own.waiting = said


def _arguments_in(closing: Event, item: ItemView) -> object:
    """Return the arguments, or the input, in the closing of a call or of its text."""
    run = item.kind.run
    holder: Body = closing.body["item"] if closing.type == grammar.ITEM_DONE else closing.body
    return holder.get(run.field) if run is not None else None


def _as_incomplete(event: Event) -> Event:
    if event.type != grammar.ITEM_DONE:
        return event
    return event.having(item={**event.body["item"], "status": INCOMPLETE})


def _has_name(item: Mapping[str, Any]) -> bool:
    """Return whether an item has a name, if it is a call that must have one: names are never guessed."""
    name = item.get("name")
    return "name" not in item_kind(item.get("type")).required or (isinstance(name, str) and name != "")


class NamelessCalls:
    """Pieces of calls that cannot be announced yet, because their name is unknown."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: dict[str, list[str]] = {}
        self._size = 0

    def keep(self, event: Event, id_: str) -> None:
        """Keep a piece of the arguments or input, or all of it."""
        run = grammar.RUN_OF_EVENT.get(event.type)
        if run is None or run.holder is not Holder.ITEM or self._size > MAX_TEXT_BYTES:
            return
        piece = event.body.get("delta" if event.type == run.delta else run.done_field)
        if type(piece) is str and piece:
            self._size += len(piece)
            if event.type == run.delta:
                self._pieces.setdefault(id_, []).append(piece)
            else:
                self._pieces[id_] = [piece]

    def restored(self, item: Body) -> Body:
        """Return a done item with the pieces that were kept of it, if it has no readable arguments itself."""
        pieces = self._pieces.pop(item["id"], None)
        run = item_kind(item["type"]).run
        if pieces is None or run is None:
            return item
        said, came = item.get(run.field), "".join(pieces)
        is_readable = said != "" and (not run.is_json or agreement.are_arguments(str(said)))
        return (
            item
            if is_readable or (run.is_json and not agreement.are_arguments(came))
            else {**item, run.field: came}
        )


_PROCEED: Final[dict[str, Callable[[ResponsesCompleter, Event], None]]] = {
    **{run.delta: ResponsesCompleter._grow for run in grammar.TEXT_RUNS if run.holder is not Holder.ITEM},  # noqa: SLF001 - the table of this class's own methods
    **dict.fromkeys(grammar.RUN_OF_DONE, ResponsesCompleter._end_text),  # noqa: SLF001
    **dict.fromkeys(grammar.TERMINAL, ResponsesCompleter._end),  # noqa: SLF001
    **dict.fromkeys((grammar.PART_ADDED, grammar.SUMMARY_ADDED), ResponsesCompleter._add_part),  # noqa: SLF001
    **dict.fromkeys(_PART_DONE, ResponsesCompleter._end_part),  # noqa: SLF001
    grammar.ANNOTATION_ADDED: ResponsesCompleter._grow,  # noqa: SLF001
    grammar.ITEM_ADDED: ResponsesCompleter._announce,  # noqa: SLF001
    grammar.ITEM_DONE: ResponsesCompleter._end_item,  # noqa: SLF001
    grammar.ERROR: ResponsesCompleter._fail,  # noqa: SLF001
    END: ResponsesCompleter._end_body,  # noqa: SLF001
}
