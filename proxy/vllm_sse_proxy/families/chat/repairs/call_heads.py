"""The first piece of a call, and the later ones (C04, C05, C18, C19, C22, C43).

The first has ``id``, ``type``, ``function.name`` and ``function.arguments``: without an id nothing can be answered, without a
type openai-node's helper raises, without a name the AI SDK does. Later pieces have arguments only: openai-python and others
join the names of all pieces to ``get_weatherget_weather``, and some take every id for a call.

A call whose name has not come waits for it. If the request leaves but one tool to call, it is that. A call that never gets a
name cannot be run, so it is not emitted; the finish reason then says what became of the choice. A name that no tool has, and
with which one begins, waits for the next piece: that may go on with it (C22), and if it does not, the name stays as it came.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import (
    PIECE_TYPES,
    arguments_of,
    delta_of,
    function_of,
    id_of,
    name_of,
    number_of,
    piece_of,
    with_choice,
    with_delta,
    with_piece,
)
from vllm_sse_proxy.families.chat.grammar import FUNCTION
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.families.chunks import FINISH, choice_of, index_of
from vllm_sse_proxy.stream.repair import Released, Repair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event

_OF_HEAD: Final = frozenset({"id", "type"})


class _Nameless:
    """A call whose name has not come, or may go on.

    :ivar event: the chunk of its first piece.
    :ivar name: what has come of its name.
    :ivar number: upstream's number of it, or the one that an earlier repair gave it.
    """

    __slots__ = ("arguments", "event", "name", "number", "piece")

    def __init__(self, event: Event, piece: Body) -> None:
        self.event = event
        self.piece = piece
        self.name = name_of(piece)
        self.number = number_of(piece)
        self.arguments = [arguments_of(piece)]

    def add(self, piece: Body) -> None:
        """Add a later piece."""
        self.arguments.append(arguments_of(piece))
        if id_of(piece) and not id_of(self.piece):
            self.piece = {**self.piece, "id": piece["id"]}

    def named(self, name: str) -> Body:
        """Return the whole as the first piece of a call."""
        function = {"name": name, **function_of(self.piece)}
        function |= {"name": name, "arguments": "".join(self.arguments)}
        return {**self.piece, "function": function}


class CallHeads(Repair):
    """Give the first piece of a call its head, and take it from the later ones."""

    __slots__ = ("_headed", "_left_out", "_nameless", "_request")

    name: ClassVar = "call_heads"
    summary: ClassVar = (
        "the first piece of a call has id, type, name and arguments, later ones have arguments only"
    )
    fixes: ClassVar = ("C04", "C05", "C18", "C19", "C22", "C43")
    handles: ClassVar = PIECE_TYPES

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._request = ChatRequest.of(context)
        self._nameless: dict[int, _Nameless] = {}
        """by the index of the choice"""
        self._left_out: dict[int, list[int]] = {}
        """index of a choice → numbers of its calls that were not emitted, in their order"""
        self._headed: dict[int, int] = {}
        """index of a choice → how many of its calls have their head; a later repair may still hold one of them"""

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:
        """Return the piece with what belongs to it."""
        index = index_of(choice_of(event))
        piece = piece_of(event)
        waiting = self._nameless.get(index)
        if waiting is not None:
            return self._go_on(waiting, event, piece, index, view)
        return None if piece is None else self._repaired(event, piece, index, view)

    def _repaired(
        self, event: Event, piece: Body, index: int, view: ChatView
    ) -> Sequence[Event] | Verdict | None:
        """Return a piece, while no call waits for its name."""
        begun = max(len(view.choice(index).calls), self._headed.get(index, 0))
        left_out = self._left_out.get(index, [])
        place = bisect_left(left_out, number_of(piece))
        if left_out[place : place + 1] == [number_of(piece)]:
            return [] if event.type != FINISH else [_without_calls(event)]  # more of a call that is lost
        number = number_of(piece) - place
        if number < begun:
            bare = _bare(piece, number)
        elif name_of(piece) and not self._may_go_on(event, piece):
            bare = _whole(piece, number, event, index)
            self._headed[index] = number + 1
        else:
            waiting = self._nameless[index] = _Nameless(event, piece)
            return self._settled(event, index) if self._is_over(event, piece, waiting) else Released(())
        return None if bare is piece else [with_piece(event, bare)]

    def _may_go_on(self, event: Event, piece: Body) -> bool:
        """Return whether the next piece may go on with the name that a first piece has."""
        return event.type != FINISH and arguments_of(piece) == "" and self._is_half(name_of(piece))

    def _is_half(self, name: str) -> bool:
        """Return whether no tool of the request has a name, and one begins with it."""
        tools = self._request.tools
        return name not in tools and any(tool.startswith(name) for tool in tools)

    def _is_over(self, event: Event, piece: Body, waiting: _Nameless) -> bool:
        """Return whether a call waits no longer: its choice is finished, or it has arguments and only one name is possible."""
        if event.type == FINISH:
            return True
        return arguments_of(piece) != "" and (waiting.name != "" or self._request.only_name != "")

    def _joined(self, waiting: _Nameless, name: str) -> str:
        """Return the name of a call that waits, with what a later piece has of it; nothing while it may still go on."""
        whole = waiting.name + name
        if waiting.name == "" or name == "" or whole in self._request.tools:
            return name and whole
        if self._is_half(whole):
            waiting.name = whole
            return ""
        return name if name in self._request.tools else waiting.name

    def _go_on(
        self, waiting: _Nameless, event: Event, piece: Body | None, index: int, view: ChatView
    ) -> Sequence[Event] | Verdict | None:
        """Take what comes while a call waits for its name."""
        if piece is None:
            return None if event.type != FINISH else self._settled(event, index)
        if number_of(piece) != waiting.number:
            settled = self._settled(None, index)
            rest = self._repaired(event, piece, index, view)
            if rest is None:
                return [*settled, event]
            return settled or rest if isinstance(rest, Verdict) else [*settled, *rest]
        waiting.add(piece)
        name = self._joined(waiting, name_of(piece))
        if not name and not self._is_over(event, piece, waiting):
            return Released(())
        return self._settled(event, index, name)

    def _settled(self, event: Event | None, index: int, name: str = "") -> list[Event]:
        """Return a call that was waiting, if it has a name by now, and the finish of its choice."""
        waiting = self._nameless.pop(index)
        name = name or waiting.name or self._request.only_name
        made: list[Event] = []
        if name:
            piece, head = waiting.named(name), waiting.event
            number = number_of(piece) - len(self._left_out.get(index, ()))
            self._headed[index] = number + 1
            made.append(_unfinished(with_piece(head, _whole(piece, number, head, index))))
        else:
            insort(self._left_out.setdefault(index, []), waiting.number)
        if event is not None and event.type == FINISH:
            made.append(_without_calls(event))
        return made


def _bare(piece: Body, number: int) -> Body:
    """Return a later piece as it should be: the same object if it is."""
    function = function_of(piece)
    if _OF_HEAD.isdisjoint(piece) and "name" not in function and number_of(piece) == number:
        return piece
    bare = {name: value for name, value in piece.items() if name not in _OF_HEAD}
    bare["index"] = number
    bare["function"] = {name: value for name, value in function.items() if name != "name"}
    return bare


def _whole(piece: Body, number: int, event: Event, index: int) -> Body:
    """Return the first piece of a call as it should be: the same object if it is."""
    wrong: Body = {}
    if number_of(piece) != number:
        wrong["index"] = number
    if not id_of(piece):
        seed = f"{event.body.get('id')}/{index}/{number}"
        wrong["id"] = "call_" + sha256(seed.encode("utf-8", "replace")).hexdigest()[:24]
    if piece.get("type") != FUNCTION:
        wrong["type"] = FUNCTION
    function = function_of(piece)
    if function.get("arguments") is None:
        wrong["function"] = {**function, "arguments": ""}
    return {**dict.fromkeys(_ORDER), **piece, **wrong} if wrong else piece


_ORDER: Final = ("index", "id", "type", "function")
"""Members of a first piece, as servers write them."""


def _unfinished(event: Event) -> Event:
    """Return a chunk that held a call back, without a finish reason: the finish follows."""
    choice = choice_of(event)
    if choice.get("finish_reason") is None:
        return event
    made = {**choice, "finish_reason": None}
    made.pop("stop_reason", None)
    return with_choice(event, made)


def _without_calls(event: Event) -> Event:
    """Return a finish whose piece of a call has left before it."""
    delta = delta_of(choice_of(event))
    if "tool_calls" not in delta:
        return event
    return with_delta(event, {name: value for name, value in delta.items() if name != "tool_calls"})
