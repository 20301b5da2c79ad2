"""The dashboard: in step with what makes it, whole, and asking for metrics and labels that exist.

Whether each expression returns data is shown by `make verify-deploy`, with a Prometheus that scrapes a proxy at work.
"""

from __future__ import annotations

import json
import re
import runpy
from typing import Any

import promql_parser
import pytest
import yaml

from tests.support.deploying import (
    DASHBOARD,
    DEPLOY,
    SCRAPED,
    Query,
    dashboard_queries,
    metric_names,
    sample_labels,
)

MADE_BY_PROMETHEUS = {"job", "instance", "namespace", "release", "pod"}
QUERIES = list(dashboard_queries())


def query_id(query: Query) -> str:
    return f"{query.panel}-{query.legend}"


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return document


def panels() -> list[dict[str, Any]]:
    return list(dashboard()["panels"])


def test_it_is_what_its_script_makes() -> None:
    made = runpy.run_path(str(DEPLOY / "grafana" / "make_dashboard.py"))["text"]()
    assert DASHBOARD.read_text("utf-8") == made


@pytest.mark.parametrize("query", QUERIES, ids=query_id)
def test_what_is_asked_for_exists(query: Query) -> None:
    promql_parser.parse(query.expression)
    known = sample_labels()
    names = metric_names(query.expression)
    assert names
    assert names <= set(known) | SCRAPED
    labels = set().union(*(known.get(name, {}) for name in names)) | MADE_BY_PROMETHEUS
    asked = [
        label.strip()
        for clause in re.findall(r"\bby \(([^)]*)\)", query.expression)
        for label in clause.split(",")
    ]
    shown = re.findall(r"\{\{(\w+)\}\}", query.legend)
    assert {*asked, *shown} <= labels


@pytest.mark.parametrize("query", QUERIES, ids=query_id)
def test_what_is_selected_exists(query: Query) -> None:
    known = sample_labels()
    for name, selection in re.findall(r"(sse_proxy_\w+)\{([^}]*)\}", query.expression):
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selection):
            if label not in MADE_BY_PROMETHEUS:
                assert set(values.split("|")) <= known[name][label], (name, label)


def test_every_metric_of_ours_is_shown() -> None:
    shown = set().union(*(metric_names(query.expression) for query in QUERIES))
    ours = {
        re.sub("_(bucket|sum|count)$", "", name)
        for name in sample_labels()
        if name.startswith("sse_proxy_") and not name.endswith("_created")
    }
    shown_ours = {re.sub("_bucket$", "", name) for name in shown if name.startswith("sse_proxy_")}
    assert ours == shown_ours, "give it a panel: deploy/grafana/make_dashboard.py"


def test_panels_are_whole_and_do_not_overlap() -> None:
    found = panels()
    ids = [panel["id"] for panel in found]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in found:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_the_dashboard_is_where_grafana_looks() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    mounts = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    provider = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/dashboards/vllm-sse-proxy.yaml").read_text("utf-8")
    )
    assert mounts["./grafana/dashboards"] == provider["providers"][0]["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    host = re.fullmatch(r"http://(\w+):9090", source["datasources"][0]["url"])
    assert host is not None
    assert host[1] in compose["services"]
