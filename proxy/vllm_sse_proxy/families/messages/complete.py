"""The third station: what the client must be sent before, with and after an event for it to make sense.

Theory of operation. One block is open at a time, so most of the work is to stop the right one at the right moment. Anthropic's
clients act on what is stopped: Claude Code takes a text whose block was stopped for the answer, even if an error follows, and
every client runs a call whose input was cut, with ``{}``. So three things wait:

*The stop of a block*, and the signature before it, wait for the next event of the message, which follows at once: vLLM stops a
block when it has something else to send (``held_stops``). An error leaves the block open. A heartbeat says that time passes,
and releases the stop; that of a call that was cut it does not.

*What follows a call that was cut* decides: if ``message_delta`` says that the token limit was hit, the stop leaves. Anything
else means that the rest of the input was lost, and the stream ends as an error in place of the stop (``cut_calls``).

*Blocks and deltas that come into a call* before its input is whole wait for its end (``block_kinds``): one block is open at a
time, and to stop the call there would cut it. Words do so even if
upstream stopped the call (A11), since the rest of its input may follow.

What upstream did not finish ends as an error. No stop reason is made up.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.error_reports import API_ERROR, OVERLOADED, TIMEOUT
from vllm_sse_proxy.families.messages.events import (
    block_start,
    block_stop,
    delta_of,
    delta_type,
    error_event,
    inserted,
)
from vllm_sse_proxy.families.messages.request import ended_by_itself, model_of, required_of, requires_input
from vllm_sse_proxy.families.messages.results import Result, is_same, reason_of, result_of, with_counts
from vllm_sse_proxy.families.texts.lost_braces import has_lost_its_brace
from vllm_sse_proxy.stream.ending import REPORTS, BodyEnd
from vllm_sse_proxy.stream.event import END, Event
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS
from vllm_sse_proxy.stream.stations import Completer

if TYPE_CHECKING:
    from vllm_sse_proxy.families.messages.view import BlockView, MessageView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body
    from vllm_sse_proxy.stream.exit import Exit

_OF_BLOCKS: Final = frozenset({grammar.BLOCK_START, grammar.BLOCK_DELTA, grammar.BLOCK_STOP})
_EMPTY_BLOCKS: Final[dict[str, dict[str, Any]]] = {
    grammar.TEXT: {"type": grammar.TEXT, "text": ""},
    grammar.THINKING: {"type": grammar.THINKING, "thinking": "", "signature": ""},
}
"""What a block starts with that upstream did not start."""
_STARTING_COUNTS: Final = ("input_tokens", "output_tokens")
_FINAL_COUNTS: Final = ("output_tokens",)
_TYPE_OF_END: Final = {BodyEnd.IDLE_TIMEOUT: TIMEOUT, BodyEnd.SHUTDOWN: OVERLOADED}
_CUT_CALL: Final = "The upstream server lost the end of a tool call; please send the request again."
_ABORTED: Final = "The upstream server aborted the message; please send the request again."
_LOST_CALL: Final = "The upstream server lost a tool call; please send the request again."
_NO_REASON: Final = "The upstream server ended the message without a stop reason."
_OWN_ENDS: Final = frozenset({grammar.TOOL_USE, grammar.END_TURN})
"""Stop reasons of a model that ended by itself."""
_SIGNED_BY: Final = "vllm-sse-proxy"


class MessagesCompleter(Completer):
    """One stream's third station."""

    def __init__(self, context: StreamContext, view: MessageView, exit_: Exit) -> None:
        self._request = context.request
        self._off = context.disabled
        self._view = view
        self._exit = exit_
        self._index: object = None
        """upstream's index of the block that is open"""
        self._stop: Event | None = None
        """the stop of the open block, which waits for the next event"""
        self._signature: Event | None = None
        """the signature of the open block, which waits for its stop"""
        self._signed_at = 0
        """the size of the view when it came"""
        self._waiting: list[Event] = []
        """events of other blocks that came before the input of the open call was whole"""

    # ------------------------------------------------------------------------------------------------------------ the way in

    def complete(self, event: Event) -> None:
        """Emit an event, and whatever must come before it; or drop it."""
        type_ = event.type
        if self._view.outcome is not None:  # one that a repair released together with the last
            self._exit.drop("message_closings", event)
        elif type_ in _OF_BLOCKS:
            self._take_or_wait(event)
        elif type_ == grammar.PING:
            self._take_ping(event)
        elif type_ == grammar.ERROR:
            self._drop_stop()
            self._exit.emit(event)
        elif type_ == grammar.MESSAGE_START:
            self._start_message(event)
        elif type_ == grammar.MESSAGE_DELTA:
            self._take_result(event)
        elif type_ == grammar.MESSAGE_STOP:
            self._stop_message(event)
        elif type_ is END:
            self._end(event)
        else:
            self.release()
            self._exit.emit(event)

    def release(self) -> None:
        """Emit the stop that waits, unless it is that of a cut call: upstream's heartbeat says that time passes."""
        block = self._view.open
        if block is None:
            return
        if self._signature is not None:
            self._sign(block)
        if self._stop is not None and not self._is_cut(block):
            self._close(None)

    def _take_ping(self, event: Event) -> None:
        if not self._view.is_started and "message_openings" not in self._off:
            self._exit.drop("message_openings", event)
            return
        self.release()
        self._exit.emit(event)

    # --------------------------------------------------------------------------------------------------- the message's opening

    def _start_message(self, event: Event) -> None:
        if "message_openings" in self._off:
            self._exit.emit(event)
            return
        if self._view.is_started:
            self._exit.drop("message_openings", event)
            if self._is_open_cut():  # the message begins again: what follows is not the rest of the call
                self._close(event)
            return
        message = event.body.get("message")
        given: Body = message if type(message) is dict else {}
        wanted = self._opening(given)
        if not is_same(message, wanted):
            self._exit.correct("message_openings")
            event = event.having(message=wanted)
        self._exit.emit(event)

    def _opening(self, message: Body) -> Body:
        """Return the message of ``message_start`` with all of its members."""
        id_, model = message.get("id"), message.get("model")
        return {
            **message,
            "id": id_ if type(id_) is str and id_ else f"msg_{self._digest('message')}",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": model if type(model) is str else model_of(self._request),
            "stop_reason": None,
            "stop_sequence": None,
            "usage": with_counts(message.get("usage"), {}, _STARTING_COUNTS),
        }

    def _open_message(self) -> None:
        """Insert ``message_start`` before the first block, if upstream sent none."""
        if not self._view.is_started and "message_openings" not in self._off:
            self._exit.correct("message_openings")
            self._exit.emit(inserted(grammar.MESSAGE_START, message=self._opening({})))

    def _digest(self, what: str) -> str:
        """Return what an id or a signature of the proxy's own is made of: the same for every replay of a stream."""
        seed = f"{self._view.id or self._request.seed}\0{what}"
        return hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:32]

    # ----------------------------------------------------------------------------------------------------------------- blocks

    def _take_or_wait(self, event: Event) -> None:
        if not self._must_wait(event):
            self._take_of_block(event)
            if self._waiting and self._stop is not None and not self._is_open_cut():
                self._let_waiting_go()  # the rest of the input came behind the stop
            return
        self._waiting.append(event)
        if len(self._waiting) > MAX_HELD_EVENTS:
            self._let_waiting_go()

    def _must_wait(self, event: Event) -> bool:
        """Return whether an event of another block comes into a call whose input is not whole."""
        block = self._view.open
        if block is None or block.input is None or "block_kinds" in self._off or self._view.has_result:
            return False
        if self._is_of(event, block):
            return False
        if self._stop is not None:  # only words may come between the pieces of a call
            return self._is_cut(block) and not _starts_other(event)
        return bool(self._waiting) or _is_unfinished(block)

    def _is_whole_for_others(self) -> bool:
        """Return whether a block is open for whose end nothing waits any longer."""
        block = self._view.open
        if block is None or self._is_cut(block):
            return False
        return self._stop is not None or not _is_unfinished(block)

    def _is_of(self, event: Event, block: BlockView) -> bool:
        """Return whether a delta or a stop belongs to the open block."""
        if event.type == grammar.BLOCK_START:
            return False
        index = event.body.get("index")
        if type(index) is int and type(self._index) is int and index != self._index:
            return False
        return event.type == grammar.BLOCK_STOP or _fits(event, block)

    def _let_waiting_go(self) -> None:
        """Take the events that wait; the call that they wait for is stopped, or cut.

        One that is whole is stopped by the first of them that needs it: if none does, an error may be what follows.
        """
        waiting, self._waiting = self._waiting, []
        if self._is_whole_for_others() or self._close(waiting[0]):
            for event in waiting:
                self.complete(event)

    def _take_of_block(self, event: Event) -> None:
        if self._view.has_result and "message_closings" not in self._off:
            self._exit.drop("message_closings", event)
            return
        self._open_message()
        if event.type == grammar.BLOCK_START:
            if self._close(event):
                self._start_block(event)
        elif event.type == grammar.BLOCK_DELTA:
            self._take_delta(event)
        else:
            self._take_stop(event)

    def _start_block(self, event: Event) -> None:
        self._index = event.body.get("index")
        self._exit.emit(self._indexed(event, len(self._view.blocks)))

    def _indexed(self, event: Event, index: int) -> Event:
        """Return an event of a block with the index of that block."""
        given = event.body.get("index")
        if (type(given) is int and given == index) or "block_indexes" in self._off:
            return event
        self._exit.correct("block_indexes")
        return event.having(index=index)

    def _take_delta(self, event: Event) -> None:
        block = self._view.open
        if block is None or not self._fits_open(event, block):
            self._take_misfit(event)
        elif delta_type(event) == grammar.SIGNATURE_DELTA and "thinking_signatures" not in self._off:
            self._take_signature(event, block)
        elif _is_whole(block) and "call_inputs" not in self._off and not _is_blank(event):
            self._exit.drop("call_inputs", event)
        else:
            if self._stop is not None:
                self._exit.correct("held_stops")  # it goes to the end of the block
            self._exit.emit(self._indexed(event, block.index))

    def _take_signature(self, event: Event, block: BlockView) -> None:
        """Let a signature wait for the stop of its block; of several the last one, if none has left yet."""
        if block.is_signed:
            self._exit.drop("thinking_signatures", event)
            return
        if self._signature is not None:
            self._exit.drop("thinking_signatures", self._signature)
        self._signature = event
        self._signed_at = self._view.size

    def _fits_open(self, event: Event, block: BlockView) -> bool:
        """Return whether a delta goes on with the open block; one that is for another index may, if nothing else is open."""
        index = event.body.get("index")
        is_named = type(index) is not int or type(self._index) is not int or index == self._index
        if block.is_signed and delta_type(event) == grammar.THINKING_DELTA:
            return "thinking_signatures" in self._off
        return _fits(event, block) and (is_named or (self._stop is None and block.input is None))

    def _take_misfit(self, event: Event) -> None:
        """Start the block that a delta needs; drop a delta that cannot have one."""
        if "block_kinds" in self._off:
            self._exit.emit(event)
            return
        type_ = delta_type(event)
        needed = grammar.BLOCK_OF_DELTA.get(type_, "")
        content = _EMPTY_BLOCKS.get(needed)
        if content is None or type_ == grammar.SIGNATURE_DELTA or self._is_empty(event, type_):
            self._exit.drop("block_kinds", event)
            return
        self._exit.correct("block_kinds")
        self._close(event)  # which is not a cut call: words that come into one wait
        self._index = event.body.get("index")
        index = len(self._view.blocks)
        self._exit.emit(block_start(index, {**content}))
        self._exit.emit(self._indexed(event, index))

    def _is_empty(self, event: Event, type_: str) -> bool:
        return delta_of(event).get(grammar.WORDS_OF_DELTA.get(type_, "")) == ""

    def _take_stop(self, event: Event) -> None:
        block = self._view.open
        index = event.body.get("index")
        is_others = (
            type(index) is int
            and type(self._index) is int
            and index != self._index
            and index < len(self._view.blocks)
        )
        if block is None or self._stop is not None or is_others:
            if "block_closings" in self._off:
                self._exit.emit(event)
            else:
                self._exit.drop("block_closings", event)
            return
        self._stop = event
        if self._waiting:
            self._let_waiting_go()
        elif "held_stops" in self._off and not ("cut_calls" not in self._off and self._is_cut(block)):
            self._close(None)

    # ---------------------------------------------------------------------------------------------------- the end of a block

    def _close(self, following: Event | None) -> bool:
        """Stop the open block; return whether the stream goes on.

        :param following: the event that comes next; None where nothing but time decides.
        """
        block = self._view.open
        if block is None:
            return True
        if self._is_cut(block) and not _may_be_cut(following) and not self._restore_end(block, following):
            self._fail("cut_calls", API_ERROR, _CUT_CALL)
            return False
        stop, self._stop = self._stop, None
        self._sign(block)
        if stop is not None:
            self._exit.emit(self._indexed(stop, block.index))
        elif "block_closings" not in self._off:
            self._exit.correct("block_closings")
            self._exit.emit(block_stop(block.index))
        return True

    def _sign(self, block: BlockView) -> None:
        """Emit the signature that waits for the stop of its block, or one of the proxy's own if upstream sent none."""
        signature, self._signature = self._signature, None
        if signature is not None:
            if self._view.size != self._signed_at:  # words came behind it
                self._exit.correct("thinking_signatures")
            self._exit.emit(self._indexed(signature, block.index))
        elif (
            block.type == grammar.THINKING and not block.is_signed and "thinking_signatures" not in self._off
        ):
            self._exit.correct("thinking_signatures")
            text = f"{_SIGNED_BY}:{self._digest(str(block.index))}"
            delta = {"type": grammar.SIGNATURE_DELTA, "signature": text}
            self._exit.emit(inserted(grammar.BLOCK_DELTA, index=block.index, delta=delta))

    def _is_cut(self, block: BlockView) -> bool:
        """Return whether the open block is a call that must not be run: its input has no end, or is empty and may not be."""
        scanner = None if block.input is None else block.input.scanner
        if scanner is None or block.type != grammar.TOOL_USE or "cut_calls" in self._off:
            return False
        if scanner.is_empty:
            return requires_input(self._request, block.name)
        return scanner.is_cut

    def _is_open_cut(self) -> bool:
        """Return whether a block is open that is a cut call."""
        block = self._view.open
        return block is not None and self._is_cut(block)

    def _restore_end(self, block: BlockView, following: Event | None) -> bool:
        """Emit the last brace of the last call, if it is certain that nothing else was lost; return whether it was (C46)."""
        text = block.input
        if text is None or following is None or "call_inputs" in self._off:
            return False
        if not has_lost_its_brace(text.text, text.scanner, required_of(self._request, block.name)):
            return False
        usage = following.body.get("usage")
        tokens = usage.get("output_tokens") if type(usage) is dict else None
        if reason_of(following) not in _OWN_ENDS or not ended_by_itself(self._request, tokens):
            return False
        self._exit.correct("call_inputs")
        delta = {"type": grammar.INPUT_DELTA, "partial_json": "}"}
        self._exit.emit(inserted(grammar.BLOCK_DELTA, index=block.index, delta=delta))
        return True

    # ---------------------------------------------------------------------------------------------------- the message's ending

    def _take_result(self, event: Event) -> None:
        """Take ``message_delta``: it says why the message ends."""
        view = self._view
        if not view.is_started and "message_openings" not in self._off:
            self._fail("message_openings", API_ERROR, _NO_REASON)
            return
        if view.has_result and "message_closings" not in self._off:
            self._exit.drop("message_closings", event)
            return
        if self._waiting and (reason_of(event) or "stop_reasons" in self._off):
            self._let_waiting_go()
        if view.outcome is None:
            self._emit_result(event)

    def _emit_result(self, event: Event) -> None:
        """Emit ``message_delta`` with its true reason, behind the stop of the last block."""
        result, true = Result.AS_IT_IS, event
        if "stop_reasons" not in self._off:
            result, true = result_of(event, self._view, self._request)
        if result is Result.ABORTED:
            self._fail("stop_reasons", OVERLOADED, _ABORTED)
        elif result is Result.LOST_CALL:
            self._fail("stop_reasons", API_ERROR, _LOST_CALL)
        elif self._close(true):
            if result is Result.CORRECTED:
                self._exit.correct("stop_reasons")
            self._exit.emit(self._counted(true))

    def _counted(self, event: Event) -> Event:
        """Return ``message_delta`` with its counts."""
        if "usage_counts" in self._off:
            return event
        usage = event.body.get("usage")
        wanted = with_counts(usage, self._view.counts, _FINAL_COUNTS)
        if is_same(usage, wanted):
            return event
        self._exit.correct("usage_counts")
        return event.having(usage=wanted)

    def _stop_message(self, event: Event) -> None:
        view = self._view
        if not view.has_result and "message_closings" not in self._off:
            self._fail("message_closings", API_ERROR, _NO_REASON)
            return
        self._exit.emit(event)

    def _end(self, event: Event) -> None:
        """End a message whose end upstream did not send."""
        if "message_closings" in self._off:
            return
        if self._view.has_result:
            self._exit.correct("message_closings")
            self._exit.emit(inserted(grammar.MESSAGE_STOP))
            return
        end: BodyEnd = event.body["end"]
        _, message = REPORTS[end]
        self._fail("message_closings", _TYPE_OF_END.get(end, API_ERROR), message)

    def _fail(self, name: str, type_: str, message: str) -> None:
        """End the message as failed. The open block stays open: clients take what is stopped for whole.

        :param name: of the correction that this is.
        """
        self._exit.correct(name)
        self._drop_stop(name)
        self._waiting.clear()
        self._exit.emit(error_event(type_, message))

    def _drop_stop(self, name: str = "") -> None:
        """Leave the open block open.

        :param name: of the correction that does so; empty where an error of upstream's does.
        """
        dropped = [event for event in (self._signature, self._stop) if event is not None]
        self._signature = self._stop = None
        if dropped and name != "cut_calls":
            self._exit.correct("held_stops")
        self._exit.tally.events_dropped += len(dropped)


