"""The last station: numbers, names and frames of Responses events.

Every event is numbered 0, 1, 2 … here, and nowhere else, so nothing that is inserted or dropped can leave a gap. Three
corrections are made of what is complete: objects that dialect ``open-responses`` does not know (:mod:`.open_responses`),
numbers inside items, and the dialect's names.

*Numbers inside items* (``nested_numbers``; R14, R31). vLLM from 0.11.1 to 0.33 leaves ``"sequence_number": -1`` in the items
of harmony function calls: strict item types refuse it, clients that type it as u64 fail, and OpenAI's API rejects the item
when it comes back as input. It takes the number of the event that carries it; with the setting
``nested_sequence_number = "remove"`` it goes.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import open_responses
from vllm_sse_proxy.families.responses.grammar import KEEPALIVE, OPEN_RESPONSES_NAMES
from vllm_sse_proxy.families.responses.settings import Dialect, NestedNumbers
from vllm_sse_proxy.sse import encode_data, encode_event, event_pieces
from vllm_sse_proxy.stream.event import OPAQUE, SENTINEL, serialize_event
from vllm_sse_proxy.stream.stations import Writer

if TYPE_CHECKING:
    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.exit import Exit
    from vllm_sse_proxy.stream.repair import StreamContext

_FIELD: Final = "sequence_number"
_MEMBER: Final = b'"sequence_number"'
_USERS_OWN: Final = frozenset(
    {
        "tools",
        "tool_choice",
        "metadata",
        "text",
        "instructions",
        "input",
        "prompt",
        "parameters",
        "input_schema",
    }
)
"""Fields that hold what a user wrote: a ``sequence_number`` in there is a property of a tool, not of an event."""


_ABSENT: Final = object()
_NODES: Final = (dict, list)


class ResponsesWriter(Writer):
    """One stream's last station."""

    def __init__(self, context: StreamContext, view: ClientView, exit_: Exit) -> None:
        settings, disabled = context.settings, context.disabled
        self._context = context
        self._view = view
        self._exit = exit_
        self._dialect: Dialect = settings.dialect
        self._fits = settings.dialect is Dialect.OPEN_RESPONSES and "open_responses_fields" not in disabled
        self._nests = "nested_numbers" not in disabled
        self._removes = settings.nested_numbers is NestedNumbers.REMOVE
        self._upstream_names: dict[str, str] = {}

    def finish(self, event: Event) -> Event:
        """Return the event with the objects of its dialect."""
        if self._fits:
            fitting = open_responses.fitting(event, self._view, self._context.request)
            if fitting is not event:
                self._exit.correct("open_responses_fields")
                return fitting
        return event

    def write(self, event: Event, out: list[bytes]) -> None:
        """Number the event, name it, and add its frame."""
        if event.type is OPAQUE:
            data = serialize_event(event)
            out.append(encode_data(data) if event.name is None else encode_event(event.name, data))
            return
        # Past all repairs the body may be written.
        view, body = self._view, event.body
        number = view.next_number
        if event.type == KEEPALIVE:
            number = max(0, number - 1)  # it repeats the last number
        else:
            view.next_number = number + 1
        came = body.get(_FIELD)
        if type(came) is not int or came != number:
            body[_FIELD] = number
            event.raw = None
            if not event.inserted:
                self._exit.tally.events_renumbered += 1
        if self._dialect is not Dialect.OPENAI:
            self._speak(event)
        data = serialize_event(event)
        # A quote inside a JSON string is escaped, so these bytes are always the name of a member.
        if self._nests and data.count(_MEMBER) > 1:
            renumbered = self._renumbered(event, None if self._removes else number)
            if renumbered is not event:
                data = serialize_event(renumbered)
        out += event_pieces(body["type"], data)

    def sentinel(self, out: list[bytes]) -> None:
        """Add ``data: [DONE]``."""
        out.append(encode_data(SENTINEL))

    def _renumbered(self, event: Event, number: int | None) -> Event:
        """Return the event with this number wherever one is nested in it; None leaves them out."""
        body = event.body
        wrong = [
            name
            for name, value in body.items()
            if value
            and isinstance(value, _NODES)
            and name not in _USERS_OWN
            and _set(value, number, dry=True)
        ]
        if not wrong:
            return event
        self._exit.correct("nested_numbers")
        changes = {name: deepcopy(body[name]) for name in wrong}
        for value in changes.values():
            _set(value, number)
        return event.having(**changes)

    def _speak(self, event: Event) -> None:
        """Give the event the name of its dialect."""
        type_ = event.type
        name: str = event.body["type"]
        if self._dialect is Dialect.UPSTREAM:
            # What upstream calls it; an inserted closing goes by the names that upstream used for its kind of event.
            if not event.inserted:
                if name != type_:
                    self._upstream_names[type_] = name
                    self._upstream_names.setdefault(_counterpart(type_), _counterpart(name))
                return
            wanted = self._upstream_names.get(type_, type_)
        else:
            wanted = OPEN_RESPONSES_NAMES.get(type_, name)
        if wanted != name:
            event.body["type"] = wanted
            event.raw = None


def _counterpart(name: str) -> str:
    """Return the name of the done event of a delta or added event."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.done" if last in ("delta", "added") else name


def _set(value: Any, number: int | None, *, dry: bool = False) -> bool:
    """Set (None: delete) every nested number in ``value``, or, in a dry run, return whether any would change."""
    changed = False
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            nested = node.get(_FIELD, _ABSENT)
            if nested is not _ABSENT and not _is(nested, number):
                if dry:
                    return True
                changed = True
                if number is None:
                    del node[_FIELD]
                else:
                    node[_FIELD] = number
            pending += [
                child
                for name, child in node.items()
                if child and isinstance(child, _NODES) and name not in _USERS_OWN
            ]
        elif isinstance(node, list):
            pending += node
    return changed


def _is(nested: object, number: int | None) -> bool:
    return type(nested) is int and nested == number
