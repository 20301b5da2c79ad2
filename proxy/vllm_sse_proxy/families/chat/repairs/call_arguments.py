"""The arguments of a call (C15, C17, C23, C45, C46): one JSON value, as a string, and nothing behind it.

*Sent twice* (C17, C45). Up to 0.22 vLLM subtracts what it has streamed from what it expects by text. Where they are spelled
differently it sends the whole again, with the last piece or before it. What stands behind the end of the value is dropped.
Where the value had no end, and the whole comes as one piece, only its rest leaves; another whole that does not go on with
what was sent is dropped. The same for arguments that only begin again (C15): :mod:`..texts.repeated_json`.

*Lost* (C23). A brace that some parsers lose at the beginning is put back: the first thing in the arguments is then a string
with a colon behind it. A tool that requires nothing may be called with nothing at all: that becomes ``{}``. A brace that is
lost at the end (C46) is put back where usage shows that no limit cut the call: the finish waits for that, if the request asks
for it. Everything else that is lost stays lost, and the finish reason says so (``finish_reasons``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import (
    PIECE_TYPES,
    arguments_of,
    function_of,
    inserted_delta,
    name_of,
    number_of,
    piece_of,
    with_arguments,
)
from vllm_sse_proxy.families.chat.reasons import reason_of
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.families.chunks import FINISH, OVER, TEXT, USAGE, choice_of, index_of
from vllm_sse_proxy.families.partial_json import scan
from vllm_sse_proxy.families.texts.lost_braces import has_lost_its_brace
from vllm_sse_proxy.families.texts.repeated_json import new_in_again, without_brace_before
from vllm_sse_proxy.stream.event import dump_json
from vllm_sse_proxy.stream.repair import Released, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import CallView, ChatChoiceView, ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.repair import Verdict

_KEY: Final = re.compile(r'[ \t\n\r]*"(?:[^"\\]|\\.)*"[ \t\n\r]*', re.DOTALL)
_LONGEST_KEY: Final = 200
"""Characters of arguments that may wait to show whether they begin with a key: longer names of parameters are rare."""
_BRACES: Final = "{}"
_OWN_ENDS: Final = frozenset({"stop", "tool_calls"})
"""Finish reasons of a model that ended by itself."""


class CallArguments(Repair):
    """Let the arguments of a call be one JSON value."""

    __slots__ = ("_finished", "_keys", "_request")

    name: ClassVar = "call_arguments"
    summary: ClassVar = "the arguments of a call are one JSON value in a string, and nothing follows it"
    fixes: ClassVar = ("C15", "C17", "C23", "C45", "C46")
    handles: ClassVar = PIECE_TYPES | OVER | {TEXT, USAGE}

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._request = ChatRequest.of(context)
        self._keys: dict[int, tuple[int, Event, Body]] = {}
        """choice → a call whose arguments may lack a brace: its number, its first chunk with arguments, the piece in that"""

        self._finished: Event | None = None
        """the finish of the only choice, which waits for usage: its last call lacks a brace, and nothing else"""

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Return the piece with the arguments that it should have."""
        if self._finished is not None:
            return self._behind_finish(event, self._finished, view)
        if event.type in OVER:
            return [*(waiting for _, waiting, _ in self._keys.values()), event] if self._keys else None
        if event.type in (TEXT, USAGE):
            return None
        index = index_of(choice_of(event))
        piece = piece_of(event)
        choice = view.choice(index)
        if piece is None:
            return self._finish(event, index, choice) if event.type == FINISH else None
        arguments = function_of(piece).get("arguments")
        if arguments is None or type(arguments) is str:
            return self._taken(event, piece, index, choice)
        event = with_arguments(event, piece, _as_text(arguments))
        return self._taken(event, piece_of(event) or piece, index, choice) or [event]

    def watches(self, type_: str, view: ChatView) -> str | None:
        """Watch braces, which may begin or end the arguments; every piece while they have no beginning, or have their end."""
        is_over = self._finished is not None
        if type_ == TEXT:
            return None if is_over else ""
        calls = view.open_calls()
        if calls is None or is_over:
            return None
        for call in calls:
            scanner = call.arguments.scanner
            if not scanner.is_object or not scanner.is_open:
                return None
        return _BRACES

    def _taken(
        self, event: Event, piece: Body, index: int, choice: ChatChoiceView
    ) -> Sequence[Event] | Verdict | None:
        """Return a piece whose arguments are a string; None if nothing is wrong with it."""
        number, text = number_of(piece), arguments_of(piece)
        waiting = self._keys.pop(index, None)
        if waiting is not None:
            return self._key(event, piece, index, waiting)
        call = choice.call(number)
        if text == "":
            return self._without(event, piece, number, choice)
        if call is not None and not call.arguments.scanner.is_empty:
            right = _going_on(call, text, self._request.schema_of(call.name))
        elif text.lstrip()[:1] == '"' and event.type != FINISH:
            return self._begin(event, piece, text, index, number)
        elif _lacks_brace(text):
            right = _without_excess("{" + text)
        else:
            right = _without_excess(without_brace_before(text))
        changed = event if right == text else with_arguments(event, piece, right)
        empty = self._empty_before(event, number, choice)
        if empty is not None:
            return [empty, changed]
        return None if changed is event else [changed]

    def _without(
        self, event: Event, piece: Body, number: int, choice: ChatChoiceView
    ) -> Sequence[Event] | None:
        """Return a piece without arguments: the first of a call, or one that says nothing."""
        call = choice.call(number)
        if call is None:
            if event.type == FINISH and self._request.may_be_called_without_arguments(name_of(piece)):
                event = with_arguments(event, piece, "{}")
                return [event]
            empty = self._empty_before(event, number, choice)
            return None if empty is None else [empty, event]
        if event.type == FINISH and number == len(choice.calls) - 1 and self._may_be_empty(call):
            return [self._nothing(event, number), event]
        return None

    def _empty_before(self, event: Event, number: int, choice: ChatChoiceView) -> Event | None:
        """Return the arguments that the call before a new one lacks; None if it lacks none."""
        before = choice.call(number - 1) if choice.call(number) is None else None
        if before is None or not self._may_be_empty(before):
            return None
        return self._nothing(event, number - 1)

    def _begin(
        self, event: Event, piece: Body, text: str, index: int, number: int
    ) -> Sequence[Event] | Verdict | None:
        """Put a brace before a key; wait if it may only be the beginning of one."""
        found = _KEY.match(text)
        if found is not None and text[found.end() : found.end() + 1] == ":":
            return [with_arguments(event, piece, "{" + text)]
        if len(text) >= _LONGEST_KEY or (found is not None and found.end() < len(text)):
            return None
        whole = {**piece, "function": {**function_of(piece), "arguments": text}}
        self._keys[index] = (number, event, whole)
        return Released(())

    def _key(
        self, event: Event, piece: Body, index: int, waiting: tuple[int, Event, Body]
    ) -> Sequence[Event] | Verdict | None:
        """Go on with arguments that may begin with a key."""
        number, begun, first = waiting
        if number != number_of(piece):  # another call
            return Released([begun, event])
        text = arguments_of(first) + arguments_of(piece)
        if event.type == FINISH:
            if _lacks_brace(text):
                begun = with_arguments(begun, first, "{" + arguments_of(first))
            return Released([begun, event])
        joined = with_arguments(begun, first, text)
        return self._begin(joined, first, text, index, number) or [joined]

    def _finish(self, event: Event, index: int, choice: ChatChoiceView) -> Sequence[Event] | Verdict | None:
        """Return what a choice with calls still lacks when it is finished."""
        waiting = self._keys.pop(index, None)
        if waiting is not None:
            return Released([waiting[1], event])
        number = len(choice.calls) - 1
        call = choice.call(number)
        if call is None:
            return None
        if self._may_be_empty(call):
            return [self._nothing(event, number), event]
        return self._lost_end(event, number, call)

    def _lost_end(self, event: Event, number: int, call: CallView) -> Sequence[Event] | Verdict | None:
        """Return the end that a call has lost, with the finish, if that is certain; hold the finish while it may become so."""
        request = self._request
        if request.n != 1 or not request.limit or request.can_be_stopped or reason_of(event) not in _OWN_ENDS:
            return None
        arguments = call.arguments
        if not has_lost_its_brace(arguments.text, arguments.scanner, request.required_of(call.name)):
            return None
        if type(event.body.get("usage")) is dict:
            return [_last_brace(event, number), event] if self._ended_by_itself(event) else None
        if not request.wants_usage:
            return None
        self._finished = event
        return Released(())

    def _behind_finish(self, event: Event, finished: Event, view: ChatView) -> Sequence[Event] | Verdict:
        """Let the finish go, with the end that the last call has lost if usage shows that. Nothing else follows a finish."""
        if event.type not in OVER and event.type != USAGE:
            return []
        self._finished = None
        if event.type != USAGE or not self._ended_by_itself(event):
            return Released([finished, event])
        number = len(view.choice(index_of(choice_of(finished))).calls) - 1
        return [_last_brace(finished, number), finished, event]

    def _ended_by_itself(self, event: Event) -> bool:
        """Return whether the usage of a chunk shows that the token limit did not end its choice."""
        usage = event.body.get("usage")
        tokens = usage.get("completion_tokens") if type(usage) is dict else None
        return type(tokens) is int and 0 < tokens < self._request.limit

    def _may_be_empty(self, call: CallView) -> bool:
        """Return whether a call has no arguments, and needs none."""
        return call.arguments.scanner.is_empty and self._request.may_be_called_without_arguments(call.name)

    def _nothing(self, event: Event, number: int) -> Event:
        piece = {"index": number, "function": {"arguments": "{}"}}
        return inserted_delta(event, {"tool_calls": [piece]})


