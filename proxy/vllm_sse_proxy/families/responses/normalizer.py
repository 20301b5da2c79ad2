"""The façade: bytes of a damaged stream in, bytes of a conforming stream out. No I/O, no clock.

    normalizer = StreamNormalizer(plan)
    for chunk in upstream: sink(normalizer.feed(chunk)); stop when normalizer.ended
    sink(normalizer.finish(BodyEnd.EOF))

Every byte that a chunk makes possible comes back from that very call: nothing waits for the next chunk, except an
announcement or a closing that a repair holds until the next event shows whether it is right.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.ending import REPORTS, BodyEnd, Ending, Failure
from vllm_sse_proxy.families.responses.engine import RepairEngine, Tally
from vllm_sse_proxy.families.responses.error_reports import read_report, report_in
from vllm_sse_proxy.families.responses.events import END, OPAQUE, Event, decode_text, parse_event
from vllm_sse_proxy.families.responses.grammar import DONE_SENTINEL
from vllm_sse_proxy.families.responses.repairs.base import MAX_FRAME_BYTES, MAX_UNSENT_ITEMS, RequestContext
from vllm_sse_proxy.sse import FrameDecoder, FrameTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vllm_sse_proxy.families.responses.engine import Plan
    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.sse import Frame

_NO_REQUEST: Final = RequestContext()


class StreamNormalizer:
    """One stream.

    :param plan: the process's repairs.
    :param request: what is known of the request.
    :param starting_after: tell only what comes after this number (``GET /v1/responses/{id}?starting_after=N``);
    upstream's bytes
        must be the whole replay.
    :ivar ended: the stream is over for the client: write what was returned, end the body, close upstream.
    :ivar ending: how it ended; None until it has.
    :ivar limit: ``max_frame_bytes``, ``max_text_bytes`` or ``max_unsent_items`` if that ended it.
    """

    def __init__(
        self, plan: Plan, request: RequestContext = _NO_REQUEST, *, starting_after: int | None = None
    ) -> None:
        self._settings = plan.settings
        self._engine = RepairEngine(plan, request, starting_after=starting_after)
        self._decoder = FrameDecoder(max_frame_bytes=plan.settings.max_frame_bytes, skim=self._engine.skim)
        self._said_done = False
        self._stray = _StrayText()
        self._end: BodyEnd | None = None
        self._observed_bytes = False
        self.ended = False
        self.ending: Ending | None = None
        self.limit: str | None = None

    @property
    def tally(self) -> Tally:
        """What this stream needed so far."""
        return self._engine.tally

    @property
    def committed(self) -> bool:
        """Whether upstream told anything but an error: if not, and ``ended``, the client is better served by an HTTP error."""
        return self._engine.view.heard or (self._settings.observe and self._observed_bytes)

    @property
    def next_number(self) -> int:
        """The ``sequence_number`` that the next event takes."""
        return self._engine.view.next_number

    @property
    def response_id(self) -> str | None:
        """The response's id, once the client knows it."""
        return self._engine.view.response_id

    @property
    def failure(self) -> Failure | None:
        """What to say instead of the stream while it is not ``committed``; None for a stream that has not failed."""
        if self.ending is None or self.ending in _SUCCESSES or self._settings.observe:
            return None
        view = self._engine.view
        if self.ending is Ending.UPSTREAM_ERROR and view.error is not None:
            return reported_failure(view.error.get("error"))
        if self._end is None:
            return reported_failure(view.response.get("error") if view.response is not None else None)
        code, message = REPORTS[self._end]
        return Failure(_STATUSES.get(self._end, HTTPStatus.BAD_GATEWAY), code, message)

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk of upstream's body and return what to send. Never raises.

        After the end (``ended``) every further byte is ignored.
        """
        if self.ended:
            return b""
        if self.ending is not None:  # observe mode, past the end of what is understood
            return chunk
        tally = self._engine.tally
        tally.bytes_in += len(chunk)
        self._observed_bytes = self._observed_bytes or bool(chunk)
        try:
            self._take(self._decoder.read(chunk))
        except FrameTooLargeError:
            self.limit = "max_frame_bytes"
            self._stop(BodyEnd.LIMIT)
        made = self._made()
        if self._settings.observe:
            tally.bytes_out += len(chunk)
            return chunk
        return made

    def finish(self, end: BodyEnd) -> bytes:
        """Upstream's body is over: return the last bytes to send. A second call returns nothing. Never raises."""
        if self.ended or self.ending is not None:
            self.ended = True
            return b""
        if end is BodyEnd.CLIENT_GONE:
            self.ended, self.ending = True, Ending.CLIENT_GONE
            return b""
        self._take_rest(self._decoder.finish(), end)
        self.ended = True
        made = self._made()
        return b"" if self._settings.observe else made

    def _take_rest(self, rest: Frame | None, end: BodyEnd) -> None:
        """Take the frame that had begun when the body ended, and an error that stands outside of all frames."""
        half = rest is not None
        if rest is not None and rest.stray is not None and not rest.data:
            self._stray.add(rest, self.tally.events_in)
            half = not parse_event(rest.stray).body
        elif rest is not None and _is_whole(rest):
            half = False
            if not self._take([rest]):
                return
        report = self._stray.report(self.tally.events_in)
        if report is not None:
            self._engine.process(report)
        if self._engine.view.terminal is None:
            self._stop(end, half=half)
        else:
            self._close(None)

    def _stop(self, end: BodyEnd, *, half: bool = False) -> None:
        """Let the repairs bring what was told to its end.

        :param half: the body ended in the middle of a frame.
        """
        self._engine.process(Event(END, {"end": end, "said_done": self._said_done, "half": half}))
        self._close(end)

    def _take(self, frames: Iterable[Frame]) -> bool:
        """Take frames; return whether the stream goes on behind them."""
        engine = self._engine
        view = engine.view
        for frame in frames:
            if frame.comment is not None:
                engine.comment(frame.comment)
            elif frame.data.startswith(DONE_SENTINEL):
                self._said_done = True  # an early one is held back: it goes out last, once
            elif frame.stray is not None and not frame.data:
                self._stray.add(frame, engine.tally.events_in)
            else:
                event = parse_event(frame.data, frame.event)
                if event.type is OPAQUE and not event.body:
                    event = _with_stray(event, frame)
                    self._said_done = self._said_done or _is_sentinel(frame.data)
                if event.type in grammar.TERMINAL and _has_too_many_items(event, view):
                    self.limit = "max_unsent_items"
                    self._stop(BodyEnd.LIMIT)
                    return False
                engine.process(event)
                if view.terminal is not None:
                    self._close(None)
                    return False
                if view.size > self._settings.max_text_bytes:
                    self.limit = "max_text_bytes"
                    self._stop(BodyEnd.LIMIT)
                    return False
        return True

    def _close(self, end: BodyEnd | None) -> None:
        """The last event is told: note how it ended, say [DONE]. ``end`` is None after upstream's own terminal event."""
        view = self._engine.view
        self._end = end
        self.ending = _ending(end, view)
        if view.terminal is not None and self._settings.done_sentinel:
            self._engine.sentinel()
        # In observe mode upstream's bytes go on to their own end, whatever was found wrong with them.
        self.ended = not self._settings.observe

    def _made(self) -> bytes:
        made = self._engine.take()
        if not self._settings.observe:
            self._engine.tally.bytes_out += len(made)
        return made


