"""The rules: their metrics exist, and each alert has a test that fires it and one that keeps it silent."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml

from tests.support.deploying import DEPLOY, ROOT, SCRAPED, metric_names, rules, sample_labels

if TYPE_CHECKING:
    from pathlib import Path

ALERTS = [rule["alert"] for rule in rules() if "alert" in rule]
RULE_TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


def test_every_alert_has_a_test_that_also_keeps_it_silent() -> None:
    expected: dict[str, list[bool]] = {}
    for test in (test for tests in map(read, RULE_TESTS) for test in tests["tests"]):
        for case in test.get("alert_rule_test", ()):
            expected.setdefault(case["alertname"], []).append(bool(case["exp_alerts"]))
    assert set(expected) == set(ALERTS)
    assert not [alert for alert, fires in expected.items() if set(fires) != {True, False}]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.get("alert") or rule["record"]))
def test_what_a_rule_asks_for_exists(rule: dict[str, str]) -> None:
    promql_parser.parse(rule["expr"])
    recorded = {each["record"] for each in rules() if "record" in each}
    names = metric_names(rule["expr"])
    assert names
    assert names <= set(sample_labels()) | recorded | SCRAPED


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.get("alert") or rule["record"]))
def test_what_a_rule_selects_exists(rule: dict[str, str]) -> None:
    known = sample_labels()
    for name, selection in re.findall(r"(sse_proxy_\w+)\{([^}]*)\}", rule["expr"]):
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selection):
            assert label in {"job", "namespace", "release"} or set(values.split("|")) <= known[name][label], (
                name,
                label,
            )


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_explained_in_the_operators_words(alert: str) -> None:
    rule = next(rule for rule in rules() if rule.get("alert") == alert)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert f"\n### {alert}\n" in (ROOT / "docs" / "operations.md").read_text("utf-8")
    source = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Source"]
    assert rule["annotations"]["runbook_url"] == f"{source}/blob/main/docs/operations.md#{alert.lower()}"


@pytest.mark.parametrize("alert", ALERTS)
def test_no_release_hides_another(alert: str) -> None:
    """Nothing is added up over all of a job: what is about a vLLM has its address, what is about a proxy its release."""
    rule = next(rule for rule in rules() if rule.get("alert") == alert)
    recorded = {each["record"]: each["expr"] for each in rules() if "record" in each}
    expressions = [rule["expr"], *(expr for name, expr in recorded.items() if name in rule["expr"])]
    added = [clause for each in expressions for clause in re.findall(r"\bby \(([^)]*)\)", each)]
    assert all({"job", "namespace"} < set(clause.split(", ")) for clause in added)
    assert all({"upstream", "release"} & set(clause.split(", ")) for clause in added)
    if alert.startswith("VLLM"):
        assert all("upstream" in clause for clause in added)
