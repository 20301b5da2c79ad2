"""Names of functions: control tokens behind them (C21), ``query_dataset<|channel|>commentary``, and halves of them (C49).

gpt-oss writes tokens between the name and the arguments, and vLLM up to 0.24 (in part later ones too) takes all that follows
``functions.`` for the name. What stands before them is the name, if the request has such a tool. With a list of tools, any
character that no name can have ends it; without one, only the beginning of a token.

If the token limit falls into a name, its call comes all the same (kimi, 0.32: ``functions``). A call with the beginning of
a tool's name and without any arguments waits for what follows it. If that is the end of its choice, the call was cut, whoever
cut it: it is left out, and the finish reason is ``length``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import (
    CHAT_CHOICE_TYPES,
    arguments_of,
    delta_of,
    function_of,
    name_of,
    piece_of,
    with_choice,
    with_piece,
)
from vllm_sse_proxy.families.chat.reasons import reason_of
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.families.chat.texts import is_silent, release_before
from vllm_sse_proxy.families.chunks import FINISH, OVER, TEXT, choice_of, index_of
from vllm_sse_proxy.families.texts.function_names import clean_name, may_be_half
from vllm_sse_proxy.stream.repair import Released, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.repair import Verdict


_ENDS: Final = frozenset({"length", "stop", "tool_calls"})


class CallNames(Repair):
    """Cut what does not belong to a name, and leave out a call that was cut in it."""

    __slots__ = ("_half", "_request")

    name: ClassVar = "call_names"
    summary: ClassVar = "the name of a function ends where a control token begins; half a name is not called"
    fixes: ClassVar = ("C21", "C49")
    handles: ClassVar = CHAT_CHOICE_TYPES | OVER

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._request = ChatRequest.of(context)
        self._half: dict[int, Event] = {}
        """index of a choice → the first piece of a call whose name may be cut"""

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Return the piece with the name alone; hold one whose name no tool has."""
        if event.type in OVER:
            return release_before(event, list(self._half.values()))
        if (event.type == TEXT and not self._half) or is_silent(event):
            return None
        index = index_of(choice_of(event))
        half = self._half.pop(index, None)
        piece = piece_of(event)
        is_over = event.type == FINISH and reason_of(event) in _ENDS
        if half is not None:
            return [_cut(event)] if is_over and piece is None else Released([half, event])
        if piece is None:
            return None
        name = name_of(piece)
        clean = clean_name(name, self._request.tools)
        if clean != name:
            return [with_piece(event, {**piece, "function": {**function_of(piece), "name": clean}})]
        if name and not arguments_of(piece) and may_be_half(name, self._request.tools):
            if is_over:
                return [_cut(event)]
            if event.type != FINISH and view.may_wait(index):
                self._half[index] = event
                return Released(())
        return None

    def watches(self, type_: str, view: ChatView) -> str | None:  # noqa: ARG002 - texts and arguments have no names
        """See everything while a call waits."""
        return None if self._half else ""


def _cut(event: Event) -> Event:
    """Return the finish of a choice whose last call was cut in its name, without that call."""
    choice = choice_of(event)
    delta = {name: value for name, value in delta_of(choice).items() if name != "tool_calls"}
    return with_choice(event, {**choice, "delta": delta, "finish_reason": "length"})
