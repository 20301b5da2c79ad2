"""Prometheus metrics, in a registry of their own that is built at start.

Three rules. Every series exists from the start with 0, because ``rate()`` and ``increase()`` do not see the step from "no
series" to 1. Labels are closed lists, never what a client or a model chose. And nothing is counted per event: a stream counts
in plain ints (:class:`vllm_sse_proxy.stream.tally.Tally`) and :meth:`Metrics.flush` adds them once, when it ends. The one
exception is ``chunk_processing_seconds``, observed once per chunk: a mean per stream would hide the slow ones.
"""

from __future__ import annotations

import math
import platform
from bisect import bisect_left
from itertools import accumulate, product, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from vllm_sse_proxy import __version__
from vllm_sse_proxy.families import FAMILIES
from vllm_sse_proxy.families.recognition import Family as KnownFamily
from vllm_sse_proxy.settings import CoreSettings, Limit, ServerSettings
from vllm_sse_proxy.stream import CORE
from vllm_sse_proxy.stream.ending import Ending
from vllm_sse_proxy.stream.plan import names_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from vllm_sse_proxy.stream.family import Family
    from vllm_sse_proxy.stream.tally import Tally

PREFIX = "sse_proxy"

CODES = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")
"""Classes of HTTP status; ``none``: the client left before it got an answer."""

UPSTREAM_FAILURES = ("connect", "timeout", "reset", "disconnect", "protocol", "idle", "cut")
"""How upstream failed: no connection; no answer in time; connection reset or closed before an answer; an answer that is not
HTTP; silence within a body; a body that stopped before its end."""

RECORDINGS = ("written", "failed", "skipped")
"""Written; not written because the disk failed; not begun because too much waited in memory."""

CONFIG_LABELS = ("mode", "dialect", "reasoning", "chat_reasoning", "transcripts")
"""Settings that decide what clients get."""

PROCESS_SUMS = frozenset(
    {
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    }
)
"""Metrics of a process that add up over several processes."""

STATUS_POLLS = ("ended", "pending", "failed")
"""Results of a status poll: it ended the stream; the response is not over, or the stream went on meanwhile; no usable
answer."""

ANSWERS = ("repaired", "conforming", "unread")
"""What became of a response object that is answered as JSON. Unread: it is none, or over a limit, and passes as it came."""

REQUEST_REFUSALS = ("repaired", "still_refused", "nothing_to_repair")
"""What became of a refused request: it was accepted after repairs; it was refused all the same; no repair had anything to
change in it. In the last two cases the client got the refusal of its own request."""

