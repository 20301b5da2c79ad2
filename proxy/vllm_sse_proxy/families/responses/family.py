"""The family of ``/v1/responses``, as the engine knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.families.responses import grammar
from vllm_sse_proxy.families.responses.complete import ResponsesCompleter
from vllm_sse_proxy.families.responses.corrections import CORRECTIONS
from vllm_sse_proxy.families.responses.error_reports import read_report, report_in
from vllm_sse_proxy.families.responses.events import parse_event
from vllm_sse_proxy.families.responses.exit import ResponsesWriter
from vllm_sse_proxy.families.responses.repairs import READ
from vllm_sse_proxy.families.responses.requests import MISREAD, REQUEST_REPAIRS
from vllm_sse_proxy.families.responses.settings import Dialect, NestedNumbers, Reasoning, ResponsesSettings
from vllm_sse_proxy.families.responses.view import ClientView
from vllm_sse_proxy.sse import encode_event
from vllm_sse_proxy.stream.context import RequestContext
from vllm_sse_proxy.stream.correction import Correction
from vllm_sse_proxy.stream.event import OPAQUE, Event
from vllm_sse_proxy.stream.family import Endpoint, Family
from vllm_sse_proxy.stream.plan import Plan, check_names
from vllm_sse_proxy.stream.settings import MAX_FRAME_BYTES, MAX_TEXT_BYTES, StreamSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from vllm_sse_proxy.stream.context import StreamContext
    from vllm_sse_proxy.stream.exit import Exit, Writer
    from vllm_sse_proxy.stream.repair import Repair
    from vllm_sse_proxy.stream.stations import Completer
    from vllm_sse_proxy.stream.view import View


class Responses(Family):
    """``POST /v1/responses`` and ``GET /v1/responses/{id}?stream=true``."""

    name = "responses"
    endpoints: tuple[Endpoint, ...] = (
        Endpoint("responses", "POST", "/v1/responses"),
        Endpoint("responses_get", "GET", "/v1/responses/{id}", stream_in_query=True),
    )
    settings: type[StreamSettings] = ResponsesSettings
    repairs: tuple[type[Repair], ...] = READ
    corrections: tuple[Correction, ...] = CORRECTIONS
    request_corrections: tuple[Correction, ...] = tuple(
        Correction(repair.name, repair.summary, (), is_default=repair.enabled) for repair in REQUEST_REPAIRS
    )
    misread: tuple[str, ...] = tuple(MISREAD)
    limits: tuple[str, ...] = (
        "max_frame_bytes",
        "max_text_bytes",
        "max_unreadable_payloads",
        "max_unsent_items",
    )
    deltas = frozenset(grammar.RUN_OF_DELTA)
    types = frozenset(
        {*grammar.EVENT_FIELDS, *grammar.PINGS, *grammar.PRIVATE_NOTICES, grammar.TOOL_CALL_DELTA}
    )
    is_numbered = True

    def context(self, resource: str, body: Mapping[str, Any] | None) -> RequestContext:
        """Return what the repairs may know of a request: all but its input, an agent's history, which no response repeats."""
        kept = None if body is None else {name: value for name, value in body.items() if name != "input"}
        return RequestContext(seed=resource, body=kept)

    def keepalive(self, next_number: int) -> bytes | None:
        """Return a ``keepalive`` event: it repeats the last number, so that no number is used up."""
        if next_number == 0:
            return None
        return encode_event(
            grammar.KEEPALIVE, b'{"type":"keepalive","sequence_number":%d}' % (next_number - 1)
        )

    def read(self, data: bytes, name: str | None) -> Event:
        """Read one payload."""
        return parse_event(data, name)

    def last_words(self, event: Event) -> Event | None:
        """Return the error that stray text at the end of a body is; None if it is none."""
        report = report_in(event, bare=True)
        return None if report is None else Event(OPAQUE, {**read_report(report), "object": grammar.ERROR})

    def repeated_as(self, event: Event) -> str | None:
        """Return ``response.in_progress`` for ``response.created``: it brings the same response object once more."""
        if event.type != grammar.CREATED:
            return None
        response = event.body.get("response")
        status = response.get("status") if type(response) is dict else None
        return grammar.IN_PROGRESS if status == "in_progress" else None

    def exceeds(self, event: Event, view: View) -> str | None:
        """Return ``max_unsent_items`` for a final output that holds more unsent items than any response has."""
        if event.type not in grammar.TERMINAL:
            return None
        response = event.body.get("response")
        output = response.get("output") if type(response) is dict else None
        if (
            type(output) is list
            and isinstance(view, ClientView)
            and len(output) > len(view.items) + MAX_UNSENT_ITEMS
        ):
            return "max_unsent_items"
        return None

    def view(self) -> View:
        """Return the view of a client that has been sent nothing."""
        return ClientView()

    def completer(self, context: StreamContext, view: View, exit_: Exit) -> Completer:
        """Return the second and third station."""
        assert isinstance(view, ClientView)  # noqa: S101 - it is this family's own
        return ResponsesCompleter(context, view, exit_)

    def writer(self, context: StreamContext, view: View) -> Writer:
        """Return the last station."""
        assert isinstance(view, ClientView)  # noqa: S101 - as above
        return ResponsesWriter(context, view)


MAX_UNSENT_ITEMS: Final = 1000
"""Items of the final output that were never streamed: each gets its six events in one call, which holds all other streams up.
A response of many tool calls has a hundred."""
RESPONSES: Final = Responses()


def build_plan(
    *,
    dialect: Dialect = Dialect.OPENAI,
    reasoning: Reasoning = Reasoning.AUTO,
    disabled: Collection[str] = (),
    nested_numbers: NestedNumbers = NestedNumbers.RENUMBER,
    done_sentinel: bool = True,
    observe: bool = False,
    strict: bool = False,
    max_frame_bytes: int = MAX_FRAME_BYTES,
    max_text_bytes: int = MAX_TEXT_BYTES,
) -> Plan:
    """Return the plan for these settings.

    :param disabled: names of repairs to leave out.
    :param strict: let an exception of a repair through (tests) instead of leaving the repair out.
    :raises ValueError: for the name of no repair, and for a repair that others need.
    """
    check_names([RESPONSES], disabled)
    return Plan.of(
        RESPONSES,
        disabled,
        dialect=dialect,
        reasoning=reasoning,
        nested_numbers=nested_numbers,
        done_sentinel=done_sentinel,
        observe=observe,
        strict=strict,
        max_frame_bytes=max_frame_bytes,
        max_text_bytes=max_text_bytes,
    )
