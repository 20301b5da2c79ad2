"""The third station: what the client must be sent before, with and after an event for it to make sense.

Theory of operation. An event that comes here is readable and says by the client's own names which item and part it is about
(:mod:`.address`). The client's view holds what the client has been sent. Whatever an event needs before it is emitted first:
the openings of the response, the announcement of its item and part, the closings of what it ends. What was emitted already, or
may no longer be emitted, is dropped. Every such correction is named (``CORRECTIONS`` in :mod:`.corrections`) and counted.

Events are emitted at once, one after the other, so the view is always up to date and nothing here plans ahead. What waits for
a later event, and what is made of events that never came, has a module each: deltas of arguments that lost their beginning
(:mod:`.headless`), pieces of calls without a name (:mod:`.nameless`), closings that wait for the next event
(:mod:`.held_closings`) or for the terminal one (:mod:`.unreadable_calls`), and closings that are missing
(:mod:`.missing_closings`).

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
from vllm_sse_proxy.families.responses.final_match import FinalMatch, match_final
from vllm_sse_proxy.families.responses.grammar import Holder, TextRun, item_kind
from vllm_sse_proxy.families.responses.headless import HeadlessArguments
from vllm_sse_proxy.families.responses.held_closings import CLOSINGS, HeldClosings
from vllm_sse_proxy.families.responses.ids import ItemNamer
from vllm_sse_proxy.families.responses.item_fields import COMPLETED, INCOMPLETE
from vllm_sse_proxy.families.responses.missing_closings import MissingClosings
from vllm_sse_proxy.families.responses.nameless import NamelessCalls
from vllm_sse_proxy.families.responses.outcome import (
    ends_in_half,
    is_cut_short,
    is_whole,
    outcome_of,
    typed_terminal,
    will_close_as_half,
)
from vllm_sse_proxy.families.responses.unreadable_calls import UnreadableCalls
from vllm_sse_proxy.families.responses.view import PartView, part_at, part_index
from vllm_sse_proxy.stream.ending import REPORTS
from vllm_sse_proxy.stream.event import END
from vllm_sse_proxy.stream.stations import Completer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vllm_sse_proxy.families.responses.view import ClientView, ItemView, RunView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.exit import Exit

_ABOUT_ITEMS: Final = grammar.ITEM_EVENTS | grammar.OF_ITEMS | grammar.ITEM_ID_EVENTS


class ResponsesCompleter(Completer):
    """The third station of one stream."""

    def __init__(self, context: StreamContext, view: ClientView, exit_: Exit) -> None:
        self._context = context
        self._view = view
        self._exit = exit_
        self._off = context.disabled
        self._addresser = Addresser(context, view, exit_)
        self._headless = HeadlessArguments(context, view, exit_)
        self._closings = HeldClosings(context, view, exit_)
        self._unreadable = UnreadableCalls(context, view, exit_)
        self._missing = MissingClosings(context, view, exit_, self._unreadable)
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
        for closing in self._closings.give_up():
            self._proceed(closing)

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
        if type_ in _ABOUT_ITEMS:
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
        if event.type in grammar.OF_ITEMS:
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
            # No client can run a call without a name; the terminal event may have it.
            self._exit.drop("item_openings", done)
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
        closings = self._closings
        if not closings.held and event.type not in CLOSINGS:
            self._proceed(event)
            return
        for ready in closings.take(event):
            self._proceed(ready)

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
        self._missing.close_finished_reasoning()
        self._exit.emit(event)

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
            self._missing.close_open_parts(item)
            self._exit.emit(construct.part_added(item, run, index))

    def _add_part(self, event: Event) -> None:
        """Announce a part with a type that its item can hold, after closing the part before it."""
        item = self._view.by_id.get(event.body["item_id"])
        if item is not None and "part_openings" not in self._off:
            typed = item_objects.typed_part(event, item)
            if self._missing.close_open_parts(item) or typed is not event:
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
        self._unreadable.end(event, item)

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
                self._missing.close_open_parts(item)
                self._missing.emit_part(item, typed.body["part"])
                return
            if typed is not event:
                self._exit.correct("part_openings")
            event = typed
        part = part_at(parts, index)
        if part is not None:
            said = event.body["part"]
            self._missing.finish_text(item, part, said)
            if "done_texts" not in self._off and not agreement.is_part_as_emitted(part, said):
                self._exit.correct("done_texts")
                event = event.having(part=item_objects.emitted_part(part, said))
        self._exit.emit(event)

    def _end_item(self, event: Event) -> None:
        """Emit the closing of an item with what was streamed of it, after the closings of its texts and parts."""
        said = event.body["item"]
        item = self._view.by_id.get(said["id"])
        if item is None:
            self._exit.emit(event)
            return
        waits = self._unreadable.waits(item)
        if not waits:
            self._missing.finish_item(item, said)
        if "done_items" not in self._off:
            done = item_objects.done_item(item, said, text_is_open=waits)
            if done is not said:
                self._exit.correct("done_items")
                event = event.having(item=done)
        self._unreadable.end(event, item)

    # -------------------------------------------------------------------------------------------------------------- the end

    def _fail(self, error: Event) -> None:
        """Emit an error, after closing what may be closed when the response fails."""
        self._missing.close_for_failure()
        self._unreadable.release(grammar.FAILED)
        self._exit.emit(error)

    def _end_body(self, end: Event) -> None:
        """Emit the terminal event that follows from the end of the body."""
        self._missing.close_for_failure()
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
            error = construct.error(code=code, message=message, error_type="server_error")
            self._unreadable.release(grammar.FAILED)
            self._exit.emit(error)
            self._conclude(construct.failed(response, error.body["error"]))

    def _end(self, terminal: Event) -> None:
        """Emit the terminal event, after the closings that upstream did not send."""
        self._missing.close_open_items(terminal)
        self._conclude(terminal)

    def _conclude(self, terminal: Event) -> None:
        """Emit the terminal event, with the type that its status demands and the emitted items, after the unsent items."""
        response = terminal.body["response"]
        match = match_final(self._view, response.get("output"))
        if "terminal_types" not in self._off:
            is_half = ends_in_half(response, self._view, match) or self._unreadable.ends_in_open_call(match)
            typed = typed_terminal(terminal, is_half=is_half)
            if typed is not terminal:
                self._exit.correct("terminal_types")
            terminal = typed
        if not terminal.inserted and self._view.error is None and "unsent_items" not in self._off:
            self._emit_unsent(terminal, match)  # behind an error nothing comes but the end
        self._unreadable.release(outcome_of(terminal))
        response = terminal.body["response"]
        output = [item_objects.summed_up(item, match.accounts.get(item.index)) for item in self._view.items]
        if output != response.get("output"):
            self._exit.correct("final_output")
            terminal = terminal.having(response={**response, "output": output})
        self._exit.emit(terminal)

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
    if type_ in grammar.PARTS_DONE:
        return part.closed
    if type_ in grammar.PARTS_ADDED:
        return True
    return part.done


def _is_behind(type_: str, item: ItemView) -> bool:
    """Return whether an event reports a step that the item is past; OpenAI itself sends mcp_call.in_progress twice."""
    order = (*item.kind.progress, *item.kind.finish)
    if type_ not in order:
        return False
    ahead = order[order.index(type_) + (type_ == "response.mcp_call.in_progress") :]
    return any(passed in ahead for passed in item.progress)


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


def _has_name(item: Mapping[str, Any]) -> bool:
    """Return whether an item has a name, if it is a call that must have one: names are never guessed."""
    name = item.get("name")
    return "name" not in item_kind(item.get("type")).required or (isinstance(name, str) and name != "")


_PROCEED: Final[dict[str, Callable[[ResponsesCompleter, Event], None]]] = {
    **{run.delta: ResponsesCompleter._grow for run in grammar.TEXT_RUNS if run.holder is not Holder.ITEM},  # noqa: SLF001 - the table of this class's own methods
    **dict.fromkeys(grammar.RUN_OF_DONE, ResponsesCompleter._end_text),  # noqa: SLF001
    **dict.fromkeys(grammar.TERMINAL, ResponsesCompleter._end),  # noqa: SLF001
    **dict.fromkeys(grammar.PARTS_ADDED, ResponsesCompleter._add_part),  # noqa: SLF001
    **dict.fromkeys(grammar.PARTS_DONE, ResponsesCompleter._end_part),  # noqa: SLF001
    grammar.ANNOTATION_ADDED: ResponsesCompleter._grow,  # noqa: SLF001
    grammar.ITEM_ADDED: ResponsesCompleter._announce,  # noqa: SLF001
    grammar.ITEM_DONE: ResponsesCompleter._end_item,  # noqa: SLF001
    grammar.ERROR: ResponsesCompleter._fail,  # noqa: SLF001
    END: ResponsesCompleter._end_body,  # noqa: SLF001
}
