"""The scrape configuration and the rules: they are accepted, their metrics exist, and each alert has a test that can fail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml

from tests.support.deploying import DEPLOY, ROOT, RULES, SCRAPED, metric_names, rules, sample_labels

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.conftest import Run

ALERTS = [rule["alert"] for rule in rules() if "alert" in rule]
RULE_TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


def test_promtool_accepts_configuration_and_rules(run: Run) -> None:
    code, output = run("promtool", "check", "config", "--lint-fatal", "deploy/prometheus/prometheus.yaml")
    assert code == 0, output
    assert "1 rule files found" in output


def test_every_rule_does_what_its_test_says(run: Run) -> None:
    code, output = run("promtool", "test", "rules", *map(str, RULE_TESTS))
    assert code == 0, output


@pytest.mark.parametrize("alert", ALERTS)
def test_the_test_of_each_alert_fails_without_it(alert: str, run: Run, tmp_path: Path) -> None:
    document = yaml.safe_load(RULES.read_text("utf-8"))
    for group in document["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == alert:
                rule["expr"] = "vector(0) > 1"
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(document))
    tests = next(tests for tests in map(read, RULE_TESTS) if alert in str(tests))
    own = [test for test in tests["tests"] if alert in str(test)]
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump({**tests, "rule_files": ["rules.yaml"], "tests": own})
    )
    code, output = run("promtool", "test", "rules", str(tmp_path / "tests.yaml"))
    assert code == 1
    assert f"alertname: {alert}" in output


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
            assert label == "job" or set(values.split("|")) <= known[name][label], (name, label)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_told_in_the_operators_words(alert: str) -> None:
    rule = next(rule for rule in rules() if rule.get("alert") == alert)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert f"`{alert}`" in (ROOT / "docs" / "operations.md").read_text("utf-8")
