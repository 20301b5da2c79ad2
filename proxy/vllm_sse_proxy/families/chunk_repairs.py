"""Repairs that the families of chunk streams share: each family has them under the same names, as subclasses of its own."""

from __future__ import annotations

from abc import abstractmethod
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vllm_sse_proxy.families.chunks import (
    CHOICE_TYPES,
    ERROR,
    FINISH,
    SERVER_ERROR,
    SHARED_TYPES,
    UNAVAILABLE,
    USAGE,
    Part,
    choice_of,
    error_event,
    index_of,
    request_body,
    summed,
)
from vllm_sse_proxy.stream.ending import reported_failure
from vllm_sse_proxy.stream.event import OPAQUE, Event, dump_json
from vllm_sse_proxy.stream.repair import Released, Repair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vllm_sse_proxy.families.chunks import ChunkView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body
    from vllm_sse_proxy.stream.repair import Verdict

_SILENT: Final = frozenset(
    {"id", "object", "created", "model", "choices", "system_fingerprint", "service_tier"}
)
"""Members of a chunk that say nothing of an answer."""


SAME_REASONS: Final = {
    "repetition": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_length": "length",
}
"""Finish reasons of vLLM's engine and of others → the one of OpenAI's that means the same."""


def unknown_end(reason: object) -> Event:
    """Return the error that takes the place of a finish reason that does not end an answer."""
    if reason == "abort":
        message, status = "The upstream server aborted the request.", HTTPStatus.SERVICE_UNAVAILABLE
        return error_event(message, UNAVAILABLE, int(status))
    if reason == "error":
        message = "The upstream server could not finish the answer."
        return error_event(message, SERVER_ERROR, int(HTTPStatus.INTERNAL_SERVER_ERROR))
    said = reason if type(reason) is str else dump_json(reason).decode()
    message = f"The upstream server ended the answer for an unknown reason: {said[:_LONGEST_REASON]}"
    return error_event(message, SERVER_ERROR, int(HTTPStatus.BAD_GATEWAY))


_LONGEST_REASON: Final = 100


def with_known_reason(
    event: Event, known: frozenset[str], text: str, with_choice: Callable[[Event, Body], Event]
) -> list[Event] | None:
    """Return what takes the place of a chunk with a finish reason; None if it is one of OpenAI's.

    :param known: OpenAI's finish reasons.
    :param text: what the chunk's choice says beside it: that leaves, also before an error.
    :param with_choice: puts another choice in place of its one.
    """
    choice = choice_of(event)
    given = choice.get("finish_reason")
    reason = SAME_REASONS.get(given, given) if type(given) is str else given
    if type(reason) is str and reason in known:
        return None if reason == given else [with_choice(event, {**choice, "finish_reason": reason})]
    kept = {name: value for name, value in choice.items() if name != "stop_reason"}
    rest = [with_choice(event, {**kept, "finish_reason": None})] if text else []
    return [*rest, unknown_end(reason)]


def says_nothing(body: Body) -> bool:
    """Return whether a chunk has nothing but what all chunks of the stream have, leaving its choices aside."""
    return all(value is None or name in _SILENT for name, value in body.items())


