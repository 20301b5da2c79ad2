"""Chunks of chat completions as events: their types, and how a repair gets at their parts and puts others in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.chat.grammar import LOGPROB_LISTS, REASONING_NAMES, TEXT_MEMBERS
from vllm_sse_proxy.families.chunks import CHOICE, CHUNK, FINISH, TEXT, choice_of, kind_of_chunk
from vllm_sse_proxy.stream.event import Event

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body

CALL: Final = "call"
"""Type of a chunk with one choice that only adds arguments to one call that has begun."""

CHAT_CHOICE_TYPES: Final = frozenset({CHOICE, FINISH, TEXT, CALL})
PIECE_TYPES: Final = frozenset({CHOICE, FINISH, CALL})
"""Types of the chunks that may hold a piece of a call."""


def kind_of(body: Body) -> str:
    """Return the type of a chunk."""
    return kind_of_chunk(body, _kind_of_choice)


def _kind_of_choice(choice: Body) -> str:
    index, delta = choice.get("index"), choice.get("delta")
    if type(index) is not int or index < 0 or type(delta) is not dict:
        return CHUNK
    if choice.get("finish_reason") is not None:
        return FINISH
    words = words_of(delta)
    if words is not None:
        return TEXT
    return CALL if _is_only_arguments(delta) else CHOICE


def words_of(delta: Body) -> str | None:
    """Return the words of a delta that has nothing but words of one text; None for any other."""
    words: str | None = None
    is_reasoning = False
    for name, value in delta.items():
        if value is None or (type(value) is str and value == "" and name in TEXT_MEMBERS):
            continue
        if type(value) is not str or name not in TEXT_MEMBERS:
            return None
        if words is not None and not (is_reasoning and name in REASONING_NAMES and value == words):
            return None
        words = value
        is_reasoning = name in REASONING_NAMES
    return words


def whole_logprobs(logprobs: Any) -> Any:
    """Return log probabilities with both of their lists: the same object if it has them; None for what is none."""
    if type(logprobs) is not dict or not logprobs:
        return None
    return (
        logprobs
        if all(name in logprobs for name in LOGPROB_LISTS)
        else {**dict.fromkeys(LOGPROB_LISTS), **logprobs}
    )


def text_name(delta: Body) -> str:
    """Return the name of the text that a delta's words belong to; both names of reasoning mean one text."""
    for name in TEXT_MEMBERS:
        if delta.get(name):
            return REASONING if name in REASONING_NAMES else name
    return ""


REASONING: Final = REASONING_NAMES[0]


def _is_only_arguments(delta: Body) -> bool:
    """Return whether a delta is a piece of one call, has arguments, and nothing else."""
    pieces = delta.get("tool_calls")
    if type(pieces) is not list or len(pieces) != 1:
        return False
    if any(value is not None for name, value in delta.items() if name != "tool_calls"):
        return False
    piece = pieces[0]
    if type(piece) is not dict or type(piece.get("index")) is not int or "id" in piece or "type" in piece:
        return False
    function = piece.get("function")
    return (
        type(function) is dict
        and "name" not in function
        and type(function.get("arguments")) is str
        and function["arguments"] != ""
    )


def delta_of(choice: Body) -> Body:
    """Return the delta of a choice; an empty one if it has none."""
    delta = choice.get("delta")
    return delta if type(delta) is dict else {}


def piece_of(event: Event) -> Body | None:
    """Return the first piece of a call in an event; None if it has none."""
    pieces = delta_of(choice_of(event)).get("tool_calls")
    piece = pieces[0] if type(pieces) is list and pieces else None
    return piece if type(piece) is dict else None


def function_of(piece: Body) -> Body:
    """Return the function in a piece of a call; an empty one if it has none."""
    function = piece.get("function")
    return function if type(function) is dict else {}


def arguments_of(piece: Body) -> str:
    """Return the arguments in a piece of a call; empty if it has none that are text."""
    arguments = function_of(piece).get("arguments")
    return arguments if type(arguments) is str else ""


def number_of(piece: Body) -> int:
    """Return the number of a call; -1 if it has none."""
    index = piece.get("index")
    return index if type(index) is int and index >= 0 else -1


def name_of(piece: Body) -> str:
    """Return the name in a piece of a call; empty if it has none that is text."""
    name = function_of(piece).get("name")
    return name if type(name) is str else ""


def id_of(piece: Body) -> str:
    """Return the id in a piece of a call; empty if it has none that is text."""
    id_ = piece.get("id")
    return id_ if type(id_) is str else ""


def with_choice(event: Event, choice: Body) -> Event:
    """Return an event with another choice in place of its one."""
    body = {**event.body, "choices": [choice]}
    return Event(kind_of(body), body, inserted=event.inserted)


def with_delta(event: Event, delta: Body) -> Event:
    """Return an event with another delta."""
    return with_choice(event, {**choice_of(event), "delta": delta})


def with_piece(event: Event, piece: Body) -> Event:
    """Return an event with another piece of a call."""
    return with_delta(event, {**delta_of(choice_of(event)), "tool_calls": [piece]})


def with_arguments(event: Event, piece: Body, arguments: str) -> Event:
    """Return an event whose piece of a call has other arguments."""
    return with_piece(event, {**piece, "function": {**function_of(piece), "arguments": arguments}})


def inserted_delta(event: Event, delta: Body) -> Event:
    """Return a chunk of the proxy's own for the choice of an event."""
    body: Body = {
        name: event.body[name] for name in ("id", "object", "created", "model") if name in event.body
    }
    index = choice_of(event).get("index")
    body["choices"] = [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}]
    if event.body.get("usage") is not None:
        body["usage"] = event.body["usage"]
    return Event(kind_of(body), body, inserted=True)


def says_anything(delta: Body) -> bool:
    """Return whether a delta has a member that is not null, but for an empty list of calls."""
    return any(value is not None and value != [] for value in delta.values())
