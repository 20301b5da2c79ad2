"""A second family, as small as one can be: unnumbered events of words, which begin with a hello and end with a bye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from vllm_sse_proxy.sse import encode_data
from vllm_sse_proxy.stream.correction import Correction, Station
from vllm_sse_proxy.stream.ending import Ending, Failure
from vllm_sse_proxy.stream.event import END, OPAQUE, Event, serialize_event
from vllm_sse_proxy.stream.exit import Writer
from vllm_sse_proxy.stream.family import Family
from vllm_sse_proxy.stream.stations import Completer
from vllm_sse_proxy.stream.view import TextView, View

if TYPE_CHECKING:
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.exit import Exit


class ToyView(View):
    """What was said, and whether it began."""

    def __init__(self) -> None:
        super().__init__()
        self.said = TextView()
        self.began = False

    def apply(self, event: Event) -> None:
        self.began = True
        self.heard = self.heard or not event.inserted
        if event.type == "word":
            self.said.grow(event.body["word"])
        elif event.type == "bye":
            self.outcome = Ending.FAILED if event.inserted else Ending.COMPLETED

    def text_of(self, event: Event) -> TextView | None:
        return self.said if event.type == "word" else None

    def words_of(self, event: Event) -> str | None:
        return event.body["word"] if event.type == "word" else None

    def failure(self) -> Failure:
        return Failure(502, "toy", "The toy broke.")


class ToyCompleter(Completer):
    """Says hello before the first event, and bye at the end of a body that said none."""

    def __init__(self, context: StreamContext, view: ToyView, exit_: Exit) -> None:
        self._off, self._view, self._exit = context.disabled, view, exit_

    def complete(self, event: Event) -> None:
        if event.type != "hello" and not self._view.began and "hellos" not in self._off:
            self._exit.correct("hellos")
            self._exit.emit(Event("hello", {"kind": "hello"}, inserted=True))
        if event.type is not END:
            self._exit.emit(event)
        elif "byes" not in self._off:
            self._exit.correct("byes")
            self._exit.emit(Event("bye", {"kind": "bye"}, inserted=True))


class ToyWriter(Writer):
    """Writes an event without number or name."""

    def write(self, event: Event, exit_: Exit) -> None:
        exit_.out.append(encode_data(serialize_event(event)))

    def sentinel(self, out: list[bytes]) -> None:
        out.append(encode_data(b"over"))


class Toy(Family):
    """The family."""

    name = "toy"
    corrections = (
        Correction("hellos", "a stream begins with a hello", ("T01",), Station.COMPLETE),
        Correction("byes", "a stream ends with a bye", ("T02",), Station.COMPLETE),
    )
    deltas = frozenset({"word"})
    types = frozenset({"hello", "word", "bye"})

    def read(self, data: bytes, name: str | None) -> Event:
        try:
            body = orjson.loads(data)
        except ValueError:
            body = None
        if type(body) is not dict:
            return Event(OPAQUE, {}, data, name=name)
        kind = "word" if type(body.get("word")) is str else str(body.get("kind"))
        return Event(kind, body, data)

    def view(self) -> ToyView:
        return ToyView()

    def completer(self, context: StreamContext, view: View, exit_: Exit) -> ToyCompleter:
        assert isinstance(view, ToyView)
        return ToyCompleter(context, view, exit_)

    def writer(self, context: StreamContext, view: View) -> ToyWriter:  # noqa: ARG002 - it needs nothing
        return ToyWriter()


TOY = Toy()
