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

from operator import is_
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import open_responses
from vllm_sse_proxy.families.responses.grammar import KEEPALIVE, OPEN_RESPONSES_NAMES
from vllm_sse_proxy.families.responses.settings import Dialect, NestedNumbers
from vllm_sse_proxy.sse import encode_data, encode_event, event_pieces
from vllm_sse_proxy.stream.event import OPAQUE, SENTINEL, serialize_event
from vllm_sse_proxy.stream.exit import Writer

if TYPE_CHECKING:
    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.event import Body, Event
    from vllm_sse_proxy.stream.exit import Exit

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


_NODES: Final = (dict, list)


class ResponsesWriter(Writer):
    """One stream's last station."""

    def __init__(self, context: StreamContext, view: ClientView) -> None:
        settings, disabled = context.settings, context.disabled
        self._context = context
        self._view = view
        self._dialect: Dialect = settings.dialect
        self._fits = settings.dialect is Dialect.OPEN_RESPONSES and "open_responses_fields" not in disabled
        self._nests = "nested_numbers" not in disabled
        self._removes = settings.nested_numbers is NestedNumbers.REMOVE
        self._upstream_names: dict[str, str] = {}

    def finish(self, event: Event, exit_: Exit) -> Event:
        """Return the event with the objects of its dialect."""
        if self._fits:
            fitting = open_responses.fitting(event, self._view, self._context.request)
            if fitting is not event:
                exit_.correct("open_responses_fields")
                return fitting
        return event

    def write(self, event: Event, exit_: Exit) -> None:
        """Number the event, name it, and add its frame."""
        out = exit_.out
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
                exit_.tally.events_renumbered += 1
        if self._dialect is not Dialect.OPENAI:
            self._speak(event)
        data = serialize_event(event)
        # A quote inside a JSON string is escaped, so these bytes are always the name of a member.
        if self._nests and _has_nodes(body) and data.count(_MEMBER) > 1:
            renumbered = _renumbered(event, None if self._removes else number)
            if renumbered is not event:
                exit_.correct("nested_numbers")
                data = serialize_event(renumbered)
        out += event_pieces(body["type"], data)

    def sentinel(self, out: list[bytes]) -> None:
        """Add ``data: [DONE]``."""
        out.append(encode_data(SENTINEL))

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


def _has_nodes(body: Body) -> bool:
    """Return whether an event holds anything that could hold a number."""
    return any(isinstance(value, (dict, list)) and len(value) > 0 for value in body.values())


def _counterpart(name: str) -> str:
    """Return the name of the done event of a delta or added event."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.done" if last in ("delta", "added") else name


def _renumbered(event: Event, number: int | None) -> Event:
    """Return the event with this number wherever one is nested in it; None leaves them out."""
    changes: Body = {}
    for name, value in event.body.items():
        if type(value) in _NODES and name not in _USERS_OWN:
            made = _with_number(value, number)
            if made is not value:
                changes[name] = made
    return event.having(**changes) if changes else event


def _with_number(node: Any, number: int | None) -> Any:
    """Return a list or an object with this number wherever one is nested in it; itself if there is nothing to change.

    It calls itself for what is nested: no event is nested deeper than 200 (:func:`.payload.is_too_deep`).
    """
    if type(node) is list:
        children = [_with_number(child, number) if type(child) in _NODES else child for child in node]
        return node if all(map(is_, children, node)) else children
    changes: Body = {}
    for name, value in node.items():
        if name == _FIELD:
            if type(value) is not int or value != number:
                changes[name] = number
        elif type(value) in _NODES and name not in _USERS_OWN:
            made = _with_number(value, number)
            if made is not value:
                changes[name] = made
    if number is None and changes:
        return {name: changes.get(name, value) for name, value in node.items() if name != _FIELD}
    return {**node, **changes} if changes else node
