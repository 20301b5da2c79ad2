"""What the families of chunk streams share: chat completions and completions (and audio in vLLM's own form).

Such a stream is ``data: <chunk>`` again and again, then ``data: [DONE]``. A chunk has the same ``id``, ``created`` and
``model`` as all others, and ``choices``: each with its ``index``, something of its answer, and at its end a finish reason.
There are neither numbers nor events for openings and closings. So a client believes little: which choices have begun, and
which are finished. A stream is over when every choice is finished, or with an error.

An error is ``{"error": {"message", "type", "param", "code"}}`` alone, with a number as code: of all forms it is the only one
that every client that was tested understands (issue 15).
"""

from __future__ import annotations

from abc import abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.texts.passing_text import PassingText
from vllm_sse_proxy.sse import encode_data
from vllm_sse_proxy.stream.context import RequestContext
from vllm_sse_proxy.stream.ending import REPORTS, BodyEnd, Ending, Failure, reported_failure
from vllm_sse_proxy.stream.event import END, OPAQUE, SENTINEL, Event, serialize_event
from vllm_sse_proxy.stream.exit import Writer
from vllm_sse_proxy.stream.family import Family
from vllm_sse_proxy.stream.payload import is_too_deep, read_leniently, read_strictly, with_whole_characters
from vllm_sse_proxy.stream.stations import Completer
from vllm_sse_proxy.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body
    from vllm_sse_proxy.stream.exit import Exit
    from vllm_sse_proxy.stream.view import TextView

ERROR: Final = "error"
"""Type of a payload that reports an error."""
USAGE: Final = "usage"
"""Type of a chunk without choices that has usage."""
CHUNK: Final = "chunk"
"""Type of a chunk without choices, with several, or with one that is not what it should be."""
CHOICE: Final = "choice"
"""Type of a chunk with one choice that is none of the following."""
FINISH: Final = "finish"
"""Type of a chunk with one choice that has a finish reason."""
TEXT: Final = "text"
"""Type of a chunk with one choice that only adds words to one text."""

OVER: Final = frozenset({END, ERROR})
"""Types of what ends all choices: what is held for one goes on before it."""

CHOICE_TYPES: Final = frozenset({CHOICE, FINISH, TEXT})
SHARED_TYPES: Final = frozenset({ERROR, USAGE, CHUNK, *CHOICE_TYPES})

CUT_REASONS: Final = frozenset({"length", "content_filter"})
"""Finish reasons of an answer that is not whole."""

UNFINISHED: Final = "unfinished_streams"
"""Name of the correction of a stream that ends too early."""
ERROR_PAYLOADS: Final = "error_payloads"
"""Name of the repair of errors."""

_SIZE_OF_CHOICE: Final = 500
"""What a choice costs in memory beside its text, in characters."""


def read_chunk(data: bytes) -> Body | None:
    """Return the object of a payload; None for anything but strict JSON. Never raises."""
    try:
        body = read_strictly(data)
    except (ValueError, RecursionError):
        return None
    return body if type(body) is dict and not is_too_deep(data, body) else None


def read_chunk_leniently(data: bytes) -> Body | None:
    """Return the object that a lenient reader sees in a payload, with whole characters; None if that is nothing either."""
    body = with_whole_characters(read_leniently(data))
    return body if type(body) is dict else None


def is_error(body: Body) -> bool:
    """Return whether a payload reports an error: today's form, the flat one of old releases, or one beside choices."""
    error = body.get("error")
    return body.get("object") == "error" or bool(error) or (error is not None and not body.get("choices"))


def kind_of_chunk(body: Body, kind_of_choice: Callable[[Body], str]) -> str:
    """Return the type of a chunk.

    :param kind_of_choice: returns it for a chunk that has nothing but this one choice.
    """
    if is_error(body):
        return ERROR
    choices = body.get("choices")
    if type(choices) is not list or len(choices) > 1:
        return CHUNK
    if not choices:
        return USAGE if type(body.get("usage")) is dict else CHUNK
    choice = choices[0]
    return kind_of_choice(choice) if type(choice) is dict else CHUNK


def choice_of(event: Event) -> Body:
    """Return the first choice of an event; an empty object if it has none."""
    choices = event.body.get("choices")
    choice = choices[0] if type(choices) is list and choices else None
    return choice if type(choice) is dict else {}


def index_of(choice: Body) -> int:
    """Return the index of a choice; 0 if it has none."""
    index = choice.get("index")
    return index if type(index) is int else 0


class Part(Event):
    """One of the choices of a chunk that has several: the repairs see one at a time, and the completer joins them again.

    :ivar whole: the chunk.
    :ivar place: which of its choices this is.
    """

    __slots__ = ("place", "whole")

    def __init__(self, type_: str, body: Body, whole: Event, place: int) -> None:
        super().__init__(type_, body)
        self.whole = whole
        self.place = place


