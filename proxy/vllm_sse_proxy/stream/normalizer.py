"""The façade: bytes of a damaged stream in, bytes of a conforming stream out. No I/O, no clock.

    normalizer = StreamNormalizer(plan)
    for chunk in upstream: sink(normalizer.feed(chunk)); stop when normalizer.ended
    sink(normalizer.finish(BodyEnd.EOF))

Every byte that a chunk makes possible comes back from that very call: nothing waits for the next chunk, except what a repair
holds until the next event shows whether it is right.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy.sse import FrameDecoder, FrameTooLargeError
from vllm_sse_proxy.stream.context import RequestContext
from vllm_sse_proxy.stream.ending import REPORTS, BodyEnd, Ending, Failure
from vllm_sse_proxy.stream.engine import Engine
from vllm_sse_proxy.stream.event import END, OPAQUE, SENTINEL, Event
from vllm_sse_proxy.stream.payload import BEGINNINGS_OF_OBJECTS, decode_text
from vllm_sse_proxy.stream.settings import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vllm_sse_proxy.sse import Frame
    from vllm_sse_proxy.stream.family import Family
    from vllm_sse_proxy.stream.plan import Plan
    from vllm_sse_proxy.stream.tally import Tally
    from vllm_sse_proxy.stream.view import View

MAX_UNREADABLE_PAYLOADS: Final = 10_000
"""Payloads that begin like an object and that no reader understands: each takes two readers of JSON, and an exception of each.
A stream with so many is not one of vLLM's any more."""
_EMPTY_OBJECT: Final = b"{}"
_NO_REQUEST: Final = RequestContext()
_BLANK_LINE: Final = b"\n\n"


