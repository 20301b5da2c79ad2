"""Write again what in deploy/ is made of something else: the dashboard, the chart's copy of the rules, the plain manifest.

    make render

Tests hold each of them against its source.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
from pathlib import Path

DEPLOY = Path(__file__).parent
CHART = DEPLOY / "helm" / "vllm-sse-proxy"
TOOLS = DEPLOY.parent / ".deploy-tools" / "bin"

MANIFEST_HEADER = """\
# The chart in deploy/helm rendered with ci/plain-values.yaml, for clusters without Helm; a test fails when it is out of step.
# Before `kubectl apply -f`: the image and SSE_PROXY_UPSTREAM.
"""


def main() -> None:
    """Write all three; needs Helm for the last."""
    dashboard = runpy.run_path(str(DEPLOY / "grafana" / "make_dashboard.py"))
    dashboard["TARGET"].write_text(dashboard["text"](), "utf-8")
    shutil.copyfile(DEPLOY / "prometheus" / "rules" / "vllm-sse-proxy.yaml", CHART / "files" / "rules.yaml")
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
