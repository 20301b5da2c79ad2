"""Errors that upstream reports inside the stream, in forms that clients do not read (F01 ``response.error``, R29, C01).

vLLM's chat code answers a failure after HTTP 200 with ``data: {"error": {...}}``, without a type; vLLM 0.10.0 with a flat
object whose type is ``BadRequestError``; the fork sends ``response.error``; all stop there. Codex ignores every form but
``response.failed``; openai-python raises on a nested ``error`` only; the AI SDK's open-responses provider crashes on a flat
one. So: one form that all of them read, then ``response.failed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vllm_sse_proxy.families.responses import construct, grammar, response_objects
from vllm_sse_proxy.families.responses.error_reports import read_report, report_in
from vllm_sse_proxy.stream.event import COMMENT, END, Event
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.responses.view import ClientView
    from vllm_sse_proxy.stream.event import Body

_UNKNOWN_MESSAGE: Final = "The upstream server reported an error."
_UNKNOWN_CODE: Final = "server_error"
_NONE_OF_THEM: Final = frozenset({COMMENT, END, grammar.TOOL_CALL_DELTA, *grammar.EVENT_FIELDS}) - {
    grammar.ERROR
}


class ErrorEvents(Repair):
    """Emit an in-band error in the form that every client reads, and end the response as failed."""

    __slots__ = ()

    name: ClassVar = "error_events"
    summary: ClassVar = (
        "in-band errors without a type or in private forms become `error` and `response.failed`"
    )
    fixes: ClassVar = ("F01", "R29", "C01")
    handles: ClassVar = None

    @classmethod
    def is_asked_about(cls, type_: str) -> bool:
        """Return whether events of this type may report an error: errors, and what the protocol does not know."""
        return type_ not in _NONE_OF_THEM

    def repair(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Rewrite the error; follow it by ``response.failed`` unless upstream speaks the protocol and will do so itself."""
        report = report_in(event)
        if report is None:
            return None
        speaks_protocol = event.type == grammar.ERROR and event.body["type"] == grammar.ERROR
        if speaks_protocol and _is_readable(event.body, view):
            return None
        body = _error_body(read_report(report))
        error = Event(grammar.ERROR, {"type": grammar.ERROR, **body, "sequence_number": -1})
        if speaks_protocol:
            return [error]
        response = response_objects.response_so_far(view, self.context.request)
        return [error, construct.failed(response, body["error"])]


def _is_readable(body: Body, view: ClientView) -> bool:
    """Return whether every client reads an ``error`` event: it says all that it says twice, flat and nested."""
    nested = body.get("error")
    if not isinstance(nested, dict) or not isinstance(nested.get("message"), str):
        return False
    if view.looks_like_openai:
        return True  # nested only, and clients are made for it
    return isinstance(body.get("message"), str) and all(
        name in body and (body[name] is None or isinstance(body[name], str)) for name in ("code", "param")
    )


def _error_body(words: Body) -> Body:
    return construct.error_body(
        code=words.get("code", _UNKNOWN_CODE),
        message=words.get("message", _UNKNOWN_MESSAGE),
        error_type=words.get("type", _UNKNOWN_CODE),
        param=words.get("param"),
    )
