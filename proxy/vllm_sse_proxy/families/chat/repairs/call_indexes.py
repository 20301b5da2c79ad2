"""The numbers of calls (C14, C15, C28, C42): 0, 1, 2… per choice, in the order in which they appear.

vLLM numbered them from 1, by the choice's index, two on one number, or the tail of a call by the number of the next. With a
first index of 1 openai-python's helper raises an IndexError; two calls on one number become one with joined arguments.

An id that was not seen opens the next number. A piece without one goes to the call that upstream's number last meant, and one
that can only be a tail, since it has neither id nor name and begins nothing, to the call that is open.

If the next call begins while the open one has no arguments yet, or is cut in the middle of them, its pieces wait until those
have their end, or the choice has: LlamaIndex makes six calls of two that are interleaved, and openai-python's helper raises
where the second head follows the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import (
    PIECE_TYPES,
    arguments_of,
    id_of,
    name_of,
    number_of,
    piece_of,
    with_piece,
)
from vllm_sse_proxy.families.chunks import FINISH, OVER, choice_of, index_of
from vllm_sse_proxy.stream.repair import PASS, Released, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import CallView, ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.repair import Verdict


class _Calls:
    """The calls of one choice, as upstream names them.

    :ivar numbers: upstream's number → the right one.
    :ivar ids: id → the right number.
    :ivar names: the name of each call that has begun, in their order; empty while it has none.
    """

    __slots__ = ("ids", "names", "numbers")

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.ids: dict[str, int] = {}
        self.names: list[str] = []


class CallIndexes(Repair):
    """Number calls by their appearance, and let none of them be interleaved."""

    __slots__ = ("_choices", "_open")

    name: ClassVar = "call_indexes"
    summary: ClassVar = (
        "calls are numbered 0, 1, 2… by their appearance, and the pieces of each come together"
    )
    fixes: ClassVar = ("C14", "C15", "C28", "C42")
    handles: ClassVar = PIECE_TYPES | OVER

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._choices: dict[int, _Calls] = {}
        self._open: dict[int, tuple[int, CallView]] = {}
        """choice → number of the call whose end others wait for, and that call"""

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Return the piece with its number; hold it if an earlier call has no end yet."""
        if event.type in OVER:
            return None
        choice = choice_of(event)
        index = index_of(choice)
        piece = piece_of(event)
        if piece is None:
            return self._without_piece(event, index)
        calls = self._choices.get(index)
        if calls is None:
            calls = self._choices[index] = _Calls()
        last = _last(view, index)
        begun = len(calls.names)
        number = self._number(piece, calls, last, len(view.choice(index).calls))
        right = event if number == number_of(piece) else with_piece(event, {**piece, "index": number})
        if index in self._open:
            return self._waiting(right, index, number)
        if number == begun and last is not None and _is_unfinished(last) and event.type != FINISH:
            self._open[index] = (number - 1, last)
            self.held.append(right)
            return Released(())
        if right is not event:
            return [right]
        return PASS if self.held else None

    def watches(self, type_: str, view: ChatView) -> str | None:  # noqa: ARG002 - words say nothing of numbers
        """Watch no words: pieces that are spelled alike have the same number."""
        return ""

    def _without_piece(self, event: Event, index: int) -> Verdict | None:
        """Let a chunk without calls pass; a finish releases what waits."""
        if event.type == FINISH and index in self._open:
            del self._open[index]
            return None
        return PASS if self.held else None

    def _number(self, piece: Body, calls: _Calls, open_call: CallView | None, emitted: int) -> int:
        """Return the number of the call that a piece belongs to, and remember what names it.

        :param emitted: how many calls the client has: one behind them waits, for its name or for the end of another.
        """
        given, id_, name = number_of(piece), id_of(piece), name_of(piece)
        known = calls.numbers.get(given)
        if known is not None and known >= emitted:
            open_call = None
        if id_ in calls.ids:
            number = calls.ids[id_]
        elif calls.names and not id_ and not name and known is None:
            return len(calls.names) - 1  # the tail of the open call, by whatever number
        elif known is None or _begins(piece, known, calls, open_call):
            number = len(calls.names)
            calls.names.append(name)
        else:
            number = known
        if id_:
            calls.ids[id_] = number
        if given >= 0:
            calls.numbers[given] = number
        if name and not calls.names[number]:
            calls.names[number] = name
        return number

    def _waiting(self, right: Event, index: int, number: int) -> Sequence[Event] | Verdict:
        """Take a piece while calls wait for the end of the one before them: hold it too, or release what waited."""
        awaited, call = self._open[index]
        if right.type == FINISH or not _is_unfinished(call):
            del self._open[index]
            return [*self.take(), right]
        if number > awaited:
            self.held.append(right)
            return Released(())
        return Released([right])


def _is_unfinished(call: CallView) -> bool:
    """Return whether more of the arguments of a call may come: it has none yet, or not their end."""
    scanner = call.arguments.scanner
    return scanner.is_empty or scanner.is_open


def _begins(piece: Body, known: int, calls: _Calls, open_call: CallView | None) -> bool:
    """Return whether a piece with an unknown id, or without one, begins a call on a number that another one has."""
    id_, name = id_of(piece), name_of(piece)
    if known < len(calls.names) - 1:
        return id_ != "" and name != ""
    is_complete = open_call is not None and open_call.arguments.scanner.is_complete
    if not name or is_complete:
        return is_complete and (id_ != "" or (name != "" and name != calls.names[known]))
    if not id_ or not calls.names[known]:
        return False  # the name again, or the rest of it; or the one that was missing
    if open_call is None or name != calls.names[known]:
        return True
    arguments = arguments_of(piece)
    if open_call.arguments.scanner.is_empty:
        return arguments == ""  # some servers make an id for every piece
    return arguments.lstrip()[:1] in _BEGINNINGS


_BEGINNINGS: Final = ("", "{")


def _last(view: ChatView, index: int) -> CallView | None:
    """Return the call of a choice that was emitted last; None if there is none."""
    calls = view.choice(index).calls
    return calls[-1] if calls else None