class ChunkRepair(Repair):
    """A repair after which a chunk may have another type."""

    __slots__ = ()

    @abstractmethod
    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk, as the family reads it."""


class ReadableChunks(ChunkRepair):
    """Read what only lenient readers can, and leave out what nobody can."""

    __slots__ = ()

    name: ClassVar = "readable_chunks"
    summary: ClassVar = (
        "a payload that is not strict JSON is written anew; one that holds no object is dropped"
    )
    fixes: ClassVar[tuple[str, ...]] = ("P02",)
    handles: ClassVar = frozenset({OPAQUE})

    def repair(self, event: Event, view: ChunkView) -> Sequence[Event]:  # noqa: ARG002 - it is wrong in itself
        """Return what can be read of the payload."""
        return [Event(self.kind_of(event.body), event.body)] if event.body else []


class ErrorPayloads(ChunkRepair):
    """Report an error in the one form that all clients understand."""

    __slots__ = ()

    name: ClassVar = "error_payloads"
    summary: ClassVar = (
        'an error is `{"error": {…}}` alone, with a number as code that is true for what was sent before it'
    )
    fixes: ClassVar[tuple[str, ...]] = ("C01", "C31")
    handles: ClassVar = frozenset({ERROR})

    def repair(self, event: Event, view: ChunkView) -> Sequence[Event] | None:
        """Return the error; if choices stand beside it, they go ahead of it, without finish reasons."""
        body = event.body
        kept = self._beside(body)
        has_content = view.has_content or kept is not None
        error = _error_of(body, has_content=has_content)
        if kept is None and body == {"error": error}:
            return None
        report = Event(ERROR, {"error": error})
        return [report] if kept is None else [kept, report]

    def _beside(self, body: Body) -> Event | None:
        """Return the chunk that the error stands in, if that has choices with anything in them."""
        choices = body.get("choices")
        if type(choices) is not list:
            return None
        unfinished = [
            {**choice, "finish_reason": None}
            for choice in choices
            if type(choice) is dict and _has_content(choice)
        ]
        if not unfinished:
            return None
        chunk = {name: value for name, value in body.items() if name != "error"}
        chunk["choices"] = unfinished
        return Event(self.kind_of(chunk), chunk)


def _has_content(choice: Body) -> bool:
    """Return whether a choice has any text or call."""
    delta = choice.get("delta")
    values = [choice.get("text"), *(delta.values() if type(delta) is dict else ())]
    return any(value and value != "assistant" for value in values)


def _error_of(body: Body, *, has_content: bool) -> Body:
    """Return the error object of a payload, well shaped."""
    error = body.get("error")
    if type(error) is list and error:
        error = error[0]
    if type(error) is dict:
        found = dict(error)
    elif type(error) is str and error:
        found = {"message": error}
    else:  # the flat form of old releases
        found = {name: body[name] for name in ("message", "type", "param", "code") if name in body}
    failure = reported_failure(found)
    message, type_, param, code = (found.get(name) for name in ("message", "type", "param", "code"))
    number = _status(code)
    status = failure.status if number is None else number
    accepted = (
        has_content and status < _SERVER_ERRORS
    )  # the request was accepted, so it cannot have been a bad one
    if accepted:
        status = _SERVER_ERRORS
    is_named = type(type_) is str and type_ != "" and not accepted
    return {
        **found,
        "message": message if type(message) is str and message else _message_of(found) or failure.message,
        "type": type_ if is_named else SERVER_ERROR,
        "param": param if type(param) is str else None,
        "code": int(status),
    }


def _message_of(error: Body) -> str:
    """Return what else in an error is a text; empty if nothing is."""
    for name in ("detail", "msg", "error", "reason"):
        value = error.get(name)
        if type(value) is str and value:
            return value
    message = error.get("message")
    return dump_json(message).decode() if type(message) in (dict, list) and message else ""


_SERVER_ERRORS: Final = 500
_CLIENT_ERRORS: Final = 400
_PAST_ERRORS: Final = 600


def _status(code: object) -> int | None:
    """Return an error's code as an HTTP status; None if it is none."""
    if type(code) is str and len(code) == len("500") and code.isascii() and code.isdecimal():
        code = int(code)
    return code if type(code) is int and _CLIENT_ERRORS <= code < _PAST_ERRORS else None


