"""Write dashboards/vllm-sse-proxy.json: the dashboard as rows of panels, so that a change is a line.

    python deploy/grafana/make_dashboard.py            # writes it again; a test fails when the two are out of step

It is Grafana's classic model (schema version 39, Grafana 10 and later), for provisioning from a file or for import by hand.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

TARGET = Path(__file__).parent / "dashboards" / "vllm-sse-proxy.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # columns of Grafana's grid

SELECT = 'job=~"$job", namespace=~"$namespace", release=~"$release", instance=~"$instance"'
NO_ANSWER = 'class=~"connect|timeout|disconnect|protocol"'
UNANSWERED = f"sum(increase(sse_proxy_upstream_failures_total{{@, {NO_ANSWER}}}[$__range]))"
BROKEN_OFF = "unterminated|truncated|cut|reset|idle_timeout|empty"


class Panel(NamedTuple):
    """One panel.

    ``queries`` are pairs of expression and legend; in them ``@`` stands for the selection of job and instance.
    """

    kind: str
    title: str
    text: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    width: int = 8
    height: int = 8
    steps: tuple[tuple[str, float | None], ...] = (("green", None),)
    stacked: bool = False


def quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    """Return the queries for median and 95th and 99th percentile of a histogram."""
    return tuple(
        (
            f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{@}}[$__rate_interval])))",
            f"p{share[2:]:0<2}",
        )
        for share in ("0.5", "0.95", "0.99")
    )


def by_upstream(series: str) -> str:
    """Return the rate of a counter for each vLLM."""
    known = "on (job, namespace, pod, instance) group_left (upstream) sse_proxy_upstream_info{@}"
    return f"sum by (upstream) (rate({series}[$__rate_interval]) * {known})"


UNANSWERED_BY = by_upstream(f"sse_proxy_upstream_failures_total{{@, {NO_ANSWER}}}")
WARNING_FROM_ANY = (("green", None), ("orange", 0.0001), ("red", 0.05))

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Is my vLLM broken?",
        (
            Panel(
                "stat",
                "Streams that broke off",
                "Share of streams that vLLM ended without a terminal event: endings unterminated, truncated, cut, reset, "
                "idle_timeout and empty. The proxy ended them for the client, as failed where the answer was not whole.",
                (
                    (
                        f'sum(increase(sse_proxy_streams_total{{@, ending=~"{BROKEN_OFF}"}}[$__range]))'
                        " / sum(increase(sse_proxy_streams_total{@}[$__range]))",
                        "broke off",
                    ),
                ),
                unit="percentunit",
                width=5,
                height=5,
                steps=WARNING_FROM_ANY,
            ),
            Panel(
                "stat",
                "Streams that needed a repair",
                "Share of streams in which at least one event was repaired. 0 % means that this vLLM needs no proxy.",
                (
                    (
                        "sum(increase(sse_proxy_streams_repaired_total{@}[$__range]))"
                        " / sum(increase(sse_proxy_streams_total{@}[$__range]))",
                        "repaired",
                    ),
                ),
                unit="percentunit",
                width=5,
                height=5,
                steps=(("green", None), ("blue", 0.0001)),
            ),
            Panel(
                "stat",
                "Requests without an answer",
                "Share of requests that vLLM did not answer at all: not connectable, silent, or closed before a whole head.",
                (
                    (
                        f"{UNANSWERED} / ({UNANSWERED} + sum(increase(sse_proxy_upstream_requests_total{{@}}[$__range])))",
                        "unanswered",
                    ),
                ),
                unit="percentunit",
                width=5,
                height=5,
                steps=WARNING_FROM_ANY,
            ),
            Panel(
                "stat",
                "Different repairs at work",
                "How many of the repairs had anything to do in the time shown.",
                (
                    (
                        "count(sum by (family, repair) (increase(sse_proxy_repairs_total{@}[$__range])) > 0) or vector(0)",
                        "repairs",
                    ),
                ),
                width=4,
                height=5,
                steps=(("green", None), ("blue", 1)),
            ),
            Panel(
                "stat",
                "Repairs that fail",
                "Exceptions inside repairs: a fault of the proxy. The event was passed on without that repair.",
                (("sum(increase(sse_proxy_repair_failures_total{@}[$__range]))", "failures"),),
                width=5,
                height=5,
                steps=(("green", None), ("red", 0.5)),
            ),
            Panel(
                "state-timeline",
                "Since when: repairs at work",
                "One line per family and repair, coloured while it had something to do. A line that begins shows when a "
                "defect came, as with an upgrade of vLLM; a line that ends shows that it went.",
                (
                    (
                        "(sum by (family, repair) (increase(sse_proxy_repairs_total{@}[$__rate_interval])) > bool 0)"
                        " and (sum by (family, repair) (increase(sse_proxy_repairs_total{@}[$__range])) > 0)",
                        "{{family}} {{repair}}",
                    ),
                ),
                width=24,
                height=10,
            ),
        ),
    ),
    (
        "Which: by vLLM",
        (
            Panel(
                "timeseries",
                "Requests without an answer, by vLLM",
                "Share of the requests to each vLLM that it did not answer. One that is dead shows here, however well the "
                "others are.",
                (
                    (
                        f"{UNANSWERED_BY} / ({UNANSWERED_BY} + {by_upstream('sse_proxy_upstream_requests_total{@}')} > 0)",
                        "{{upstream}}",
                    ),
                ),
                unit="percentunit",
                width=12,
            ),
            Panel(
                "timeseries",
                "Streams per second, by vLLM",
                "Streams that ended, by the vLLM that they came from.",
                (
                    (
                        by_upstream("sse_proxy_streams_total{@}"),
                        "{{upstream}}",
                    ),
                ),
                unit="ops",
                width=12,
                stacked=True,
            ),
        ),
    ),
    (
        "Which: by family",
        (
            Panel(
                "timeseries",
                "Streams per second, by family",
                "The protocols: responses, chat and completions of OpenAI, messages of Anthropic, transcriptions of audio.",
                (("sum by (family) (rate(sse_proxy_streams_total{@}[$__rate_interval])) > 0", "{{family}}"),),
                unit="ops",
                width=6,
                stacked=True,
            ),
            Panel(
                "timeseries",
                "Streams that needed a repair, by family",
                "Share of each family's streams in which at least one event was repaired.",
                (
                    (
                        "sum by (family) (rate(sse_proxy_streams_repaired_total{@}[$__rate_interval]))"
                        " / (sum by (family) (rate(sse_proxy_streams_total{@}[$__rate_interval])) > 0)",
                        "{{family}}",
                    ),
                ),
                unit="percentunit",
                width=6,
            ),
            Panel(
                "timeseries",
                "Streams that broke off, by family",
                "Share of each family's streams that vLLM ended without a terminal event.",
                (
                    (
                        f'sum by (family) (rate(sse_proxy_streams_total{{@, ending=~"{BROKEN_OFF}"}}[$__rate_interval]))'
                        " / (sum by (family) (rate(sse_proxy_streams_total{@}[$__rate_interval])) > 0)",
                        "{{family}}",
                    ),
                ),
                unit="percentunit",
                width=6,
            ),
            Panel(
                "bargauge",
                "Streams that passed unrepaired, by family",
                "Streams of a known family on a path that is not known, or compressed. The log names the first one of each.",
                (
                    (
                        "sort_desc(sum by (family) (increase(sse_proxy_unrepaired_streams_total{@}[$__range])) > 0)",
                        "{{family}}",
                    ),
                ),
                width=6,
            ),
        ),
    ),
    (
        "How: by repair",
        (
            Panel(
                "bargauge",
                "Events repaired, by repair",
                "Total over the time shown. docs/repairs*.md describe each one with its cause and the releases that need it.",
                (
                    (
                        "sort_desc(sum by (family, repair) (increase(sse_proxy_repairs_total{@}[$__range])) > 0)",
                        "{{family}} {{repair}}",
                    ),
                ),
                width=10,
                height=12,
            ),
            Panel(
                "timeseries",
                "Events repaired per second, by repair",
                "Jumps come with traffic; compare with the number of streams below.",
                (
                    (
                        "sum by (family, repair) (rate(sse_proxy_repairs_total{@}[$__rate_interval])) > 0",
                        "{{family}} {{repair}}",
                    ),
                ),
                unit="ops",
                width=14,
                height=12,
                stacked=True,
            ),
            Panel(
                "bargauge",
                "Requests repaired, by repair",
                "Repairs of requests that vLLM had refused, and then accepted. docs/requests.md says who sends them.",
                (
                    (
                        "sort_desc(sum by (repair) (increase(sse_proxy_request_repairs_total{@}[$__range])) > 0)",
                        "{{repair}}",
                    ),
                ),
                width=10,
                height=8,
            ),
            Panel(
                "timeseries",
                "Refused requests per second, by what became of them",
                "repaired: accepted after repairs; the others got vLLM's refusal.",
                (
                    (
                        "sum by (outcome) (rate(sse_proxy_request_refusals_total{@}[$__rate_interval])) > 0",
                        "{{outcome}}",
                    ),
                ),
                unit="ops",
                width=7,
                height=8,
            ),
            Panel(
                "timeseries",
                "From the first refusal to the answer",
                "What the refusals of a request cost: vLLM answers them in milliseconds; the rest is queue and prefill.",
                quantiles("sse_proxy_request_repair_seconds"),
                unit="s",
                width=7,
                height=8,
            ),
            Panel(
                "bargauge",
                "Requests that vLLM accepts and misreads",
                "Nothing is changed in them, and vLLM reports no error. docs/requests.md says what each means.",
                (
                    (
                        "sort_desc(sum by (what) (increase(sse_proxy_requests_misread_total{@}[$__range])) > 0)",
                        "{{what}}",
                    ),
                ),
                width=12,
                height=8,
            ),
            Panel(
                "timeseries",
                "JSON answers per second, by what became of them",
                "Answers of /v1/responses that do not stream.",
                (
                    (
                        "sum by (outcome) (rate(sse_proxy_json_answers_total{@}[$__rate_interval])) > 0",
                        "{{outcome}}",
                    ),
                ),
                unit="ops",
                width=12,
                height=8,
            ),
        ),
    ),
    (
        "How: by ending",
        (
            Panel(
                "timeseries",
                "Streams per second, by ending",
                "docs/operations.md explains each ending: whose fault it is and what to do.",
                (("sum by (ending) (rate(sse_proxy_streams_total{@}[$__rate_interval])) > 0", "{{ending}}"),),
                unit="ops",
                width=12,
                height=9,
                stacked=True,
            ),
            Panel(
                "bargauge",
                "Streams by ending",
                "Total over the time shown.",
                (
                    (
                        "sort_desc(sum by (ending) (increase(sse_proxy_streams_total{@}[$__range])) > 0)",
                        "{{ending}}",
                    ),
                ),
                width=6,
                height=9,
            ),
            Panel(
                "timeseries",
                "vLLM's failures per second, by class",
                "connect, timeout, disconnect, protocol: no answer; reset, idle, cut: an answer that stopped.",
                (
                    (
                        "sum by (class) (rate(sse_proxy_upstream_failures_total{@}[$__rate_interval]))",
                        "{{class}}",
                    ),
                ),
                unit="ops",
                width=6,
                height=9,
                stacked=True,
            ),
        ),
    ),
    (
        "Traffic",
        (
            Panel(
                "timeseries",
                "In flight",
                "Streams, requests and WebSockets that are open now.",
                (
                    ("sum(sse_proxy_streams_in_flight{@})", "streams"),
                    ("sum(sse_proxy_requests_in_flight{@})", "requests"),
                    ("sum(sse_proxy_websockets_in_flight{@})", "WebSockets"),
                ),
            ),
            Panel(
                "timeseries",
                "Requests per second",
                "By route and class of the status that the client got; none: it left before it was answered.",
                (
                    (
                        "sum by (route, code) (rate(sse_proxy_requests_total{@}[$__rate_interval])) > 0",
                        "{{route}} {{code}}",
                    ),
                ),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "timeseries",
                "vLLM's answers per second",
                "By class of status; retries: requests sent again because a reused connection had just been closed.",
                (
                    (
                        "sum by (code) (rate(sse_proxy_upstream_requests_total{@}[$__rate_interval]))",
                        "{{code}}",
                    ),
                    ("sum(rate(sse_proxy_upstream_retries_total{@}[$__rate_interval]))", "retries"),
                ),
                unit="reqps",
            ),
            Panel(
                "timeseries",
                "Time to first event",
                "From the request to the first bytes of its stream: vLLM's queue and prefill.",
                quantiles("sse_proxy_time_to_first_event_seconds"),
                unit="s",
            ),
            Panel(
                "timeseries",
                "Duration of streams",
                "From the request to the end of its stream.",
                quantiles("sse_proxy_stream_duration_seconds"),
                unit="s",
            ),
            Panel(
                "timeseries",
                "Events per second",
                "What came in, what went out, and what the proxy did to it.",
                (
                    (
                        "sum by (direction) (rate(sse_proxy_events_total{@}[$__rate_interval]))",
                        "{{direction}}",
                    ),
                    ("sum(rate(sse_proxy_events_renumbered_total{@}[$__rate_interval]))", "renumbered"),
                    ("sum(rate(sse_proxy_events_inserted_total{@}[$__rate_interval]))", "inserted"),
                    ("sum(rate(sse_proxy_events_dropped_total{@}[$__rate_interval]))", "dropped"),
                ),
                unit="ops",
            ),
            Panel(
                "timeseries",
                "Body bytes per second",
                "All routes.",
                (
                    (
                        "sum by (direction) (rate(sse_proxy_response_body_bytes_total{@}[$__rate_interval]))",
                        "{{direction}}",
                    ),
                ),
                unit="Bps",
            ),
            Panel(
                "timeseries",
                "Silence",
                "Keep-alives sent into silent streams, and status polls of their responses.",
                (
                    ("sum(rate(sse_proxy_keepalives_total{@}[$__rate_interval]))", "keep-alives"),
                    (
                        "sum by (result) (rate(sse_proxy_status_polls_total{@}[$__rate_interval]))",
                        "status {{result}}",
                    ),
                    (
                        "sum(rate(sse_proxy_requests_translated_total{@}[$__rate_interval]))",
                        "call_ids translated",
                    ),
                ),
                unit="ops",
            ),
            Panel(
                "table",
                "What is running",
                "",
                (("sum by (instance, version, python, core) (sse_proxy_build_info{@})", ""),),
            ),
            Panel(
                "table",
                "What is set",
                "mode observe: nothing is repaired, and repairs are only counted.",
                (
                    (
                        "sum by (instance, mode, dialect, reasoning, chat_reasoning, transcripts) (sse_proxy_config_info{@})",
                        "",
                    ),
                ),
            ),
        ),
    ),
    (
        "Cost",
        (
            Panel(
                "timeseries",
                "Time inside the proxy, per chunk",
                "From having read a piece of a stream to having what is sent on of it.",
                quantiles("sse_proxy_chunk_processing_seconds"),
                unit="s",
            ),
            Panel(
                "timeseries",
                "Event loop lag",
                "How late timers run: every stream waits that long too. Above 100 ms the proxy needs more CPU or a replica.",
                quantiles("sse_proxy_event_loop_lag_seconds"),
                unit="s",
                steps=(("green", None), ("red", 0.1)),
            ),
            Panel(
                "timeseries",
                "CPU",
                "Share of the cores that the workers can use: one each.",
                (
                    (
                        "rate(process_cpu_seconds_total{@}[$__rate_interval])"
                        " / on (job, instance) sse_proxy_workers{@}",
                        "{{instance}}",
                    ),
                ),
                unit="percentunit",
                steps=(("green", None), ("red", 0.85)),
            ),
            Panel(
                "timeseries",
                "Memory",
                "Resident.",
                (("process_resident_memory_bytes{@}", "{{instance}}"),),
                unit="bytes",
                width=6,
            ),
            Panel(
                "timeseries",
                "File descriptors in use",
                "Share of the limit; a stream needs two.",
                (("process_open_fds{@} / process_max_fds{@}", "{{instance}}"),),
                unit="percentunit",
                steps=(("green", None), ("red", 0.8)),
                width=6,
            ),
            Panel(
                "timeseries",
                "Limits hit per second",
                "What was ended by a limit, by the setting that holds it.",
                (
                    (
                        "sum by (limit) (rate(sse_proxy_limits_hit_total{@}[$__rate_interval]))",
                        "{{limit}}",
                    ),
                ),
                unit="ops",
                width=6,
                stacked=True,
            ),
            Panel(
                "timeseries",
                "Scraped",
                "Whether Prometheus reaches the proxy: 1, or 0.",
                (("up{@}", "{{instance}}"),),
                width=6,
            ),
            Panel(
                "timeseries",
                "Workers",
                "Processes that accept connections, and how many had to be replaced in the last five minutes.",
                (
                    ("sse_proxy_workers{@}", "{{instance}}"),
                    ("increase(sse_proxy_worker_restarts_total{@}[5m])", "{{instance}} replaced"),
                ),
                width=6,
            ),
            Panel(
                "timeseries",
                "Recordings",
                "Streams that were to be recorded (`--record`), by what became of the recording. Nothing unless it is on.",
                (("sum by (outcome) (increase(sse_proxy_recordings_total{@}[5m]))", "{{outcome}}"),),
                width=6,
            ),
        ),
    ),
)


def options_of(panel: Panel) -> dict[str, Any]:
    """Return the part of a panel that depends on its kind."""
    match panel.kind:
        case "stat":
            return {
                "reduceOptions": {"calcs": ["lastNotNull"]},
                "colorMode": "background",
                "graphMode": "none",
            }
        case "bargauge":
            return {
                "reduceOptions": {"calcs": ["lastNotNull"]},
                "orientation": "horizontal",
                "displayMode": "basic",
                "showUnfilled": False,
            }
        case "state-timeline":
            return {
                "mergeValues": True,
                "showValue": "never",
                "rowHeight": 0.8,
                "legend": {"showLegend": False},
            }
        case "timeseries":
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case _:
            return {"showHeader": True}


def field_config(panel: Panel) -> dict[str, Any]:
    """Return unit, thresholds and, for lines and timelines, how they are drawn."""
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for color, value in panel.steps],
        },
        "color": {"mode": "palette-classic" if panel.kind in {"timeseries", "bargauge"} else "thresholds"},
    }
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if len(panel.steps) > 1 else "off"},
        }
    if panel.kind == "state-timeline":
        defaults["mappings"] = [
            {
                "type": "value",
                "options": {
                    "0": {"text": "idle", "color": "transparent", "index": 0},
                    "1": {"text": "repaired", "color": "blue", "index": 1},
                },
            }
        ]
    return {"defaults": defaults, "overrides": []}


def target(panel: Panel, index: int) -> dict[str, Any]:
    """Return one query; tables and single values ask for this moment only."""
    expression, legend = panel.queries[index]
    instant = panel.kind in {"stat", "bargauge", "table"}
    return {
        "refId": chr(ord("A") + index),
        "datasource": DATASOURCE,
        "expr": expression.replace("@", SELECT),
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
        **({"format": "table"} if panel.kind == "table" else {}),
    }


def panels() -> list[dict[str, Any]]:
    """Lay the rows out, left to right, from the top."""
    ids, made, y = count(1), [], 0
    for title, row in ROWS:
        made.append(
            {
                "id": next(ids),
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
                "panels": [],
            }
        )
        x, y, height = 0, y + 1, 0
        for panel in row:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            made.append(
                {
                    "id": next(ids),
                    "type": panel.kind,
                    "title": panel.title,
                    "description": panel.text,
                    "datasource": DATASOURCE,
                    "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
                    "targets": [target(panel, index) for index in range(len(panel.queries))],
                    "fieldConfig": field_config(panel),
                    "options": options_of(panel),
                }
            )
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return made


def variable(name: str, label: str, query: str) -> dict[str, Any]:
    """Return a variable that is asked of Prometheus; several values, or all, may be chosen."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": query, "refId": f"variable-{name}"},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "options": [],
        "sort": 1,
    }


def dashboard() -> dict[str, Any]:
    """Return the whole dashboard."""
    return {
        "uid": "vllm-sse-proxy",
        "title": "vllm-sse-proxy",
        "description": "Is my vLLM broken, how, and since when? And what does the proxy cost?",
        "tags": ["vllm", "sse"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {"text": "default", "value": "default"},
                    "options": [],
                    "refresh": 1,
                },
                variable("job", "Job", "label_values(sse_proxy_build_info, job)"),
                variable(
                    "namespace", "Namespace", 'label_values(sse_proxy_build_info{job=~"$job"}, namespace)'
                ),
                variable(
                    "release",
                    "Release",
                    'label_values(sse_proxy_build_info{job=~"$job", namespace=~"$namespace"}, release)',
                ),
                variable(
                    "instance",
                    "Instance",
                    'label_values(sse_proxy_build_info{job=~"$job", namespace=~"$namespace", release=~"$release"}, instance)',
                ),
            ]
        },
        "panels": panels(),
    }


def text() -> str:
    """Return the file's text."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit("usage: python deploy/grafana/make_dashboard.py")
    TARGET.write_text(text(), "utf-8")
