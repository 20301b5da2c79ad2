"""The chart, as far as it can be judged without helm; `make check-deploy` renders it."""

from __future__ import annotations

import json
import runpy
import tomllib

import yaml

from tests.support.deploying import DASHBOARD, DEPLOY, ROOT, RULES
from vllm_sse_proxy import __version__
from vllm_sse_proxy.settings import ServerSettings, settings_of

CHART = DEPLOY / "helm" / "vllm-sse-proxy"


def test_the_rules_are_the_tested_ones() -> None:
    assert (CHART / "files" / "rules.yaml").read_bytes() == RULES.read_bytes()


def test_what_is_made_of_something_else_is_in_step() -> None:
    render = runpy.run_path(str(DEPLOY / "render.py"))
    assert (CHART / "files" / "dashboard.json").read_bytes() == DASHBOARD.read_bytes()
    assert (CHART / "README.md").read_text("utf-8") == render["chart_readme"]()
    manifest = (DEPLOY / "kubernetes" / "prometheus-rule.yaml").read_text("utf-8")
    assert manifest == render["rule_manifest"]()
    assert yaml.safe_load(manifest)["spec"] == yaml.safe_load(RULES.read_text("utf-8"))


def test_the_readme_has_every_value() -> None:
    readme = (CHART / "README.md").read_text("utf-8")
    for name, value in yaml.safe_load((CHART / "values.yaml").read_text("utf-8")).items():
        for shown in (
            [f"{name}.{member}" for member in value] if isinstance(value, dict) and value else [name]
        ):
            assert f"| `{shown}` |" in readme


def test_settings_are_those_of_the_proxy_that_the_chart_does_not_set_itself() -> None:
    """A misspelt one is refused when it is rendered, and not by a pod that does not start."""
    properties = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]
    own = {
        "upstream",
        "host",
        "port",
        "admin_host",
        "admin_port",
        "drain_delay_seconds",
        "drain_timeout_seconds",
    }
    assert set(properties["settings"]["propertyNames"]["enum"]) == settings_of(ServerSettings).keys() - own


def test_the_chart_says_where_it_comes_from() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    source = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Source"]
    assert chart["home"] == source
    assert chart["sources"] == [source]


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == __version__
    compose = (DEPLOY / "compose.yaml").read_text("utf-8")
    assert f"image: vllm-sse-proxy:{__version__}" in compose
