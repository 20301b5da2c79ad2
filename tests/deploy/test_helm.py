"""The chart, as far as it can be judged without helm; `make check-deploy` renders it."""

from __future__ import annotations

import yaml

from tests.support.deploying import DEPLOY, RULES
from vllm_sse_proxy import __version__

CHART = DEPLOY / "helm" / "vllm-sse-proxy"


def test_the_rules_are_the_tested_ones() -> None:
    assert (CHART / "files" / "rules.yaml").read_bytes() == RULES.read_bytes()


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == __version__
    compose = (DEPLOY / "compose.yaml").read_text("utf-8")
    assert f"image: vllm-sse-proxy:{__version__}" in compose
