"""The chart, rendered by helm: it is valid for Kubernetes, and says what operations.md promises. No cluster is asked."""

from __future__ import annotations

import runpy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.deploying import DEPLOY, RULES
from vllm_sse_proxy.config import ServerSettings, load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.deploy.conftest import Run

CHART = DEPLOY / "helm" / "vllm-sse-proxy"
VALUES = sorted(path.stem.removesuffix("-values") for path in (CHART / "ci").glob("*.yaml"))
HELMS = ["helm", "helm3"]
RELEASES = ["1.30", "1.34"]

# Kinds of the Prometheus operator: there is no schema of theirs here.
FOREIGN = frozenset({"ServiceMonitor", "PrometheusRule"})

MANIFEST_HEADER = runpy.run_path(str(DEPLOY / "render.py"))["MANIFEST_HEADER"]


def values_file(name: str) -> str:
    return str(CHART / "ci" / f"{name}-values.yaml")


def render(run: Run, *arguments: str, helm: str = "helm") -> list[dict[str, Any]]:
    code, output = run(helm, "template", "vllm-sse-proxy", str(CHART), "--kube-version", "1.34", *arguments)
    assert code == 0, output
    return [document for document in yaml.safe_load_all(output) if document]


def find(documents: list[dict[str, Any]], kind: str, name: str = "vllm-sse-proxy") -> dict[str, Any]:
    return next(each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name)


def container(documents: list[dict[str, Any]]) -> dict[str, Any]:
    pod = find(documents, "Deployment")["spec"]["template"]["spec"]
    found: dict[str, Any] = next(each for each in pod["containers"] if each["name"] == "proxy")
    return found


def environment(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container(documents)["env"]}


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("values", VALUES)
def test_helm_accepts_it(values: str, helm: str, run: Run) -> None:
    code, output = run(helm, "lint", "--strict", str(CHART), "-f", values_file(values))
    assert code == 0, output


@pytest.mark.parametrize("values", VALUES)
def test_both_majors_render_the_same(values: str, run: Run) -> None:
    assert render(run, "-f", values_file(values)) == render(run, "-f", values_file(values), helm="helm3")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("values", VALUES)
def test_kubernetes_would_accept_it(values: str, release: str, run: Run, tmp_path: Path) -> None:
    documents = [each for each in render(run, "-f", values_file(values)) if each["kind"] not in FOREIGN]
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(yaml.safe_dump_all(documents))
    code, output = run("kubernetes-validate", "--strict", "--quiet", "-k", release, str(rendered))
    assert code == 0, output


def test_the_plain_manifest_is_what_the_chart_renders(run: Run) -> None:
    code, output = run("helm", "template", "vllm-sse-proxy", str(CHART), "-f", values_file("plain"))
    assert code == 0, output
    assert (DEPLOY / "kubernetes" / "vllm-sse-proxy.yaml").read_text("utf-8") == MANIFEST_HEADER + output


def test_the_rules_are_the_tested_ones(run: Run) -> None:
    documents = render(run, "-f", values_file("full"))
    assert find(documents, "PrometheusRule")["spec"] == yaml.safe_load(RULES.read_text("utf-8"))


def test_nothing_that_is_gated_is_there_by_default(run: Run) -> None:
    kinds = sorted(each["kind"] for each in render(run, "--set", "upstream=http://model:8000"))
    assert kinds == ["Deployment", "PodDisruptionBudget", "Service", "Service"]


def test_everything_can_be_switched_on(run: Run) -> None:
    kinds = {each["kind"] for each in render(run, "-f", values_file("full"))}
    assert kinds == {
        "Deployment",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Service",
        "ServiceMonitor",
    }


@pytest.mark.parametrize("values", VALUES)
def test_streams_have_time_to_finish(values: str, run: Run) -> None:
    documents = render(run, "-f", values_file(values))
    pod = find(documents, "Deployment")["spec"]["template"]["spec"]
    proxy, variables = container(documents), environment(documents)
    sleep = proxy.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    delay = float(variables["SSE_PROXY_DRAIN_DELAY_SECONDS"])
    drain = float(variables["SSE_PROXY_DRAIN_TIMEOUT_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > sleep + delay + drain
    assert proxy["readinessProbe"]["periodSeconds"] < delay, "the endpoint would outlive the listening socket"


@pytest.mark.parametrize("values", VALUES)
def test_the_pod_is_locked_down(values: str, run: Run) -> None:
    documents = render(run, "-f", values_file(values))
    pod = find(documents, "Deployment")["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert container(documents)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_services_keep_clients_and_metrics_apart(run: Run) -> None:
    documents = render(run, "-f", values_file("full"))
    ports = {port["name"]: port["containerPort"] for port in container(documents)["ports"]}
    assert ports == {"http": 9000, "metrics": 9001}
    assert [port["targetPort"] for port in find(documents, "Service")["spec"]["ports"]] == ["http"]
    metrics = find(documents, "Service", "vllm-sse-proxy-metrics")
    assert [port["targetPort"] for port in metrics["spec"]["ports"]] == ["metrics"]
    assert metrics["spec"]["clusterIP"] == "None"
    monitor = find(documents, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= metrics["metadata"]["labels"].items()
    assert (
        not monitor["selector"]["matchLabels"].items()
        <= find(documents, "Service")["metadata"]["labels"].items()
    )
    selector = find(documents, "Deployment")["spec"]["selector"]["matchLabels"]
    labels = find(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()


@pytest.mark.parametrize("values", VALUES)
def test_the_proxy_understands_its_environment(
    values: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = render(run, "-f", values_file(values))
    for name, value in environment(documents).items():
        monkeypatch.setenv(name, "http://user:secret@model:8000" if value is None else value)
    settings = load(ServerSettings, {})
    if values == "full":
        assert settings.keepalive.value == "event"
        assert settings.keepalive_seconds == 10
        assert settings.max_text_bytes == 134_217_728
        assert settings.preserve_host is True
        assert settings.disable_repairs == ("string_deltas", "done_items")


def test_the_sidecar_is_reached_on_loopback(run: Run) -> None:
    documents = render(run, "-f", values_file("sidecar"))
    pod = find(documents, "Deployment")["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["containers"]] == ["proxy", "model"]
    assert environment(documents)["SSE_PROXY_UPSTREAM"] == "http://127.0.0.1:8000"
    mounted = {mount["name"] for mount in pod["containers"][1]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give upstream"),
        (("--set", "upstream=model:8000"), "upstream"),
        (("--set", "upstream=http://model:8000", "--set", "replica=3"), "replica"),
        (("--set", "upstream=http://model:8000", "--set", "replicas=many"), "replicas"),
        (("--set", "upstream=http://model:8000", "--set", "settings.port=1"), "port"),
        (("--set", "sidecar.enabled=true"), "sidecar.container"),
        (("--set", "upstream=http://model:8000", "--set", "ingress.enabled=true"), "ingress.host"),
    ],
)
def test_what_cannot_work_is_refused(arguments: tuple[str, ...], message: str, run: Run) -> None:
    code, output = run("helm", "template", "vllm-sse-proxy", str(CHART), *arguments)
    assert code != 0
    assert message in output
