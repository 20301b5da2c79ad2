"""The scrape configuration and the rules, put to promtool: they are accepted, and each alert has a test that can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.deploying import DEPLOY, RULES, rules
from vllm_sse_proxy.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.deploy.conftest import Run

ALERTS = [rule["alert"] for rule in rules() if "alert" in rule]
RULE_TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


def test_promtool_accepts_configuration_and_rules(run: Run) -> None:
    code, output = run("promtool", "check", "config", "--lint-fatal", "deploy/prometheus/prometheus.yaml")
    assert code == 0, output
    assert "1 rule files found" in output


def test_promtool_accepts_the_metrics(run: Run) -> None:
    assert run("promtool", "check", "metrics", text=Metrics().expose().decode()) == (0, "")


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