class ChunkFields(ChunkRepair):
    """Give every chunk the members that all chunks have, the same in each."""

    __slots__ = ("_created", "_id", "_identity", "_model")

    name: ClassVar = "chunk_fields"
    summary: ClassVar = (
        "`id`, `object`, `created`, `model` and `choices` are in every chunk, and the same in each"
    )
    fixes: ClassVar[tuple[str, ...]] = ("C29", "C32")
    handles: ClassVar = SHARED_TYPES - {ERROR}
    object_name: ClassVar[str]
    prefix: ClassVar[str]
    """what ids begin with"""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._identity: Body = {}
        """``id``, ``created`` and ``model``, as the first chunk had them"""
        self._id: object = None
        self._created: object = None
        self._model: object = None

    def repair(self, event: Event, view: ChunkView) -> Sequence[Event] | None:  # noqa: ARG002 - a chunk may still be held
        """Return the chunk with what it lacks; nothing for one that is not a chunk (a heartbeat, a notice)."""
        body = event.body
        choices = body.get("choices")
        if type(choices) is list and choices and self._is_right(body):
            return None
        if (type(choices) not in (list, dict) or not choices) and type(body.get("usage")) is not dict:
            return []
        wrong = self._wrong_identity(body)
        if body.get("object") != self.object_name:
            wrong["object"] = self.object_name
        if type(choices) is not list:
            wrong["choices"] = [choices] if type(choices) is dict else []
        for name in ("system_fingerprint", "obfuscation"):
            if name in body and body[name] is not None and type(body[name]) is not str:
                wrong[name] = None
        if body.get("error") is not None:  # empty: it reports nothing
            wrong["error"] = None
        if not wrong:
            return None
        fixed = {**body, **wrong}
        fixed.pop("error", None)
        return [Event(self.kind_of(fixed), fixed)]

    def _is_right(self, body: Body) -> bool:
        """Return whether a chunk has what all have, quickly; False if that needs a closer look."""
        return (
            self._id is not None
            and body.get("id") == self._id
            and type(body.get("created")) is int
            and body["created"] == self._created
            and body.get("model") == self._model
            and body.get("object") == self.object_name
            and body.get("system_fingerprint") is None
            and body.get("obfuscation") is None
            and body.get("error") is None
        )

    def _wrong_identity(self, body: Body) -> Body:
        """Return what the stream is known by, where a chunk says otherwise."""
        identity = self._identity
        if not identity:
            for name in ("id", "created", "model"):
                value = body.get(name)
                identity[name] = value if _is_identity(name, value) else self._invent(name, body)
            self._id, self._created, self._model = identity["id"], identity["created"], identity["model"]
        return {name: value for name, value in identity.items() if not _equals(body.get(name), value)}

    def _invent(self, name: str, body: Body) -> object:
        if name == "id":
            seed = self.context.request.seed.encode() + dump_json(body)
            return self.prefix + sha256(seed).hexdigest()[:32]
        if name == "created":
            created = body.get("created")
            return int(created) if type(created) is float and 0 <= created < _END_OF_TIME else 0
        model = request_body(self.context).get("model")
        return model if type(model) is str else ""


def _equals(one: object, other: object) -> bool:
    """Return whether two values are the same, and of one type: true is not 1."""
    return type(one) is type(other) and one == other


def _is_identity(name: str, value: object) -> bool:
    """Return whether a stream can be known by a value."""
    if name == "created":
        return type(value) is int and 0 <= value < _END_OF_TIME
    return type(value) is str and (value != "" or name == "model")


_END_OF_TIME: Final = 2**53
"""Seconds: no clock shows more, and any float below is a whole number of them or near one."""


class ChoiceShapes(ChunkRepair):
    """Give every choice its shape, and let the other repairs see one at a time.

    A chunk with several choices, which vLLM never sends, is taken apart for the repairs that follow. If none of them has
    anything to do, the completer puts it together again, and it leaves as it came.
    """

    __slots__ = ("_is_only",)

    name: ClassVar = "choice_shapes"
    needed: ClassVar = "the repairs after it see one choice at a time"

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._is_only = self.expected() == 1

    @abstractmethod
    def expected(self) -> int:
        """Return how many choices were asked for; 0 if that is not known."""

    @abstractmethod
    def is_plain(self, event: Event) -> bool:
        """Return whether nothing can be wrong with the choice of an event, as its type says."""

    @abstractmethod
    def wrong_in(self, choice: Body) -> Body:
        """Return the members of a choice that are not what they should be, as they should be; not its index and reason."""

    def repair(self, event: Event, view: ChunkView) -> Sequence[Event] | Verdict | None:  # noqa: ARG002 - it is wrong in itself
        """Return the chunk with choices of the right shape, one for each if it has several."""
        choices = event.body.get("choices")
        if type(choices) is not list:
            return None
        if self.is_plain(event) and not (self._is_only and index_of(choices[0])):
            return None
        shaped = [self._shaped(choice, place) for place, choice in enumerate(choices) if type(choice) is dict]
        is_right = len(shaped) == len(choices) and all(map(_is_same, shaped, choices))
        if len(shaped) < _SEVERAL:
            if is_right:
                return None
            body = {**event.body, "choices": shaped}
            if not shaped and type(body.get("usage")) is not dict:
                return []
            return [Event(self.kind_of(body), body)]
        indexes = {choice["index"] for choice in shaped}
        bodies = [{**event.body, "choices": [choice]} for choice in shaped]
        if is_right and len(indexes) == len(shaped):
            return Released(
                [Part(self.kind_of(body), body, event, place) for place, body in enumerate(bodies)]
            )
        return [Event(self.kind_of(body), body) for body in bodies]

    def _shaped(self, choice: Body, place: int) -> Body:
        """Return a choice in its right shape: the same object if it has it."""
        wrong = self.wrong_in(choice)
        index, reason = choice.get("index"), choice.get("finish_reason")
        if type(index) is not int or index < 0:
            wrong["index"] = 0 if self._is_only else _index(index, place)
        elif self._is_only and index:
            wrong["index"] = 0  # where there is one choice, it is the first
        if reason is not None and not reason:
            wrong["finish_reason"] = None
        return {**choice, **wrong} if wrong else choice


