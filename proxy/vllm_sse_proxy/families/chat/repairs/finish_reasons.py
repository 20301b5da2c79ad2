"""Finish reasons (C03, C16, C30, C35, C37, C38, C42, C46): one of OpenAI's values, and true.

- A call whose arguments have begun and have no end was cut, whoever cut it: ``length``, the one reason for which no client
  runs it. The same holds for a call without arguments whose tool requires some. Up to 0.30 vLLM says ``tool_calls``, and
  LangChain then runs half an object as ``{}``.
- ``tool_calls`` if and only if the choice has calls, by auto or required choice; a named choice has ``stop``.
- ``tool_calls`` without any call: the parser lost them. If nothing but white space was sent, that is an error, for another try
  mostly works; after text, ``stop``.
- ``abort`` and ``error`` do not end an answer, and neither is what nobody knows: the text of the chunk leaves, then an
  error. opencode asks again for ever when it reads ``abort``.
- ``repetition`` is the engine's own way to stop, and a few names of others mean the same as OpenAI's.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import (
    arguments_of,
    delta_of,
    name_of,
    number_of,
    piece_of,
    with_choice,
)
from vllm_sse_proxy.families.chat.grammar import CUT_REASONS, FINISH_REASONS
from vllm_sse_proxy.families.chat.reasons import reason_of
from vllm_sse_proxy.families.chat.request import ChatRequest, Choice
from vllm_sse_proxy.families.chunk_repairs import unknown_end
from vllm_sse_proxy.families.chunks import FINISH, SERVER_ERROR, choice_of, error_event, index_of
from vllm_sse_proxy.families.partial_json import scan
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatChoiceView, ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event

_LEFT_ALONE: Final = (Choice.UNKNOWN, Choice.NONE)
"""Where nobody knows whether calls were wanted, or they were not."""
_LOST: Final = "The upstream server reported tool calls, and sent none."


class FinishReasons(Repair):
    """Let finish reasons be true."""

    __slots__ = ("_request",)

    name: ClassVar = "finish_reasons"
    summary: ClassVar = (
        "a finish reason is one of OpenAI's, and true: `length` for cut calls, `tool_calls` only with calls"
    )
    fixes: ClassVar = ("C03", "C16", "C30", "C35", "C37", "C38", "C42", "C46")
    handles: ClassVar = frozenset({FINISH})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._request = ChatRequest.of(context)

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | None:
        """Return the chunk with the true reason; an error if the answer was not finished at all."""
        choice = choice_of(event)
        given = choice.get("finish_reason")
        reason = reason_of(event) if type(given) is str else given
        seen = view.choice(index_of(choice))
        if view.finish_of(index_of(choice)) is not None:
            return None
        if type(reason) is not str or reason not in FINISH_REASONS:
            return [*_rest(event, choice), unknown_end(reason)]
        true = self._true_reason(reason, seen, event)
        if true == "":
            status = int(HTTPStatus.BAD_GATEWAY)
            return [*_rest(event, choice), error_event(_LOST, SERVER_ERROR, status)]
        return None if true == given else [with_choice(event, {**choice, "finish_reason": true})]

    def _true_reason(self, reason: str, seen: ChatChoiceView, event: Event) -> str:
        """Return the reason that is true; nothing if there is none."""
        if reason in CUT_REASONS or reason == "function_call":
            return reason
        has_calls = bool(seen.calls) or piece_of(event) is not None
        if not has_calls:
            return self._without_calls(reason, seen, event)
        if self._is_cut(seen, event):
            return "length"
        if self._request.choice is Choice.NAMED:
            return "stop"
        return reason if self._request.choice in _LEFT_ALONE else "tool_calls"

    def _without_calls(self, reason: str, seen: ChatChoiceView, event: Event) -> str:
        if reason != "tool_calls":
            return reason
        rest = delta_of(choice_of(event)).get("content")
        is_blank = type(rest) is not str or not rest.strip()
        is_silent = is_blank and seen.is_blank("content") and seen.is_blank("refusal")
        return "" if is_silent else "stop"

    def _is_cut(self, seen: ChatChoiceView, event: Event) -> bool:
        """Return whether a call of the choice is not whole, the last piece included."""
        piece = piece_of(event)
        number = -1 if piece is None else number_of(piece)
        for place, call in enumerate(seen.calls):
            scanner, text = call.arguments.scanner, call.arguments.text
            if place == number and piece is not None:
                text += arguments_of(piece)
                scanner = scanner.copy()
                scanner.feed(arguments_of(piece))
            if scanner.is_cut or self._lacks(call.name, text):
                return True
        if piece is None or number < len(seen.calls):
            return False
        text = arguments_of(piece)
        return scan(text).is_cut or self._lacks(name_of(piece), text)

    def _lacks(self, name: str, text: str) -> bool:
        """Return whether a call has no arguments though its tool requires some, or may do so."""
        if len(text) > _SHORT:
            return False
        bare = "".join(text.split())
        if bare == "":
            return not self._request.may_be_called_without_arguments(name)
        return bare == "{}" and self._request.requires_arguments(name)


_SHORT: Final = 40
"""Characters of arguments that may be nothing but an empty object, written with spaces."""


def _rest(event: Event, choice: Body) -> list[Event]:
    """Return what a chunk says beside its finish reason, if it says anything."""
    if not any(value for name, value in delta_of(choice).items() if name != "role"):
        return []
    kept = {name: value for name, value in choice.items() if name != "stop_reason"}
    return [with_choice(event, {**kept, "finish_reason": None})]
