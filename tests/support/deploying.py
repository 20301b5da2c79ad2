"""What the files in deploy/ hold, read for the tests and for `make verify-deploy`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from vllm_sse_proxy.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rules" / "vllm-sse-proxy.yaml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "vllm-sse-proxy.json"

# Made by Prometheus, not by the proxy.
SCRAPED = frozenset({"up", "ALERTS"})

# What a user's choice stands for in an expression that is asked here.
_VARIABLES = {
    "$__rate_interval": "{range}",
    "$__interval": "{range}",
    "$__range": "{range}",
    "$job": ".*",
    "$namespace": ".*",
    "$release": ".*",
    "$instance": ".*",
}


class Query(NamedTuple):
    """One expression of the dashboard."""

    row: str
    panel: str
    legend: str
    expression: str


def dashboard_queries(*, over: str = "5m") -> Iterator[Query]:
    """Yield every expression, with its variables replaced; ``over`` is the time range for all of them."""
    row = ""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name, value in _VARIABLES.items():
                expression = expression.replace(name, value.format(range=over))
            yield Query(row, panel["title"], target["legendFormat"], expression)


def rules() -> list[dict[str, Any]]:
    """Return every rule, recording and alerting."""
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def metric_names(expression: str) -> set[str]:
    """Return the names of the metrics that a PromQL expression asks for."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left)\s*\([^)]*\)|\{[^}]*\}", " ", bare)
    return set(
        re.findall(
            r"\b(?:(?:release|upstream|instance)\w*:[\w:]+|sse_proxy_\w+|process_\w+|python_\w+|up)\b", bare
        )
    )


def sample_labels() -> dict[str, dict[str, set[str]]]:
    """Return the names of all samples at ``/metrics``, each with its labels and their values."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in Metrics().registry.collect():
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found
