"""OpenTelemetry: one span for each stream, if the operator wants it (setting ``otel``, extra ``[otel]``).

A span is made when its stream is over, with the time at which it began, so nothing is done while events pass. Its parent is
what the client's ``traceparent`` names. That header goes on to vLLM as it came: vLLM's own span is beside this one, under
the same parent.

The packages are imported when spans are switched on, and not otherwise. Where spans go, under which name, and how many of
them, is said by OpenTelemetry's own variables (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``,
``OTEL_TRACES_SAMPLER`` …).
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy import __version__
from vllm_sse_proxy.logs import logger
from vllm_sse_proxy.settings import SettingsError
from vllm_sse_proxy.stream.ending import Ending

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from vllm_sse_proxy.server.exchange import Exchange
    from vllm_sse_proxy.server.headers import RawHeaders
    from vllm_sse_proxy.settings import ServerSettings

SCOPE: Final = "vllm_sse_proxy"

_PACKAGES: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")

_CONTEXT_HEADERS: Final = (b"traceparent", b"tracestate")
_NO_FAULT: Final = frozenset({Ending.COMPLETED, Ending.INCOMPLETE, Ending.UNTERMINATED, Ending.CLIENT_GONE})
"""Endings of streams that failed for nobody; a client may go when it likes."""

_FLUSH_MILLISECONDS: Final = 3000
"""How long the last spans may take to leave when the proxy stops."""


class StreamSpans:
    """Makes the spans of a process.

    :param provider: has the exporter.
    """

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - optional
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - as above
            TraceContextTextMapPropagator,
        )

        self._provider = provider
        self._tracer = provider.get_tracer(SCOPE, __version__)
        self._extract = TraceContextTextMapPropagator().extract
        self._kind = SpanKind.SERVER
        self._error = StatusCode.ERROR

    @classmethod
    def of(cls, settings: ServerSettings) -> StreamSpans | None:
        """Return what makes them, sending them by OTLP over HTTP; None if they are off.

        :raises SettingsError: the packages are not installed.
        """
        check_packages(settings)
        if not settings.otel:
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - optional
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

        resource = Resource.create({"service.version": __version__})
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # the variables name none
            resource = resource.merge(Resource({SERVICE_NAME: "vllm-sse-proxy"}))
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def record(self, exchange: Exchange, now: float) -> None:
        """Make the span of a stream that is over; never raises.

        :param now: the loop's time.
        """
        try:
            self._record(exchange, now)
        except Exception:  # noqa: BLE001 - a request that was answered must not fail for its span
            logger.exception("span not made", extra={"fields": {"request_id": exchange.request_id}})

    def _record(self, exchange: Exchange, now: float) -> None:
        ended_at = time.time_ns()
        began_at = ended_at - int((now - exchange.started_at) * 1e9)
        span = self._tracer.start_span(
            f"stream {exchange.family}",
            context=self._extract(_carrier(exchange.raw_headers)),
            kind=self._kind,
            attributes=_attributes(exchange),
            start_time=began_at,
        )
        if exchange.first_byte_at is not None:
            first = began_at + int((exchange.first_byte_at - exchange.started_at) * 1e9)
            span.add_event("first bytes to the client", timestamp=first)
        if exchange.ending not in _NO_FAULT:
            span.set_status(self._error, exchange.ending)
        span.end(end_time=ended_at)

    def close(self) -> None:
        """Send what is left, for a few seconds at most. It blocks."""
        self._provider.force_flush(_FLUSH_MILLISECONDS)
        self._provider.shutdown()


def check_packages(settings: ServerSettings) -> None:
    """Find the packages, without importing what they hold, if they are needed.

    :raises SettingsError: they are not installed.
    """
    if settings.otel and not all(map(_is_installed, _PACKAGES)):
        raise SettingsError(["otel: needs OpenTelemetry's packages: pip install 'vllm-sse-proxy[otel]'"])


def _is_installed(package: str) -> bool:
    """Return whether a package is there; one within another that is not, is not."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _carrier(headers: RawHeaders) -> dict[str, str]:
    """Return the headers that name the parent. A repeated one is none: it cannot be said which is meant."""
    found: dict[str, str] = {}
    for name in _CONTEXT_HEADERS:
        values = [value for key, value in headers if key.lower() == name]
        if len(values) == 1:
            found[name.decode()] = values[0].decode("latin-1")
    return found


def _attributes(exchange: Exchange) -> dict[str, Any]:
    """Return what is known of the stream, by the names of OpenTelemetry's conventions where there are any."""
    tally = exchange.tally
    repairs = {} if tally is None else {name: count for name, count in tally.repairs.items() if count}
    found = {
        "sse_proxy.family": exchange.family,
        "sse_proxy.ending": exchange.ending,
        "sse_proxy.repairs": sorted(repairs),
        "sse_proxy.request_repairs": exchange.request_repairs,
        "sse_proxy.request_id": exchange.request_id,
        "sse_proxy.limit": exchange.limit,
        "sse_proxy.events_in": None if tally is None else tally.events_in,
        "sse_proxy.events_out": None if tally is None else tally.events_out,
        "http.request.method": exchange.method,
        "http.response.status_code": exchange.status,
        "url.path": exchange.path[:1024],
        "client.address": exchange.client_ip,
        "user_agent.original": exchange.user_agent,
        "gen_ai.request.model": exchange.model,
        **{f"sse_proxy.repair.{name}": count for name, count in repairs.items()},
    }
    return {name: value for name, value in found.items() if value is not None}