class StreamNormalizer:
    """One stream.

    :param plan: the process's repairs.
    :param request: what is known of the request.
    :param starting_after: emit only events after this number (``GET /v1/responses/{id}?starting_after=N``); upstream's bytes
        must be the whole replay.
    :ivar ended: the stream is over for the client: write what was returned, end the body, close upstream.
    :ivar ending: how it ended; None until it has.
    :ivar limit: which of its family's limits ended it; None if none did.
    """

    def __init__(
        self, plan: Plan, request: RequestContext = _NO_REQUEST, *, starting_after: int | None = None
    ) -> None:
        self._settings = plan.settings
        self._family = plan.family
        self._engine = Engine(plan, request, starting_after=starting_after)
        self._view = self._engine.exit.view
        self._decoder = FrameDecoder(max_frame_bytes=plan.settings.max_frame_bytes)
        self._said_done = False
        self._unreadable = 0
        self._stray = _StrayText()
        self._end: BodyEnd | None = None
        self._observed_bytes = False
        self.ended = False
        self.ending: Ending | None = None
        self.limit: str | None = None

    @property
    def view(self) -> View:
        """What the client has been sent so far."""
        return self._view

    @property
    def tally(self) -> Tally:
        """What this stream needed so far."""
        return self._engine.exit.tally

    @property
    def committed(self) -> bool:
        """Whether an event of upstream's other than an error was emitted: if not, an HTTP error serves the client better."""
        return self._view.heard or (self._settings.observe and self._observed_bytes)

    @property
    def next_number(self) -> int:
        """The ``sequence_number`` that the next event takes."""
        return self._view.next_number

    @property
    def response_id(self) -> str | None:
        """The response's id, once the client knows it."""
        return self._view.response_id

    @property
    def failure(self) -> Failure | None:
        """What to say instead of the stream while it is not ``committed``; None for a stream that has not failed."""
        if self.ending is None or self.ending in _SUCCESSES or self._settings.observe:
            return None
        if self._end is None or (self.ending is Ending.UPSTREAM_ERROR and self._view.reported):
            return self._view.failure()
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
        tally = self._engine.exit.tally
        tally.bytes_in += len(chunk)
        self._observed_bytes = self._observed_bytes or bool(chunk)
        begins = self._decoder.begins_with(chunk)
        made = self._engine.rewritten(chunk) if begins else None
        if made is None:
            frame = self._decoder.plain(chunk) if begins else None
            if frame is None:
                self._take_chunk(chunk)
            else:
                self._take_frame(frame)
            made = self._engine.exit.take()
        if self._settings.observe:
            made = chunk
        tally.bytes_out += len(made)
        return made

    def _take_chunk(self, chunk: bytes) -> None:
        """Take a chunk that is anything but one plain frame."""
        blocks = self._decoder.split(chunk)
        if blocks is not None:
            self._take_blocks(blocks)
        else:
            try:
                self._take(self._decoder.read(chunk))
            except FrameTooLargeError:
                self.limit = "max_frame_bytes"
                self._stop(BodyEnd.LIMIT)

    def finish(self, end: BodyEnd) -> bytes:
        """Upstream's body is over: return the last bytes to send. A second call returns nothing. Never raises."""
        if self.ended or self.ending is not None:
            self.ended = True
            return b""
        if end is BodyEnd.CLIENT_GONE:
            self.ended, self.ending = True, Ending.CLIENT_GONE
            if self._settings.observe:
                self.tally.observed()
            return b""
        self._take_rest(self._decoder.finish(), end)
        self.ended = True
        made = self._engine.exit.take()
        if self._settings.observe:
            return b""
        self.tally.bytes_out += len(made)
        return made

    def _take_rest(self, rest: Frame | None, end: BodyEnd) -> None:
        """Take the frame that had begun when the body ended, and an error that stands outside of all frames."""
        half = rest is not None
        if rest is not None and rest.stray is not None and not rest.data:
            self._stray.add(rest, self.tally.events_in)
            half = not self._family.read(rest.stray, None).body
        elif rest is not None and self._is_whole(rest):
            half = False
            if not self._take([rest]):
                return
        report = self._stray.report(self.tally.events_in, self._family)
        if report is not None:
            self._engine.process(report)
        if self._view.outcome is None:
            self._stop(end, half=half)
        else:
            self._close(None)

    def _is_whole(self, rest: Frame) -> bool:
        """Return whether nothing is missing of the last frame but its blank line: its JSON is whole."""
        return rest.data == SENTINEL or bool(self._read(rest).body)

    def _read(self, frame: Frame) -> Event:
        """Return the event of a frame; data that is not JSON may be JSON together with the stray lines after it."""
        data = frame.data
        if data and data[0] not in BEGINNINGS_OF_OBJECTS:
            return Event(OPAQUE, {}, data, name=frame.event)
        event = self._family.read(data, frame.event)
        if frame.stray is None or event.body:
            return event
        whole = self._family.read(b"\n".join((data, frame.stray)), frame.event)
        return whole if whole.body else event

    def _stop(self, end: BodyEnd, *, half: bool = False) -> None:
        """Complete what was emitted, at the end of the body.

        :param half: the body ended in the middle of a frame.
        """
        self._engine.process(Event(END, {"end": end, "said_done": self._said_done, "half": half}))
        self._close(None if self._view.is_over else end)

    def _take_blocks(self, blocks: list[bytes]) -> None:
        """Take whole blocks of lines."""
        engine = self._engine
        for block in blocks:
            made = engine.rewritten(block + _BLANK_LINE)
            if made is not None:
                engine.exit.out.append(made)
                continue
            for frame in self._decoder.parse(block):
                if not self._take_frame(frame):
                    return

    def _take(self, frames: Iterable[Frame]) -> bool:
        """Take frames; return whether the stream goes on behind them."""
        engine = self._engine
        for frame in frames:
            made = engine.rewritten(frame.block + _BLANK_LINE) if frame.block else None
            if made is not None:
                engine.exit.out.append(made)
            elif not self._take_frame(frame):
                return False
        return True

    def _take_frame(self, frame: Frame) -> bool:
        """Take a frame; return whether the stream goes on behind it."""
        if frame.comment is not None:
            self._engine.comment(frame.comment)
        elif frame.data.startswith(SENTINEL):
            self._said_done = True
            if self._view.is_over:
                self._stop(BodyEnd.EOF)
                return False
        elif frame.stray is not None and not frame.data:
            self._stray.add(frame, self.tally.events_in)
        else:
            return self._take_event(frame)
        return True

    def _take_event(self, frame: Frame) -> bool:
        """Take the event of a frame; return whether the stream goes on behind it."""
        view = self._view
        event = self._read(frame)
        self.limit = self._family.exceeds(event, view)
        if event.type is OPAQUE and not event.body:
            self._take_note_of_unreadable(frame.data)
        if self.limit is None:
            self._engine.process(event, frame.block + _BLANK_LINE if frame.block else None)
            if view.outcome is not None:
                self._close(None)
                return False
            if view.size <= self._settings.max_text_bytes:
                return True
            self.limit = "max_text_bytes"
        self._stop(BodyEnd.LIMIT)
        return False

    def _take_note_of_unreadable(self, data: bytes) -> None:
        """Take note of a payload that holds nothing: it may be ``[DONE]`` spelled otherwise, or one too many."""
        # Behind a byte order mark or white space.
        if b"[" in data and decode_text(data).strip().startswith(SENTINEL.decode()):
            self._said_done = True
        if data and data[0] in BEGINNINGS_OF_OBJECTS and data != _EMPTY_OBJECT:
            self._unreadable += 1
            if self._unreadable > MAX_UNREADABLE_PAYLOADS:
                self.limit = "max_unreadable_payloads"

    def _close(self, end: BodyEnd | None) -> None:
        """Note how the stream ended, and emit [DONE]. ``end`` is None after upstream's own terminal event."""
        self._end = end
        self.ending = _ending(end, self._view)
        if self._view.outcome is not None and self._settings.done_sentinel:
            self._engine.exit.sentinel()
        # In observe mode upstream's bytes go on to their own end, whatever was found wrong with them.
        self.ended = not self._settings.observe
        if self._settings.observe:
            self.tally.observed()


class _StrayText:
    """Lines of the body that look like JSON and belong to no field, in case they are an error at the end of the body."""

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

    def report(self, events: int, family: Family) -> Event | None:
        """Return the error that the body ends with, as an event; None if there is none.

        :param events: how many events came in all.
        """
        if not self._lines or events != self._events_before:
            return None
        text = b"\n".join(self._lines)
        event = family.read(text, self._event_name)
        if not event.body:  # a list of errors, if it is anything
            event = family.read(b'{"errors":%b}' % text, self._event_name)
        return family.last_words(event) if event.body else None


_SUCCESSES: Final = frozenset({Ending.COMPLETED, Ending.INCOMPLETE, Ending.UNTERMINATED, Ending.CLIENT_GONE})
_STATUSES: Final = {
    BodyEnd.IDLE_TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    BodyEnd.SHUTDOWN: HTTPStatus.SERVICE_UNAVAILABLE,
}


def _ending(end: BodyEnd | None, view: View) -> Ending:
    outcome = view.outcome
    if view.reported:
        return Ending.UPSTREAM_ERROR
    if end is None:
        return outcome or Ending.FAILED
    if outcome is Ending.COMPLETED:
        return Ending.UNTERMINATED
    if outcome is Ending.INCOMPLETE:
        return outcome
    if end is BodyEnd.EOF:
        return Ending.TRUNCATED if view.heard else Ending.EMPTY
    if not view.heard and end is BodyEnd.CUT:
        return Ending.EMPTY
    return Ending(end.value)
