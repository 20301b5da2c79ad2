"""The shape of choices (C33): one at a time, with an index, a delta that is an object, and texts that are strings.

``delta`` null or absent: openai-python's helper and LiteLLM raise, LangChain and pydantic-ai lose the finish reason. An empty
finish reason is none. ``logprobs.refusal`` never comes from vLLM, and types want it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families import chunk_repairs
from vllm_sse_proxy.families.chat.chunks import CALL, CHAT_CHOICE_TYPES, kind_of, whole_logprobs
from vllm_sse_proxy.families.chat.grammar import OBJECT_MEMBERS, TEXT_MEMBERS
from vllm_sse_proxy.families.chat.request import ChatRequest
from vllm_sse_proxy.families.chunk_repairs import flattened
from vllm_sse_proxy.families.chunks import CHUNK, TEXT, choice_of

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.event import Body, Event


class ChoiceShapes(chunk_repairs.ChoiceShapes):
    """See the base."""

    __slots__ = ()

    summary: ClassVar = "a choice has an index, a delta that is an object, texts that are strings, and whole log probabilities"
    fixes: ClassVar = ("C33",)
    handles: ClassVar = CHAT_CHOICE_TYPES | {CHUNK}

    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""
        return kind_of(body)

    def expected(self) -> int:
        """Return how many choices were asked for."""
        return ChatRequest.of(self.context).n

    def is_plain(self, event: Event) -> bool:
        """Return whether nothing can be wrong with the choice of an event."""
        if event.type not in (TEXT, CALL):
            return False
        logprobs = choice_of(event).get("logprobs")
        return logprobs is None or whole_logprobs(logprobs) is logprobs

    def wrong_in(self, choice: Body) -> Body:
        """Return the members of a choice that are not what they should be, as they should be."""
        wrong: Body = {}
        delta, logprobs = choice.get("delta"), choice.get("logprobs")
        shaped = _shaped_delta(delta if type(delta) is dict else _instead_of_delta(choice))
        if shaped is not delta:
            wrong["delta"] = shaped
        whole = whole_logprobs(logprobs)
        if whole is not logprobs:
            wrong["logprobs"] = whole
        return wrong


def _instead_of_delta(choice: Body) -> Body:
    """Return what a choice without a delta says: a server that has its answer all at once may send it as a message."""
    message = choice.get("message")
    return dict(message) if type(message) is dict else {}


def _shaped_delta(delta: Body) -> Body:
    """Return a delta whose members have their types: the same object if they have."""
    wrong: Body = {}
    for name, value in delta.items():
        if value is None:
            continue
        if name in TEXT_MEMBERS or name == "role":
            if type(value) is not str:
                wrong[name] = flattened(value)
        elif name == "tool_calls":
            pieces = _shaped_pieces(value)
            if pieces is not value:
                wrong[name] = pieces
        elif name in OBJECT_MEMBERS and type(value) is not dict:
            wrong[name] = None
    return {**delta, **wrong} if wrong else delta


def _shaped_pieces(pieces: object) -> list[Any] | None:
    """Return the pieces of calls as a list of objects with functions that are objects: the same list if they are."""
    if type(pieces) is dict:
        pieces = [pieces]
    if type(pieces) is not list:
        return None
    if all(type(piece) is dict and _is_piece(piece) for piece in pieces):
        return pieces
    return [_shaped_piece(piece) for piece in pieces if type(piece) is dict]


def _is_piece(piece: Body) -> bool:
    function = piece.get("function")
    texts = (piece.get("id"), function.get("name") if type(function) is dict else None)
    return (function is None or type(function) is dict) and all(
        text is None or type(text) is str for text in texts
    )


def _shaped_piece(piece: Body) -> Body:
    shaped = dict(piece)
    function = piece.get("function")
    shaped["function"] = dict(function) if type(function) is dict else {}
    for holder, name in ((shaped, "id"), (shaped["function"], "name")):
        value = holder.get(name)
        if value is not None and type(value) is not str:
            holder[name] = flattened(value)
    return shaped