def _last_brace(event: Event, number: int) -> Event:
    """Return a chunk with the last brace of a call."""
    return inserted_delta(event, {"tool_calls": [{"index": number, "function": {"arguments": "}"}}]})


def _as_text(arguments: Any) -> str:
    """Return arguments that came as JSON, as text."""
    return dump_json(arguments).decode() if type(arguments) in (dict, list) else ""


def _lacks_brace(text: str) -> bool:
    """Return whether arguments begin with a key and its colon, without the brace before them."""
    found = _KEY.match(text)
    return found is not None and text[found.end() : found.end() + 1] == ":"


def _without_excess(text: str) -> str:
    """Return the text up to the end of its first JSON value; all of it if the value has no end, or only space behind it."""
    scanner = scan(text)
    if not scanner.is_complete or text[scanner.end :].strip() == "":
        return text
    return text[: scanner.end]


def _going_on(call: CallView, text: str, schema: object) -> str:
    """Return what a piece adds to arguments that have begun.

    :param schema: of the tool's parameters.
    """
    scanner = call.arguments.scanner
    if not scanner.is_open:
        return text if text.isspace() or scanner.is_broken else ""
    stripped = text.lstrip()
    if stripped[:1] == "{":
        rest = new_in_again(call.arguments, scanner, stripped, schema)
        text = text if rest is None else rest
    end = scanner.end_in(text)
    return text if end < 0 or text[end:].strip() == "" else text[:end]