def _has_too_many_items(terminal: Event, view: ClientView) -> bool:
    """Return whether the final output holds more items that were never streamed than any response has."""
    response = terminal.body.get("response")
    output = response.get("output") if type(response) is dict else None
    return type(output) is list and len(output) > len(view.items) + MAX_UNSENT_ITEMS


class _StrayText:
    """Lines of the body that look like JSON and are no field, in case they are an error and upstream's last words."""

    __slots__ = ("_event_name", "_events_before", "_lines", "_size")

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._events_before = 0
        self._event_name: str | None = None

    def add(self, frame: Frame, events_before: int) -> None:
        """Keep the lines of a frame; those of earlier frames only if no event came between.

        :param events_before: how many events came before the frame.
        """
        if events_before != self._events_before or self._size > MAX_FRAME_BYTES:
            self._lines = []
            self._size = 0
        self._lines.append(frame.stray or b"")
        self._size += len(frame.stray or b"")
        self._events_before = events_before
        self._event_name = frame.event

    def report(self, events: int) -> Event | None:
        """Return the error that the body ends with, as an event; None if there is none.

        :param events: how many events came in all.
        """
        if not self._lines or events != self._events_before:
            return None
        text = b"\n".join(self._lines)
        event = parse_event(text, self._event_name)
        if not event.body:  # a list of errors, if it is anything
            event = parse_event(b'{"errors":%b}' % text, self._event_name)
        report = report_in(event, bare=True) if event.body else None
        return None if report is None else Event(OPAQUE, {**read_report(report), "object": grammar.ERROR})