def summed(usage: Body) -> Body:
    """Return usage with the total that it should have: the same object if it has that, or if that is unknown."""
    prompt, completion, total = (usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    if type(prompt) is not int or type(completion) is not int or prompt < 0 or completion < 0:
        return usage
    is_right = type(total) is int and total == prompt + completion
    return usage if is_right else {**usage, "total_tokens": prompt + completion}


class ChoiceView:
    """One choice, as the client has it.

    :ivar finish: its finish reason, once that was emitted.
    :ivar texts: its texts, by their names.
    """

    __slots__ = ("finish", "texts")

    def __init__(self) -> None:
        self.finish: str | None = None
        self.texts: dict[str, PassingText] = {}

    def text(self, name: str) -> PassingText:
        """Return one of the texts, from the first delta on."""
        known = self.texts.get(name)
        if known is None:
            known = self.texts[name] = PassingText()
        return known

    def is_blank(self, name: str) -> bool:
        """Return whether nothing but white space of a text was emitted."""
        known = self.texts.get(name)
        return known is None or known.is_blank


class ChunkView(View):
    """What the client of one stream of chunks knows.

    :ivar expected: how many choices were asked for; 0 if that is not known.
    :ivar usage: whether the usage chunk was emitted.
    :ivar has_content: whether anything of an answer was emitted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expected = 0
        self.usage = False
        self.has_content = False
        self._error: object = None
        self._finished = 0
        self._choices: dict[int, ChoiceView] = {}

    @property
    def is_over(self) -> bool:
        """Whether all choices are finished."""
        return 0 < self._finished >= max(len(self._choices), self.expected)

    def is_last(self, index: int) -> bool:
        """Return whether all choices are finished once this one is."""
        begun = len(self._choices) + (index not in self._choices)
        return self.finish_of(index) is None and self._finished + 1 >= max(begun, self.expected)

    def apply(self, event: Event) -> None:
        """Take note of an event that goes out."""
        body = event.body
        if event.type == ERROR:
            self.outcome = Ending.FAILED
            self.reported = not event.inserted
            self._error = body.get("error")
            return
        self.heard = True
        if event.type == USAGE:
            self.usage = True
        choices = body.get("choices")
        if type(choices) is list:
            for choice in choices:
                if type(choice) is dict:
                    self._apply_choice(choice)

    def _apply_choice(self, choice: Body) -> None:
        view = self.begin(index_of(choice))
        self.apply_content(view, choice)
        reason = choice.get("finish_reason")
        if reason is not None and view.finish is None:
            view.finish = reason if type(reason) is str else ""
            self._finished += 1

    def begin(self, index: int) -> ChoiceView:
        """Return the view of a choice, from its first chunk on."""
        view = self._choices.get(index)
        if view is None:
            view = self._choices[index] = self.new_choice()
            self.size += _SIZE_OF_CHOICE
        return view

    def new_choice(self) -> ChoiceView:
        """Return the view of a choice that has not begun."""
        return ChoiceView()

    def apply_content(self, view: ChoiceView, choice: Body) -> None:
        """Take note of what a chunk adds to a choice."""

    def varying_members(self, event: Event) -> tuple[bytes, ...]:
        """Return the names of what is another in each delta beside its words: log probabilities, token ids, usage so far."""
        choice = choice_of(event)
        names = [name.encode() for name in ("logprobs", "token_ids") if choice.get(name) is not None]
        return (*names, b"usage") if event.body.get("usage") is not None else tuple(names)

    def value_left(self, member: bytes, value: Any) -> Any:
        """Return what the repairs leave of token ids or of usage; None if that is not certain."""
        if member == b"usage" and type(value) is dict:
            return summed(value)
        return value if member == b"token_ids" and type(value) is list else None

    def grow(self, text: TextView, piece: str) -> None:
        """Add a piece to a text."""
        text.grow(piece)
        self.size += len(piece)
        self.has_content = self.has_content or piece != ""

    def conclude(self) -> None:
        """Take note that the stream is over, and how: no event says so, only the end that follows the last finish reason."""
        cut = any(view.finish in CUT_REASONS for view in self._choices.values())
        self.outcome = Ending.INCOMPLETE if cut else Ending.COMPLETED

    def finish_of(self, index: int) -> str | None:
        """Return the finish reason of a choice; None while it has none."""
        view = self._choices.get(index)
        return None if view is None else view.finish

    def has_begun(self, index: int) -> bool:
        """Return whether the client knows of a choice."""
        return index in self._choices

    def may_wait(self, index: int) -> bool:
        """Return whether a chunk of a choice may be held: of several, each begins before the next (openai-python's helper)."""
        return self.expected <= 1 or self.has_begun(index)

    def failure(self) -> Failure:
        """Return what upstream's error says."""
        return reported_failure(self._error)


def error_event(message: str, type_: str, code: int, *, inserted: bool = False) -> Event:
    """Return an error as clients understand it."""
    body = {"error": {"message": message, "type": type_, "param": None, "code": code}}
    return Event(ERROR, body, inserted=inserted)


SERVER_ERROR: Final = "InternalServerError"
UNAVAILABLE: Final = "ServiceUnavailableError"
"""Types of errors, as vLLM names them."""

_STATUSES: Final = {
    BodyEnd.IDLE_TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    BodyEnd.SHUTDOWN: HTTPStatus.SERVICE_UNAVAILABLE,
}


class ChunkCompleter(Completer):
    """The station that emits: joins the parts of a chunk that need no repair, and ends the stream."""

    def __init__(self, context: StreamContext, view: ChunkView, exit_: Exit) -> None:
        self._view = view
        self._exit = exit_
        self._ends = UNFINISHED not in context.disabled
        self._checks_codes = ERROR_PAYLOADS not in context.disabled
        self._parts: list[Part] = []

    def complete(self, event: Event) -> None:
        """Emit an event; for END, an error if a choice has no end. Nothing follows an error."""
        if self._view.outcome is not None:
            return
        if isinstance(event, Part):
            self._join(event)
            return
        self.release()
        if event.type is END:
            self._end(event)
        else:
            self._exit.emit(self._with_true_code(event) if event.type == ERROR else event)

    def _with_true_code(self, event: Event) -> Event:
        """Return an error whose code is true for what left right before it, held by a repair when the code was looked at."""
        error = event.body.get("error")
        code = error.get("code") if type(error) is dict else None
        is_false = type(code) is int and HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR
        if type(error) is not dict or not is_false or not self._view.has_content or not self._checks_codes:
            return event
        self._exit.correct(ERROR_PAYLOADS)
        return event.having(
            error={**error, "type": SERVER_ERROR, "code": int(HTTPStatus.INTERNAL_SERVER_ERROR)}
        )

    def release(self) -> None:
        """Emit the parts of a chunk that are still waiting for the others."""
        if self._parts:
            parts, self._parts = self._parts, []
            for part in parts:
                self._exit.emit(part)

    def _join(self, part: Part) -> None:
        parts = self._parts
        if part.place != len(parts) or (parts and parts[0].whole is not part.whole):
            self.release()
        if part.place != len(self._parts):
            self._exit.emit(part)
            return
        self._parts.append(part)
        choices = part.whole.body["choices"]
        if len(self._parts) == len(choices):
            self._parts = []
            self._exit.emit(part.whole)

    def _end(self, event: Event) -> None:
        view, exit_ = self._view, self._exit
        said_done = event.body.get("said_done") is True
        if view.is_over:
            view.conclude()
            if not said_done:
                exit_.correct(UNFINISHED)
        elif self._ends:
            end = event.body["end"]
            status = _STATUSES.get(end, HTTPStatus.BAD_GATEWAY)
            type_ = UNAVAILABLE if status is HTTPStatus.SERVICE_UNAVAILABLE else SERVER_ERROR
            exit_.correct(UNFINISHED)
            exit_.emit(error_event(REPORTS[end][1], type_, int(status), inserted=True))
        elif said_done:
            exit_.sentinel()


class ChunkWriter(Writer):
    """Writes ``data:`` frames without names or numbers."""

    def write(self, event: Event, exit_: Exit) -> None:
        """Add the event's frame."""
        exit_.out.append(encode_data(serialize_event(event)))

    def sentinel(self, out: list[bytes]) -> None:
        """Add ``data: [DONE]``."""
        out.append(encode_data(SENTINEL))


class ChunkFamily(Family):
    """What families of chunk streams have in common.

    :ivar unremembered: members of a request that are its input, which no repair needs.
    """

    unremembered: frozenset[str] = frozenset()

    @abstractmethod
    def kind_of(self, body: Body) -> str:
        """Return the type of a chunk."""

    def context(self, resource: str, body: Mapping[str, Any] | None) -> RequestContext:
        """Return what the repairs may know of a request: all but its input, which may be long."""
        if body is None:
            return RequestContext(seed=resource)
        kept = {name: value for name, value in body.items() if name not in self.unremembered}
        return RequestContext(seed=resource, body=kept)

    def error(self, message: str, type_: str, code: str) -> dict[str, Any]:
        """Return the body of an HTTP error; the code is a number where upstream sent one."""
        number: int | str = int(code) if code.isdecimal() and code.isascii() and len(code) < _DIGITS else code
        return {"error": {"message": message, "type": type_, "param": None, "code": number}}

    def read(self, data: bytes, name: str | None) -> Event:
        """Read one payload."""
        body = read_chunk(data)
        if body is not None:
            return Event(self.kind_of(body), body, data, name=name)
        return Event(OPAQUE, read_chunk_leniently(data) or {}, data, name=name)

    def last_words(self, event: Event) -> Event | None:
        """Return the error that stray text at the end of a body is; None if it is none."""
        body = event.body
        errors = body.get("errors")
        if type(errors) is list and errors and len(body) == 1:
            first = errors[0]
            body = first if type(first) is dict else {}
        return Event(ERROR, body) if is_error(body) else None


_DIGITS: Final = 10


def request_body(context: StreamContext) -> Mapping[str, Any]:
    """Return the body of the request; an empty one if it is not known."""
    body = context.request.body
    return {} if body is None else body


def positive(value: object) -> int:
    """Return a number of things that were asked for; 0 for what is none."""
    return value if type(value) is int and value > 0 else 0
