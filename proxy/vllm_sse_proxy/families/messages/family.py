"""The family of ``/v1/messages``, as the engine knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.complete import MessagesCompleter
from vllm_sse_proxy.families.messages.corrections import CORRECTIONS
from vllm_sse_proxy.families.messages.error_reports import is_error, read_error, type_for
from vllm_sse_proxy.families.messages.events import parse_event
from vllm_sse_proxy.families.messages.exit import MessagesWriter
from vllm_sse_proxy.families.messages.repairs import READ
from vllm_sse_proxy.families.messages.request import kept_of
from vllm_sse_proxy.families.messages.requests import MISREAD, REQUEST_REPAIRS
from vllm_sse_proxy.families.messages.view import MessageView
from vllm_sse_proxy.sse import encode_event
from vllm_sse_proxy.stream.context import RequestContext
from vllm_sse_proxy.stream.correction import Correction
from vllm_sse_proxy.stream.event import Event
from vllm_sse_proxy.stream.family import Endpoint, Family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.exit import Exit, Writer
    from vllm_sse_proxy.stream.repair import Repair
    from vllm_sse_proxy.stream.stations import Completer
    from vllm_sse_proxy.stream.view import View


class Messages(Family):
    """``POST /v1/messages``, Anthropic's protocol."""

    name = "messages"
    endpoints: tuple[Endpoint, ...] = (
        Endpoint("messages", "POST", "/v1/messages"),
        # Never answered by a stream; but the same requests are refused there.
        Endpoint("count_tokens", "POST", "/v1/messages/count_tokens"),
    )
    repairs: tuple[type[Repair], ...] = READ
    corrections: tuple[Correction, ...] = CORRECTIONS
    request_corrections: tuple[Correction, ...] = tuple(
        Correction(repair.name, repair.summary, (), is_default=repair.enabled) for repair in REQUEST_REPAIRS
    )
    misread: tuple[str, ...] = tuple(MISREAD)
    deltas = frozenset({grammar.BLOCK_DELTA})
    types = grammar.EVENTS

    def context(self, resource: str, body: Mapping[str, Any] | None) -> RequestContext:
        """Return what the repairs may know of a request: its tools and limits, not its messages."""
        return RequestContext(seed=resource, body=None if body is None else kept_of(body))

    def error(self, message: str, type_: str, code: str) -> dict[str, Any]:
        """Return the body of an HTTP error as Anthropic's API has it."""
        return {"type": grammar.ERROR, "error": {"type": type_for(type_, code), "message": message}}

    def keepalive(self, next_number: int) -> bytes | None:  # noqa: ARG002 - nothing is numbered here
        """Return a ``ping``. A stream is kept alive once it has begun, and it begins with ``message_start``."""
        return encode_event(grammar.PING, b'{"type":"ping"}')

    def read(self, data: bytes, name: str | None) -> Event:
        """Read one payload."""
        return parse_event(data, name)

    def last_words(self, event: Event) -> Event | None:
        """Return the error that stray text at the end of a body is; None if it is none."""
        if not is_error(event):
            return None
        return Event(grammar.ERROR, {"type": grammar.ERROR, "error": read_error(event.body, accepted=False)})

    def view(self) -> View:
        """Return the view of a client that has been sent nothing."""
        return MessageView()

    def completer(self, context: StreamContext, view: View, exit_: Exit) -> Completer:
        """Return the third station."""
        assert isinstance(view, MessageView)  # noqa: S101 - it is this family's own
        return MessagesCompleter(context, view, exit_)

    def writer(self, context: StreamContext, view: View) -> Writer:  # noqa: ARG002 - a frame needs nothing else
        """Return the last station."""
        return MessagesWriter(context)


MESSAGES: Final = Messages()