_SEVERAL: Final = 2
_LONGEST_INDEX: Final = 10


def _is_same(one: object, other: object) -> bool:
    return one is other


def _index(index: object, place: int) -> int:
    if type(index) is str and index.isascii() and index.isdecimal() and len(index) < _LONGEST_INDEX:
        return int(index)
    if type(index) is float and index >= 0 and index.is_integer():
        return int(index)
    return place


_TEXT_MEMBERS: Final = ("text", "content", "value", "reasoning", "refusal")
"""Members of an object that stands where a text should, the likeliest first."""
_DEEPEST: Final = 16
"""Levels of objects around a text."""


def flattened(value: Any, depth: int = 0) -> str | None:
    """Return the text in a value of any shape; None if there is none. Never the notation of an object."""
    if type(value) is str:
        return value
    if type(value) is dict and depth < _DEEPEST:
        return next((flattened(value[name], depth + 1) for name in _TEXT_MEMBERS if name in value), None)
    if type(value) is list and depth < _DEEPEST:
        texts = [text for element in value if (text := flattened(element, depth + 1)) is not None]
        return "".join(texts) if texts else None
    return dump_json(value).decode() if type(value) in (int, float) else None


class LateChunks(Repair):
    """Let nothing of a choice follow its finish reason."""

    __slots__ = ()

    name: ClassVar = "late_chunks"
    summary: ClassVar = "nothing of a choice comes after its finish reason"
    fixes: ClassVar[tuple[str, ...]] = ("C12",)
    handles: ClassVar = CHOICE_TYPES

    def repair(self, event: Event, view: ChunkView) -> Sequence[Event] | None:
        """Drop what comes too late."""
        if view.finish_of(index_of(choice_of(event))) is None:
            return None
        return []


class UsageChunks(Repair):
    """Let the usage chunk come once, after the last finish reason, and let its sum be right."""

    __slots__ = ("_early",)

    name: ClassVar = "usage_chunks"
    summary: ClassVar = "the usage chunk comes once, behind the last finish reason, and its total is the sum"
    fixes: ClassVar[tuple[str, ...]] = ("C13", "C32")
    handles: ClassVar = SHARED_TYPES - {ERROR}

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._early: Event | None = None

    def repair(self, event: Event, view: ChunkView) -> Sequence[Event] | Verdict | None:
        """Return the chunk with the right sum; hold the usage chunk that comes too early, drop a second one."""
        usage = event.body.get("usage")
        whole = summed(usage) if type(usage) is dict else usage
        right = event if whole is usage else event.having(usage=whole)
        if event.type == USAGE:
            return self._once(right, view, changed=right is not event)
        if event.type == FINISH and self._early is not None and view.is_last(index_of(choice_of(event))):
            early, self._early = self._early, None
            return [right, early]
        return None if right is event else [right]

    def _once(self, event: Event, view: ChunkView, *, changed: bool) -> Sequence[Event] | Verdict | None:
        if view.usage:
            return []
        if view.is_over:
            return [event] if changed else None
        self._early = event  # the last of several counts all tokens
        return Released(())
