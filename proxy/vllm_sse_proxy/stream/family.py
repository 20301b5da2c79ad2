"""The contract between the engine and a family of streams: one protocol, such as ``/v1/responses``.

The contract is small on purpose. The engine knows how events arrive, in which order repairs are asked, what is held, and how
the fast path learns; a family knows what its events mean. A family consists of:

- a :class:`Family`, one object per process: its name, how a payload is read, which repairs it has;
- a :class:`.view.View`, one per stream: what the client has been sent;
- a :class:`.stations.Completer`, one per stream: emits an event with whatever must come before it;
- a :class:`.exit.Writer`, one per stream: gives an event its last form (numbers, names, frame).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vllm_sse_proxy.stream.context import RequestContext
from vllm_sse_proxy.stream.settings import StreamSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.correction import Correction
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.exit import Exit, Writer
    from vllm_sse_proxy.stream.repair import Repair
    from vllm_sse_proxy.stream.stations import Completer
    from vllm_sse_proxy.stream.view import View


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Requests that may be answered by a stream of a family.

    :ivar route: the ``route`` label of the metrics.
    :ivar path: the path as vLLM's router has it, percent-decoded. A final ``{id}`` stands for one segment.
    :ivar stream_in_query: only a request with ``stream=true`` in its query is meant. Otherwise the body says so.
    :ivar has_json_body: whether the body is JSON, and is read before it is forwarded. Audio is not.
    :ivar body_members: only a request whose body has one of these members is meant: several families share the path. Empty
        where the path says it all.
    """

    route: str
    method: str
    path: str
    stream_in_query: bool = False
    has_json_body: bool = True
    body_members: tuple[str, ...] = ()


class Family(ABC):
    """One protocol.

    :ivar name: as in metrics, settings and documentation.
    :ivar endpoints: where its streams come from.
    :ivar settings: the class of its settings.
    :ivar repairs: those of the first station, in order.
    :ivar corrections: what the other stations correct, in order.
    :ivar request_corrections: what is corrected in its requests, in order.
    :ivar misread: names of what upstream may misread in requests that it accepts.
    :ivar limits: names of what may end a stream because there is too much of it.
    :ivar deltas: types of the events that only add words to a text: these the fast path rewrites.
    :ivar types: all types of events that the family knows.
    :ivar is_numbered: whether events have numbers.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    settings: type[StreamSettings] = StreamSettings
    repairs: tuple[type[Repair], ...] = ()
    corrections: tuple[Correction, ...] = ()
    request_corrections: tuple[Correction, ...] = ()
    misread: tuple[str, ...] = ()
    limits: tuple[str, ...] = ("max_frame_bytes", "max_text_bytes", "max_unreadable_payloads")
    deltas: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    is_numbered: bool = False

    def context(self, resource: str, body: Mapping[str, Any] | None) -> RequestContext:
        """Return what the repairs may know of a request.

        :param resource: the id in its path; "" without one.
        :param body: its JSON body; None if that was not read.
        """
        return RequestContext(seed=resource, body=body)

    def error(self, message: str, type_: str, code: str) -> dict[str, Any]:
        """Return the body of an HTTP error as a JSON object."""
        return openai_error(message, type_, code)

    def keepalive(self, next_number: int) -> bytes | None:  # noqa: ARG002 - most families have none
        """Return the frame of a keep-alive event that fits into a stream now; None if only a comment does.

        :param next_number: the number that its next event takes.
        """
        return None

    @abstractmethod
    def read(self, data: bytes, name: str | None) -> Event:
        """Read one payload; never raises.

        :param name: the ``event:`` field of its frame.
        """

    def last_words(self, event: Event) -> Event | None:  # noqa: ARG002 - most families know errors by their events alone
        """Return the error in a payload that ends a body outside of all events; None if it is not an error."""
        return None

    def repeated_as(self, event: Event) -> str | None:  # noqa: ARG002 - most have no such events
        """Return the type under which the next event may repeat this one, which was emitted; None if it has no such type.

        What repeats it differs in its type and its number alone, and the same becomes of it.
        """
        return None

    def exceeds(self, event: Event, view: View) -> str | None:  # noqa: ARG002 - most families have no such limit
        """Return the name of the limit that an event exceeds, before it is processed; None for nearly all."""
        return None

    @abstractmethod
    def view(self) -> View:
        """Return the view of a client that has been sent nothing."""

    @abstractmethod
    def completer(self, context: StreamContext, view: View, exit_: Exit) -> Completer:
        """Return the third station of a stream."""

    @abstractmethod
    def writer(self, context: StreamContext, view: View) -> Writer:
        """Return the last station of a stream."""


def openai_error(message: str, type_: str, code: str) -> dict[str, Any]:
    """Return the body of an HTTP error as OpenAI's API has it. Requests of no family get it too."""
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}
