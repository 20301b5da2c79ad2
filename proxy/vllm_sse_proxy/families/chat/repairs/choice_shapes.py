"""The shape of choices (C33): one at a time, with an index, a delta that is an object, and texts that are strings.

``delta`` null or absent: openai-python's helper and LiteLLM raise, LangChain and pydantic-ai lose the finish reason. An empty
finish reason is none. ``logprobs.refusal`` never comes from vLLM, and types want it.

A chunk with several choices, which vLLM never sends, is taken apart for the repairs that follow. If none of them has anything
to do, it leaves as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.chat.chunks import CHAT_CHOICE_TYPES, kind_of
from vllm_sse_proxy.families.chat.grammar import LOGPROB_LISTS, OBJECT_MEMBERS, TEXT_MEMBERS
from vllm_sse_proxy.families.chunks import CHUNK, Part, choice_of
from vllm_sse_proxy.stream.event import Event, dump_json
from vllm_sse_proxy.stream.repair import Released, Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.chat.view import ChatView
    from vllm_sse_proxy.stream.event import Body
    from vllm_sse_proxy.stream.repair import Verdict

_TEXTS: Final = ("text", "content", "value", "reasoning", "refusal")
"""Members of an object that stands where a text should, the likeliest first."""
_DEEPEST: Final = 16


class ChoiceShapes(Repair):
    """Give every choice its shape, and let the other repairs see one at a time."""

    __slots__ = ()

    name: ClassVar = "choice_shapes"
    summary: ClassVar = "a choice has an index, a delta that is an object, texts that are strings, and whole log probabilities"
    fixes: ClassVar = ("C33",)
    handles: ClassVar = CHAT_CHOICE_TYPES | {CHUNK}
    needed: ClassVar = "the repairs behind it see one choice at a time"

    def repair(self, event: Event, view: ChatView) -> Sequence[Event] | Verdict | None:  # noqa: ARG002 - it is wrong in itself
        """Return the chunk with choices of the right shape, one for each if it has several."""
        if event.type != CHUNK:
            logprobs = choice_of(event).get("logprobs")
            if event.type in _PLAIN and (logprobs is None or _are_logprobs(logprobs)):
                return None
        choices = event.body.get("choices")
        if type(choices) is not list:
            return None
        shaped = [_shaped(choice, place) for place, choice in enumerate(choices) if type(choice) is dict]
        is_right = len(shaped) == len(choices) and all(map(_is_same, shaped, choices))
        if len(shaped) < 2:  # noqa: PLR2004 - several
            if is_right:
                return None
            body = {**event.body, "choices": shaped}
            return [Event(kind_of(body), body)]
        indexes = {choice["index"] for choice in shaped}
        bodies = [{**event.body, "choices": [choice]} for choice in shaped]
        if is_right and len(indexes) == len(shaped):
            return Released([Part(kind_of(body), body, event, place) for place, body in enumerate(bodies)])
        return [Event(kind_of(body), body) for body in bodies]


_PLAIN: Final = frozenset({"text", "call"})


def _is_same(one: object, other: object) -> bool:
    return one is other


def _are_logprobs(logprobs: object) -> bool:
    return type(logprobs) is dict and all(name in logprobs for name in LOGPROB_LISTS)


def _shaped(choice: Body, place: int) -> Body:
    """Return a choice in its right shape: the same object if it has it."""
    wrong: Body = {}
    index, delta, reason = choice.get("index"), choice.get("delta"), choice.get("finish_reason")
    if type(index) is not int or index < 0:
        wrong["index"] = _index(index, place)
    shaped = _shaped_delta(delta if type(delta) is dict else _instead_of_delta(choice))
    if shaped is not delta:
        wrong["delta"] = shaped
    if reason is not None and not reason:
        wrong["finish_reason"] = None
    logprobs = choice.get("logprobs")
    if logprobs is not None and not _are_logprobs(logprobs):
        wrong["logprobs"] = (
            {**dict.fromkeys(LOGPROB_LISTS), **logprobs} if type(logprobs) is dict and logprobs else None
        )
    return {**choice, **wrong} if wrong else choice


def _instead_of_delta(choice: Body) -> Body:
    """Return what a choice without a delta says: a server that has its answer all at once may send it as a message."""
    message = choice.get("message")
    return dict(message) if type(message) is dict else {}


def _index(index: object, place: int) -> int:
    if type(index) is str and index.isascii() and index.isdecimal() and len(index) < _DEEPEST:
        return int(index)
    if type(index) is float and index >= 0 and index.is_integer():
        return int(index)
    return place


def _shaped_delta(delta: Body) -> Body:
    """Return a delta whose members have their types: the same object if they have."""
    wrong: Body = {}
    for name, value in delta.items():
        if value is None:
            continue
        if name in TEXT_MEMBERS or name == "role":
            if type(value) is not str:
                wrong[name] = _flattened(value, 0)
        elif name == "tool_calls":
            pieces = _shaped_pieces(value)
            if pieces is not value:
                wrong[name] = pieces
        elif name in OBJECT_MEMBERS and type(value) is not dict:
            wrong[name] = None
    return {**delta, **wrong} if wrong else delta


def _flattened(value: Any, depth: int) -> str | None:
    """Return the text in a value of any shape; None if there is none. Never the notation of an object."""
    if type(value) is str:
        return value
    if type(value) is dict and depth < _DEEPEST:
        return next((_flattened(value[name], depth + 1) for name in _TEXTS if name in value), None)
    if type(value) is list and depth < _DEEPEST:
        texts = [text for element in value if (text := _flattened(element, depth + 1)) is not None]
        return "".join(texts) if texts else None
    return dump_json(value).decode() if type(value) in (int, float) else None


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
            holder[name] = _flattened(value, 0)
    return shaped