def _is_unfinished(block: BlockView) -> bool:
    """Return whether the input of a call has no end yet."""
    return block.input is not None and (block.input.scanner.is_cut or block.input.scanner.is_empty)


def _is_whole(block: BlockView) -> bool:
    """Return whether the input of a call is a whole object."""
    return block.input is not None and block.input.scanner.is_complete and block.input.scanner.is_object


def _is_blank(event: Event) -> bool:
    """Return whether a piece of an input adds nothing to it, or is of another type."""
    piece = delta_of(event).get("partial_json")
    return type(piece) is not str or not piece.strip()


def _fits(event: Event, block: BlockView) -> bool:
    """Return whether a delta is of a type that a block takes; of types that nobody knows each does."""
    type_ = delta_type(event)
    kind = grammar.BLOCKS.get(block.type)
    return kind is None or type_ in kind.deltas or type_ not in grammar.BLOCK_OF_DELTA


def _starts_other(event: Event) -> bool:
    """Return whether an event starts a block of neither text nor thinking."""
    block = event.body.get("content_block")
    return (
        event.type == grammar.BLOCK_START and type(block) is dict and block.get("type") not in _EMPTY_BLOCKS
    )


def _may_be_cut(following: Event | None) -> bool:
    """Return whether the event that follows a call says that a limit cut it."""
    if following is None or following.type != grammar.MESSAGE_DELTA:
        return False
    return reason_of(following) in grammar.CUT_REASONS
