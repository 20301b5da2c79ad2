"""Write again what in deploy/ is made of something else: the dashboard, the chart's copies and README, the plain manifests.

    make render

Tests hold each of them against its source.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY = Path(__file__).parent
CHART = DEPLOY / "helm" / "vllm-sse-proxy"
TOOLS = DEPLOY.parent / ".deploy-tools" / "bin"
RULES = DEPLOY / "prometheus" / "rules" / "vllm-sse-proxy.yaml"

MANIFEST_HEADER = """\
# The chart in deploy/helm rendered with ci/plain-values.yaml, for clusters without Helm; a test fails when it is out of step.
# Before `kubectl apply -f`: the image and SSE_PROXY_UPSTREAM.
"""

RULE_HEADER: Final = """\
# The rules in deploy/prometheus for the Prometheus operator: one set for all releases, so apply it once. A test fails when it
# is out of step. Give it the labels that your Prometheus selects rules by.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: vllm-sse-proxy
spec:
"""

README_HEADER: Final = """\
# vllm-sse-proxy

{description} This file is made by `make render` from [values.yaml](values.yaml) and [Chart.yaml](Chart.yaml).

```console
$ helm install llm deploy/helm/vllm-sse-proxy --set upstream=http://model:8000 --set image.repository=YOUR/vllm-sse-proxy
```

Chart {version}, for version {app} of the proxy, on Kubernetes {kubernetes}. Examples of values are in [ci/](ci/): everything
switched on, the plain manifest, OpenShift, and vLLM in the same pod.

[Operations](../../../docs/operations.md) says how to run it.

## Values

| value | default | what |
|---|---|---|
"""


def rule_manifest() -> str:
    """Return the rules as the Prometheus operator wants them."""
    lines = (f"  {line}".rstrip() for line in RULES.read_text("utf-8").splitlines())
    return RULE_HEADER + "\n".join(lines) + "\n"


def chart_readme() -> str:
    """Return the chart's README: every value with its default and its comment."""
    about = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    source = (CHART / "values.yaml").read_text("utf-8")
    comments = _comments(source)
    rows = [
        f"| `{name}` | {_default(value)} | {comments.get(name, '')} |"
        for name, value in _leaves(yaml.safe_load(source), comments)
    ]
    header = README_HEADER.format(
        description=about["description"],
        version=about["version"],
        app=about["appVersion"],
        kubernetes=about["kubeVersion"].removeprefix(">=").removesuffix(".0-0") + " or later",
    )
    return header + "\n".join(rows) + "\n"


def _comments(source: str) -> dict[str, str]:
    """Return the comment before each key of the first two levels, by its dotted name."""
    found: dict[str, str] = {}
    said: list[str] = []
    parent = ""
    for line in source.splitlines():
        if line.lstrip().startswith("#"):
            said.append(line.lstrip(" #").rstrip())
        elif match := re.match(r"( {0,2})(\w+):", line):
            name = f"{parent}.{match[2]}" if match[1] else match[2]
            parent = parent if match[1] else match[2]
            if said:
                found[name] = " ".join(said).replace("|", "\\|")
            said = []
        else:
            said = []  # the remark at the head of the file, or a blank line
    return found


def _leaves(values: dict[str, Any], comments: dict[str, str]) -> list[tuple[str, Any]]:
    """Return each value of the first level that is not a section, and the members of those that are, by dotted names."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        if not isinstance(value, dict) or not value:
            found.append((name, value))
            continue
        if name in comments:
            found.append((name, None))
        found += [(f"{name}.{member}", each) for member, each in value.items()]
    return found


def _default(value: Any) -> str:
    if value is None:
        return ""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    return f"`{text}`"


def main() -> None:
    """Write all of them; needs Helm for the last."""
    dashboard = runpy.run_path(str(DEPLOY / "grafana" / "make_dashboard.py"))
    dashboard["TARGET"].write_text(dashboard["text"](), "utf-8")
    shutil.copyfile(dashboard["TARGET"], CHART / "files" / "dashboard.json")
    shutil.copyfile(RULES, CHART / "files" / "rules.yaml")
    (DEPLOY / "kubernetes" / "prometheus-rule.yaml").write_text(rule_manifest(), "utf-8")
    (CHART / "README.md").write_text(chart_readme(), "utf-8")
    helm = shutil.which("helm", path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")
    if helm is None:
        raise SystemExit("helm is not installed; `make deploy-tools` installs it")
    values = CHART / "ci" / "plain-values.yaml"
    rendered = subprocess.run(
        [helm, "template", "vllm-sse-proxy", str(CHART), "-f", str(values)],
        check=True,
        capture_output=True,
        text=True,
    )
    (DEPLOY / "kubernetes" / "vllm-sse-proxy.yaml").write_text(MANIFEST_HEADER + rendered.stdout, "utf-8")


if __name__ == "__main__":
    main()
