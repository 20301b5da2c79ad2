"""The client's view: what the client has been sent so far.

It records what was emitted, which may differ from what upstream sent. Only the engine's exit writes it
(:meth:`ClientView.apply`, for every event that is emitted); repairs read it. It accepts any event: one that makes no sense,
which is possible only while repairs are switched off, changes nothing.

Memory is bounded by what was emitted: one accumulator for every text, one small object for every item and part.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.grammar import Holder, ItemKind, TextRun, item_kind
from vllm_sse_proxy.stream.ending import Ending, reported_failure
from vllm_sse_proxy.stream.event import dump_json
from vllm_sse_proxy.stream.view import TextView, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vllm_sse_proxy.stream.ending import Failure
    from vllm_sse_proxy.stream.event import Body, Event


class RunView(TextView):
    """A growing text: of a part, or of an item's own run.

    :ivar done: the run's done event was emitted; no delta may follow.
    :ivar settled: the text of that event, if it differs from the sum of the deltas (a call's arguments).
    :ivar waiting: what a closing says that waits for the terminal event; None without one.
    """

    __slots__ = ("done", "run", "settled", "waiting")

    def __init__(self, run: TextRun | None) -> None:
        super().__init__()
        self.run = run
        self.done = False
        self.settled: str | None = None
        self.waiting: str | None = None

    @property
    def length(self) -> int:
        """How many characters the deltas have said."""
        return self._pieces.tell()

    @property
    def text(self) -> str:
        """The whole as the client has it."""
        return self._pieces.getvalue() if self.settled is None else self.settled


class PartView(RunView):
    """A content part or a summary part of an item.

    :ivar part: the part object as it was emitted last (``added``, then ``done``).
    :ivar logprobs: those of the deltas, in order.
    :ivar annotations: those of ``annotation.added`` events, in order.
    """

    __slots__ = ("annotations", "closed", "index", "logprobs", "part", "type")

    def __init__(self, index: int, part: Body) -> None:
        type_ = part.get("type")
        self.type: str = type_ if isinstance(type_, str) else ""
        super().__init__(grammar.RUN_OF_PART.get(self.type))
        self.index = index
        self.part = part
        self.closed = False
        self.annotations: list[Any] = []
        self.logprobs: list[Any] = []


class ItemView:
    """An output item as the client knows it.

    :ivar item: the item object as it was emitted last (``added``, then ``done``).
    :ivar own: the item's own text (arguments, input, code), if its kind has one.
    :ivar progress: types of the item's events without content that were emitted.
    :ivar is_closed_by_upstream: its closing came from upstream; the proxy did not insert it.
    """

    __slots__ = (
        "closed",
        "id",
        "index",
        "is_closed_by_upstream",
        "item",
        "kind",
        "own",
        "parts",
        "progress",
        "summaries",
    )

    def __init__(self, index: int, item: Body) -> None:
        self.index = index
        self.item = item
        id_ = item.get("id")
        self.id: str = id_ if isinstance(id_, str) else ""
        self.kind: ItemKind = item_kind(item.get("type"))
        self.own: RunView | None = RunView(self.kind.run) if self.kind.run is not None else None
        self.parts: list[PartView] = []
        self.summaries: list[PartView] = []
        self.progress: dict[str, None] = {}
        self.closed = False
        self.is_closed_by_upstream = False

    @property
    def type(self) -> str:
        """The item's type, as it was announced."""
        return self.kind.type

    def parts_of(self, event: Event) -> list[PartView]:
        """Return the parts among which the part of an event is counted: summaries or content parts."""
        return self.summaries if event.type in grammar.SUMMARY_EVENTS else self.parts

    def holders(self, run: TextRun) -> list[PartView]:
        """Return the parts among which a run's part is counted: summaries or content parts."""
        return self.summaries if run.holder is Holder.SUMMARY else self.parts

    def text_at(self, run: TextRun, index: object) -> RunView | None:
        """Return the text that an event of ``run`` with this part index addresses; None if there is none."""
        if run.holder is Holder.ITEM:
            return self.own if self.own is not None and self.own.run is run else None
        return part_at(self.holders(run), index)

    def open_parts(self) -> list[PartView]:
        """Return the parts that were announced and not closed: the youngest, since a part is closed before the next one."""
        return [*_open_at_the_end(self.summaries), *_open_at_the_end(self.parts)]


def _open_at_the_end(parts: list[PartView]) -> list[PartView]:
    at = len(parts)
    while at and not parts[at - 1].closed:
        at -= 1
    return parts[at:]


def part_at(parts: list[PartView], index: object) -> PartView | None:
    """Return the part with this index; None if ``parts`` has no such index."""
    if type(index) is int and 0 <= index < len(parts):
        return parts[index]
    return None


def part_index(event: Event) -> object:
    """Return the index of the part that an event belongs to; None for events without a part, whatever fields they carry."""
    if event.type in grammar.PART_EVENTS:
        return event.body.get("content_index")
    return event.body.get("summary_index") if event.type in grammar.SUMMARY_EVENTS else None


class ClientView(View):
    """What the client of one stream knows.

    :ivar response: the response object of the last lifecycle event.
    :ivar error: the last ``error`` event's body.
    :ivar terminal: type of the terminal event; nothing may follow it.
    :ivar open: the items that were announced and not closed, by their index.
    :ivar by_call_id: the calls by their ``call_id``; of two with the same one, the first.
    :ivar echo: the tools that the response echoes, once they were read (:func:`.echo.echo_at`).
    :ivar final_match: the match of the final output, once there is one (:func:`.final_match.match_final`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.response: Body | None = None
        self.error: Body | None = None
        self.created = False
        self.queued = False
        self.in_progress = False
        self.terminal: str | None = None
        self.items: list[ItemView] = []
        self.by_id: dict[str, ItemView] = {}
        self.by_call_id: dict[str, ItemView] = {}
        self.open: dict[int, ItemView] = {}
        self.final_match: Any = None
        self.echo: Any = None
        self._openais: tuple[object, bool] = (None, False)

    @property
    def response_id(self) -> str | None:
        """The response's id, once the client knows it."""
        id_ = self.response.get("id") if self.response is not None else None
        return id_ if isinstance(id_, str) and id_ else None

    @property
    def looks_like_openai(self) -> bool:
        """Whether the response is one of OpenAI's own API, as far as the client knows."""
        if self._openais[0] is not self.response:
            self._openais = (self.response, grammar.looks_like_openai(self.response))
        return self._openais[1]

    def item_of(self, body: Body) -> ItemView | None:
        """Return the item that an event's ``item_id`` names; without one, the item at its ``output_index``."""
        id_ = body.get("item_id")
        if type(id_) is str:
            return self.by_id.get(id_)
        index = body.get("output_index")
        if id_ is None and type(index) is int and 0 <= index < len(self.items):
            return self.items[index]
        return None

    def open_items(self) -> list[ItemView]:
        """Return the items that were announced and not closed."""
        return list(self.open.values())

    def youngest(self) -> Iterator[ItemView]:
        """Yield the items that are open, the youngest first, and no more of them than a real stream ever has."""
        return islice(reversed(self.open.values()), _OPEN_AT_ONCE)

    def apply(self, event: Event) -> None:
        """Take note of an event that goes out."""
        note = _NOTES.get(event.type)
        if note is not None:
            note(self, event)
        elif event.type in grammar.KIND_OF_EVENT:
            self._progress(event)
        if not event.inserted and event.type not in _REPORTS_OF_ERROR:
            self.heard = True

    def text_of(self, event: Event) -> RunView | None:
        """Return the text that a delta goes on with; None if the client knows of none."""
        body = event.body
        item = self.item_of(body)
        if item is None or type(body.get("delta")) is not str:
            return None
        return item.text_at(grammar.RUN_OF_DELTA[event.type], part_index(event))

    def words_of(self, event: Event) -> str | None:
        """Return the words of a delta; None if it carries more (logprobs, vendors' fields), which must be read each time."""
        words: object = event.body.get("delta")
        if type(words) is not str or any(
            isinstance(value, (dict, list)) and len(value) > 0 for value in event.body.values()
        ):
            return None
        return words

    def idle_index(self, event: Event) -> bytes:
        """Return the index that makes no difference: that of the only part of an item (R05)."""
        item = self.item_of(event.body)
        if item is None or (
            event.type not in grammar.PART_EVENTS and event.type not in grammar.SUMMARY_EVENTS
        ):
            return b""
        if len(item.parts_of(event)) != 1:
            return b""
        return b"summary_index" if event.type in grammar.SUMMARY_EVENTS else b"content_index"

    def failure(self) -> Failure:
        """Return the error that upstream reported."""
        if self.error is not None and self.reported:
            return reported_failure(self.error.get("error"))
        return reported_failure(self.response.get("error") if self.response is not None else None)

    def _delta(self, event: Event) -> None:
        text = self.text_of(event)
        if text is None:
            return
        piece = event.body["delta"]
        text.grow(piece)
        self.size += len(piece)
        logprobs = event.body.get("logprobs") if event.type == grammar.OUTPUT_TEXT.delta else None
        if logprobs and isinstance(text, PartView) and type(logprobs) is list:
            text.logprobs.extend(logprobs)
            self.size += _weight(logprobs)

    def _text_done(self, event: Event) -> None:
        body = event.body
        run = grammar.RUN_OF_DONE[event.type]
        item = self.item_of(body)
        text = item.text_at(run, part_index(event)) if item is not None else None
        if text is not None:
            text.done = True
            said = event.body.get(run.done_field)
            if run.holder is Holder.ITEM and type(said) is str and said != text.text:
                text.settled = said

    def _annotation(self, event: Event) -> None:
        body = event.body
        item = self.item_of(body)
        part = part_at(item.parts, body.get("content_index")) if item is not None else None
        if part is not None:
            part.annotations.append(body.get("annotation"))
            self.size += _weight(body)

    def _part_added(self, event: Event) -> None:
        body = event.body
        item = self.item_of(body)
        part = body.get("part")
        if item is not None and type(part) is dict:
            parts = item.summaries if event.type in grammar.SUMMARY_EVENTS else item.parts
            parts.append(PartView(len(parts), part))
            self.size += _weight(part)

    def _part_done(self, event: Event) -> None:
        body = event.body
        item = self.item_of(body)
        if item is None:
            return
        parts = item.summaries if event.type in grammar.SUMMARY_EVENTS else item.parts
        view = part_at(parts, part_index(event))
        if view is not None:
            view.closed = True
            part = body.get("part")
            if type(part) is dict:
                view.part = part

    def _item_added(self, event: Event) -> None:
        body = event.body
        item = body.get("item")
        if type(item) is dict:
            view = ItemView(len(self.items), item)
            self.items.append(view)
            self.size += _weight(item)
            self.by_id[view.id] = view
            self.open[view.index] = view
            call_id = item.get("call_id")
            if type(call_id) is str and call_id:
                self.by_call_id.setdefault(call_id, view)

    def _item_done(self, event: Event) -> None:
        item: Body = event.body["item"]
        view = self.by_id.get(item["id"])
        if view is not None:
            view.closed = True
            view.is_closed_by_upstream = not event.inserted
            view.item = item
            self.open.pop(view.index, None)

    def _progress(self, event: Event) -> None:
        item = self.item_of(event.body)
        if item is not None:
            item.progress[event.type] = None

    def _lifecycle(self, event: Event) -> None:
        body = event.body
        type_ = event.type
        response = body.get("response")
        if type(response) is dict:
            self.response = response
        if type_ == grammar.CREATED:
            self.created = True
        elif type_ == grammar.QUEUED:
            self.queued = True
        elif type_ == grammar.IN_PROGRESS:
            self.in_progress = True
        else:
            self.terminal = type_
            self.outcome = _OUTCOMES[type_]

    def _error(self, event: Event) -> None:
        self.error = event.body
        self.reported = self.reported or not event.inserted


_OUTCOMES: Final = {
    grammar.COMPLETED: Ending.COMPLETED,
    grammar.INCOMPLETE: Ending.INCOMPLETE,
    grammar.FAILED: Ending.FAILED,
}
_REPORTS_OF_ERROR: Final = frozenset({grammar.ERROR, grammar.FAILED})
_NOTES: Final[dict[str, Callable[[ClientView, Event], None]]] = {
    **dict.fromkeys(grammar.RUN_OF_DELTA, ClientView._delta),  # noqa: SLF001 - the table of this class's own methods
    **dict.fromkeys(grammar.RUN_OF_DONE, ClientView._text_done),  # noqa: SLF001
    **dict.fromkeys(grammar.LIFECYCLE, ClientView._lifecycle),  # noqa: SLF001
    grammar.ANNOTATION_ADDED: ClientView._annotation,  # noqa: SLF001
    grammar.PART_ADDED: ClientView._part_added,  # noqa: SLF001
    grammar.SUMMARY_ADDED: ClientView._part_added,  # noqa: SLF001
    grammar.PART_DONE: ClientView._part_done,  # noqa: SLF001
    grammar.SUMMARY_DONE: ClientView._part_done,  # noqa: SLF001
    grammar.ITEM_ADDED: ClientView._item_added,  # noqa: SLF001
    grammar.ITEM_DONE: ClientView._item_done,  # noqa: SLF001
    grammar.ERROR: ClientView._error,  # noqa: SLF001
}


_OPEN_AT_ONCE: Final = 32
"""Open items among which one that is not named is looked for; real streams have two or three."""


def _weight(value: Any) -> int:
    """Return roughly what it costs to remember a value other than a text."""
    return _WEIGHT_OF_AN_OBJECT + len(dump_json(value))


_WEIGHT_OF_AN_OBJECT: Final = 1024
"""Python's own objects for an item or a part; measured with 100,000 items that are never closed: 2.5 KB each in all."""