def _with_stray(event: Event, frame: Frame) -> Event:
    """Return the event of a frame whose data is no JSON, but is with the lines behind it that are no field."""
    if frame.stray is None:
        return event
    whole = parse_event(b"\n".join((frame.data, frame.stray)), frame.event)
    return whole if whole.body else event


def _is_sentinel(data: bytes) -> bool:
    """Return whether a payload that is no JSON is ``[DONE]``, behind a byte order mark or white space."""
    return decode_text(data).strip().startswith(DONE_SENTINEL.decode())


def _is_whole(rest: Frame) -> bool:
    """Return whether nothing is missing of the last frame but its blank line: its JSON is whole."""
    event = parse_event(rest.data, rest.event)
    return rest.data == DONE_SENTINEL or bool(event.body or _with_stray(event, rest).body)


_SUCCESSES: Final = frozenset({Ending.COMPLETED, Ending.INCOMPLETE, Ending.UNTERMINATED, Ending.CLIENT_GONE})
_STATUSES: Final = {
    BodyEnd.IDLE_TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    BodyEnd.SHUTDOWN: HTTPStatus.SERVICE_UNAVAILABLE,
}
_OF_TERMINAL: Final = {
    grammar.COMPLETED: Ending.COMPLETED,
    grammar.INCOMPLETE: Ending.INCOMPLETE,
    grammar.FAILED: Ending.FAILED,
}


def _ending(end: BodyEnd | None, view: ClientView) -> Ending:
    if view.reported and view.terminal != grammar.COMPLETED:
        return Ending.UPSTREAM_ERROR
    if end is None:
        return _OF_TERMINAL[view.terminal or grammar.FAILED]
    if view.terminal == grammar.COMPLETED:
        return Ending.UNTERMINATED
    if end is BodyEnd.EOF:
        return Ending.TRUNCATED if view.heard else Ending.EMPTY
    if not view.heard and end is BodyEnd.CUT:
        return Ending.EMPTY
    return Ending(end.value)


def reported_failure(error: object) -> Failure:
    """Return an error object of upstream's as a failure; the HTTP status that its ``code`` or its ``type`` names, else 502."""
    detail = error if isinstance(error, dict) else {}
    code, message, type_ = detail.get("code"), detail.get("message"), detail.get("type")
    statuses = (_STATUS_OF_ERROR.get(str(name)) for name in (code, type_) if isinstance(name, int | str))
    return Failure(
        next((status for status in statuses if status is not None), HTTPStatus.BAD_GATEWAY),
        str(code) if isinstance(code, int | str) and code != "" else "upstream_error",
        message if isinstance(message, str) and message else "The upstream server reported an error.",
        type_ if isinstance(type_, str) and type_ else "server_error",
    )


_STATUS_OF_ERROR: Final = {
    **{str(status.value): status for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST},
    **dict.fromkeys(
        ("BadRequestError", "invalid_request_error", "invalid_prompt", "context_length_exceeded"),
        HTTPStatus.BAD_REQUEST,
    ),
    **dict.fromkeys(
        ("AuthenticationError", "authentication_error", "invalid_api_key"), HTTPStatus.UNAUTHORIZED
    ),
    **dict.fromkeys(("PermissionDeniedError", "permission_error"), HTTPStatus.FORBIDDEN),
    **dict.fromkeys(("NotFoundError", "not_found_error", "model_not_found"), HTTPStatus.NOT_FOUND),
    **dict.fromkeys(
        ("RateLimitError", "rate_limit_error", "rate_limit_exceeded", "insufficient_quota"),
        HTTPStatus.TOO_MANY_REQUESTS,
    ),
    **dict.fromkeys(
        ("ServiceUnavailableError", "overloaded_error", "server_is_overloaded"),
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
}
"""Code or type of an error → the HTTP status that clients know it by: they send some requests again, and others never."""
