"""Errors that upstream reports inside the stream, in forms that clients do not read (F01 ``response.error``, R29, C01).

vLLM's chat code answers a failure after HTTP 200 with ``data: {"error": {...}}``, without a type; the fork sends
``response.error``; both stop there. Codex ignores every form but ``response.failed``; openai-python raises on a
nested ``error`` only; the AI SDK's open-responses provider crashes on a flat one. So: one form that all of them read,
then ``response.failed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.responses import grammar, synthesis
from vllm_sse_proxy.families.responses.events import OPAQUE, Event, canonical_type, is_typed
from vllm_sse_proxy.families.responses.repairs.base import Phase, Repair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vllm_sse_proxy.families.responses.view import ClientView


class ErrorEvents(Repair):
    """Tell an in-band error in the form that every client reads, and end the response as failed."""

    __slots__ = ()

    name: ClassVar = "error_events"
    summary: ClassVar = (
        "in-band errors without a type or in private forms become `error` and `response.failed`"
    )
    fixes: ClassVar = ("F01", "R29", "C01")
    phase: ClassVar = Phase.SHAPE
    handles: ClassVar = frozenset({OPAQUE, grammar.ERROR})

    def mend(self, event: Event, view: ClientView) -> Sequence[Event] | None:
        """Rewrite the error; follow it by ``response.failed`` unless upstream speaks the protocol and will do so itself."""
        if event.type is OPAQUE:
            detail = _error_in(event)
            if detail is None:
                return None
            speaks_protocol = False
        else:
            nested = event.body.get("error")
            if _is_readable(nested) and event.body["type"] == grammar.ERROR:
                return None
            detail = nested if isinstance(nested, dict) else event.body
            speaks_protocol = event.body["type"] == grammar.ERROR
        body = _error_body(detail)
        error = Event(grammar.ERROR, {"type": grammar.ERROR, **body, "sequence_number": -1})
        if speaks_protocol:
            return [error]
        response = synthesis.response_so_far(view, self.context.request)
        return [error, synthesis.failed(response, body["error"])]


def _is_readable(nested: object) -> bool:
    return isinstance(nested, dict) and isinstance(nested.get("message"), str)


def _error_in(event: Event) -> Mapping[str, Any] | None:
    """Return the error that an OPAQUE payload reports; None if it reports none."""
    body = event.body
    named = canonical_type(body if is_typed(body) else {"type": event.name or ""})
    nested = body.get("error")
    if named == grammar.ERROR:
        return nested if isinstance(nested, dict) else body
    if is_typed(body):
        return None
    if isinstance(nested, dict) and nested:
        return nested
    if isinstance(nested, str) and nested:
        return {"message": nested}
    if body.get("object") == "error":  # vLLM 0.10.0
        return body
    detail = body.get("detail")  # FastAPI's own
    return {"message": detail} if isinstance(detail, str) else None


def _error_body(detail: Mapping[str, Any]) -> dict[str, Any]:
    message, code, type_ = detail.get("message"), detail.get("code"), detail.get("type")
    return synthesis.error_body(
        code=str(code) if isinstance(code, int | str) and code != "" else "server_error",
        message=message if isinstance(message, str) and message else "The upstream server reported an error.",
        error_type=type_
        if isinstance(type_, str) and type_ not in ("", "error", "response.error")
        else "server_error",
        param=detail.get("param"),
    )