# Answers take from milliseconds to an hour; a first event takes as long as queue and prefill.
DURATION_BUCKETS_SECONDS = (
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1200.0,
    3600.0,
)
FIRST_EVENT_BUCKETS_SECONDS = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
)
# A typical chunk holds one event and takes tens of microseconds; a final object of megabytes takes tens of milliseconds.
CHUNK_BUCKETS_SECONDS = (
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.1,
)
# A refusal takes milliseconds; the answer after it takes as long as queue and prefill.
REPAIR_BUCKETS_SECONDS = (0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
LAG_BUCKETS_SECONDS = (0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Metrics:
    """All metrics of one process; ``registry`` holds them.

    :param families: have the routes, repairs and limits that are counted.
    :param settings: those that are shown; None: the defaults.
    :param registry: one that has the metrics of the process already; None: one of their own is made.
    """

    def __init__(
        self,
        families: Sequence[Family] = FAMILIES,
        settings: CoreSettings | None = None,
        *,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        if registry is None:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)

        routes = dict.fromkeys(endpoint.route for family in families for endpoint in family.endpoints)
        pairs = [(family.name, name) for family in families for name in names_of(family)]
        limits = dict.fromkeys([*Limit, *(limit for family in families for limit in family.limits)])
        endings = [ending.value for ending in Ending]
        self.repairs = self._family_counter(
            "repairs_total", "Corrections made, by family of streams and repair.", "repair", pairs
        )
        self.repair_failures = self._family_counter(
            "repair_failures_total",
            "Repairs that raised an exception and were skipped for that event, by family of streams and repair.",
            "repair",
            pairs,
        )
        self.streams = self._family_counter(
            "streams_total",
            "Response streams that ended, by family and by how they ended.",
            "ending",
            [(family.name, ending) for family in families for ending in endings],
        )
        self.streams_repaired = self._counter(
            "streams_repaired_total",
            "Response streams with at least one correction, by family.",
            "family",
            [family.name for family in families],
        )
        self.unrepaired_streams = self._counter(
            "unrepaired_streams_total",
            "Streams of a known family that passed through unrepaired: on an unknown path, or compressed.",
            "family",
            [family.value for family in KnownFamily],
        )
        self.events = self._counter(
            "events_total",
            "Events of response streams read from upstream and written to clients.",
            "direction",
            ("in", "out"),
        )
        self.events_renumbered = self._plain_counter(
            "events_renumbered_total", "Events that were emitted with another number than upstream's."
        )
        self.events_inserted = self._plain_counter(
            "events_inserted_total", "Events that were emitted and that upstream never sent."
        )
        self.events_dropped = self._plain_counter(
            "events_dropped_total", "Events of upstream that were not forwarded."
        )
        self.keepalives = self._plain_counter("keepalives_total", "Keep-alives sent into silent streams.")
        self.status_polls = self._counter(
            "status_polls_total",
            "Status polls of responses whose stream is silent, cancelled or empty, by result.",
            "result",
            STATUS_POLLS,
        )
        self.answers = self._counter(
            "json_answers_total",
            "Answers of the Responses API that are JSON and no stream, by what became of them.",
            "outcome",
            ANSWERS,
        )
        self.requests_translated = self._plain_counter(
            "requests_translated_total",
            "Requests whose call_ids were replaced by the ones that upstream has stored (R11).",
        )
        self.request_repairs = self._counter(
            "request_repairs_total",
            "Repairs of requests that upstream then accepted, by repair.",
            "repair",
            [one.name for family in families for one in family.request_corrections],
        )
        self.request_refusals = self._counter(
            "request_refusals_total",
            "Requests that upstream refused as they were sent first, by what became of them.",
            "outcome",
            REQUEST_REFUSALS,
        )
        self.requests_misread = self._counter(
            "requests_misread_total",
            "Requests that upstream accepted although it misreads something in them, by what it is.",
            "what",
            [name for family in families for name in family.misread],
        )
        self.request_repair = self._histogram(
            "request_repair_seconds",
            "Time from the first refusal of a request to upstream's answer to the repaired one.",
            REPAIR_BUCKETS_SECONDS,
        )
        self.bytes = self._counter(
            "response_body_bytes_total",
            "Bytes of response bodies read from upstream and written to clients, all routes.",
            "direction",
            ("in", "out"),
        )
        self.streams_in_flight = self._gauge("streams_in_flight", "Response streams that are open.")
        self.requests_in_flight = self._gauge(
            "requests_in_flight", "Requests that are being answered, all routes."
        )
        self.websockets_in_flight = self._gauge(
            "websockets_in_flight", "WebSocket connections that are open."
        )
        self.stream_duration = self._histogram(
            "stream_duration_seconds",
            "Time from the request to the end of a response stream.",
            DURATION_BUCKETS_SECONDS,
        )
        self.time_to_first_event = self._histogram(
            "time_to_first_event_seconds",
            "Time from the request to the first bytes of its response stream.",
            FIRST_EVENT_BUCKETS_SECONDS,
        )
        self.chunk_processing = PlainHistogram(
            "chunk_processing_seconds",
            "Time that the repairs took for one chunk of a response stream, without reading and writing.",
            CHUNK_BUCKETS_SECONDS,
        )
        self.registry.register(self.chunk_processing)
        self.event_loop_lag = self._histogram(
            "event_loop_lag_seconds",
            "How late the event loop ran a timer, sampled twice a second: every stream is delayed as much.",
            LAG_BUCKETS_SECONDS,
        )
        self.requests = Series(
            Counter(
                "requests_total",
                "Requests answered, by route and class of the status that the client got.",
                ("route", "code"),
                namespace=PREFIX,
                registry=self.registry,
            ),
            product([*routes, "other"], CODES),
        )
        self.upstream_requests = self._counter(
            "upstream_requests_total", "Answers of upstream, by class of status.", "code", CODES[:-1]
        )
        self.upstream_failures = self._counter(
            "upstream_failures_total",
            "Requests that upstream did not answer, or not to the end, by cause.",
            "class",
            UPSTREAM_FAILURES,
        )
        self.limits_hit = self._counter(
            "limits_hit_total",
            "Requests, connections and streams that were ended by a limit, by the name of the limit.",
            "limit",
            limits,
        )
        self.upstream_retries = self._plain_counter(
            "upstream_retries_total", "Requests sent again because a reused connection had just been closed."
        )
        self.recordings = self._counter(
            "recordings_total",
            "Streams that were to be recorded, by what became of the recording.",
            "outcome",
            RECORDINGS,
        )
        self.workers = self._gauge("workers", "Processes that accept connections.")
        self.worker_restarts = self._plain_counter(
            "worker_restarts_total", "Workers that ended and had to be replaced."
        )
        Gauge(
            "build_info",
            "Always 1; the labels say what is running.",
            ("version", "python", "implementation", "core"),
            namespace=PREFIX,
            registry=self.registry,
            multiprocess_mode="livemax",
        ).labels(__version__, platform.python_version(), platform.python_implementation(), CORE).set(1)

        Gauge(
            "upstream_info",
            "Always 1; the label says which vLLM is behind this proxy: rules keep them apart by it.",
            ("upstream",),
            namespace=PREFIX,
            registry=self.registry,
        ).labels(settings.upstream_name if isinstance(settings, ServerSettings) else "").set(1)

        shown = settings or CoreSettings()
        Gauge(
            "config_info",
            "Always 1; the labels say what is set. mode observe: nothing is repaired, and repairs are only counted.",
            CONFIG_LABELS,
            namespace=PREFIX,
            registry=self.registry,
            multiprocess_mode="livemax",
        ).labels(*(getattr(shown, name) for name in CONFIG_LABELS)).set(1)

    def flush(self, family: str, tally: Tally, ending: Ending, *, duration_seconds: float) -> None:
        """Add what one stream of a family counted; call it once, when the stream has ended."""
        self.streams.labels(family, ending.value).inc()
        self.stream_duration.observe(duration_seconds)
        self.events.labels("in").inc(tally.events_in)
        self.events.labels("out").inc(tally.events_out)
        for counter, count in (
            (self.events_renumbered, tally.events_renumbered),
            (self.events_inserted, tally.events_inserted),
            (self.events_dropped, tally.events_dropped),
        ):
            if count:
                counter.inc(count)
        for name, count in tally.repairs.items():
            self.repairs.labels(family, name).inc(count)
        for name, count in tally.repair_failures.items():
            self.repair_failures.labels(family, name).inc(count)
        if any(tally.repairs.values()):
            self.streams_repaired.labels(family).inc()

    def expose(self) -> bytes:
        """Render everything in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)

    def report(self) -> dict[str, Any]:
        """Return what a worker reports to its supervisor: the fields of a :class:`Report`."""
        values: list[float] = []
        process: dict[str, float] = {}
        for family in self.registry.collect():
            if family.name.startswith(PREFIX):
                values += [sample.value for sample in family.samples]
            else:
                process |= {
                    sample.name: sample.value for sample in family.samples if sample.name in PROCESS_SUMS
                }
        return {"values": values, "process": process}

    def _counter(self, name: str, text: str, label: str, values: Iterable[str]) -> Series:
        counter = Counter(name, text, (label,), namespace=PREFIX, registry=self.registry)
        return Series(counter, ((value,) for value in values))

    def _family_counter(self, name: str, text: str, label: str, values: Iterable[tuple[str, str]]) -> Series:
        counter = Counter(name, text, ("family", label), namespace=PREFIX, registry=self.registry)
        return Series(counter, values)

    def _plain_counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, namespace=PREFIX, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, namespace=PREFIX, registry=self.registry, multiprocess_mode="livesum")

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, namespace=PREFIX, registry=self.registry, buckets=buckets)


class PlainHistogram:
    """A histogram for what is observed all the time. A collector, as prometheus_client calls it.

    It belongs to one thread: prometheus_client's own takes a lock for each number, and costs five times as much.

    :param bounds: upper bounds of the buckets, ascending.
    """

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self._name = f"{PREFIX}_{name}"
        self._text = text
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        bounds = map(floatToGoString, (*self._bounds, math.inf))
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        metric = HistogramMetricFamily(self._name, self._text)
        metric.add_metric([], buckets, self._sum)
        yield metric


class Series:
    """A counter's series by their labels. All exist from the start, and finding one costs a tenth of ``Counter.labels``."""

    def __init__(self, counter: Counter, labels: Iterable[tuple[str, ...]]) -> None:
        self._counters = {values: counter.labels(*values) for values in labels}

    def labels(self, *values: str) -> Counter:
        """Return the series with these labels."""
        return self._counters[values]


class Report(NamedTuple):
    """What one process has counted.

    All processes of one release have the same series in the same order, so the values are enough.
    """

    values: list[float]
    process: dict[str, float]


class MergedMetrics:
    """The metrics of a supervisor and its workers as those of one proxy. A collector, as prometheus_client calls it.

    Counters and histograms are summed over all workers that ever ran; gauges over those that run. Of ``process_*``, time,
    memory, descriptors and their limit are summed; the start time is the supervisor's.

    :param own: the supervisor's own.
    """

    def __init__(self, own: Metrics) -> None:
        self._own = own
        self._live: dict[Hashable, Report] = {}
        self._kept: list[float] = []
        self._kept_process: dict[str, float] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def update(self, worker: Hashable, report: Report) -> None:
        """Take a worker's latest report."""
        self._live[worker] = report

    def retire(self, worker: Hashable) -> None:
        """Keep what a worker that is gone had counted, and forget what it held."""
        report = self._live.pop(worker, None)
        if report is not None:
            self._kept = [a + b for a, b in zip_longest(self._kept, report.values, fillvalue=0.0)]
            seconds = "process_cpu_seconds_total"
            self._kept_process[seconds] = self._kept_process.get(seconds, 0.0) + report.process.get(
                seconds, 0.0
            )

    def open(self) -> int:
        """Return how many requests the workers are answering, by their latest reports."""
        name = f"{PREFIX}_requests_in_flight"
        return int(sum(s.value for family in self.collect() for s in family.samples if s.name == name))

    def expose(self) -> bytes:
        """Render everything in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield each family with the values of all processes."""
        reports = list(self._live.values())
        position = 0
        for family in self._own.registry.collect():
            ours = family.name.startswith(PREFIX)
            merged = Metric(family.name, family.documentation, family.type)
            for sample in family.samples:
                value = sample.value
                if ours:
                    values = [report.values[position] for report in reports if position < len(report.values)]
                    if family.type != "gauge" and position < len(self._kept):
                        values.append(self._kept[position])
                    value = _merge(sample.name, value, values)
                    position += 1
                elif sample.name in PROCESS_SUMS:
                    value += sum(report.process.get(sample.name, 0.0) for report in reports)
                    value += self._kept_process.get(sample.name, 0.0)
                merged.samples.append(sample._replace(value=value))
            yield merged


def _merge(name: str, own: float, others: list[float]) -> float:
    if name.endswith(("_created", "_info")):
        return own  # a time, and a name: not a number of things
    return own + sum(others)


def code_class(status: int | None) -> str:
    """Return the label for an HTTP status; None means that there was no answer.

    A status outside all classes counts as a server's error, which is how clients have to treat it (RFC 9110, section 15).
    """
    if status is None:
        return "none"
    return f"{status // 100}xx" if 100 <= status < 600 else "5xx"  # noqa: PLR2004 - the classes there are
