"""The chart, rendered by helm: it is valid for Kubernetes, and says what operations.md promises. No cluster is asked."""

from __future__ import annotations

import json
import runpy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.deploying import DASHBOARD, DEPLOY, RULES
from vllm_sse_proxy.config import load
from vllm_sse_proxy.settings import ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.deploy.conftest import Run

CHART = DEPLOY / "helm" / "vllm-sse-proxy"
VALUES = sorted(path.stem.removesuffix("-values") for path in (CHART / "ci").glob("*.yaml"))
HELMS = ["helm", "helm3"]
RELEASES = ["1.30", "1.34"]

# Kinds of the Prometheus operator and of the Gateway API: there is no schema of theirs here.
FOREIGN = frozenset({"ServiceMonitor", "PrometheusRule", "HTTPRoute"})

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
        "ConfigMap",
        "Deployment",
        "HTTPRoute",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Service",
        "ServiceAccount",
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


@pytest.mark.parametrize("values", VALUES)
def test_the_pod_is_locked_down(values: str, run: Run) -> None:
    documents = render(run, "-f", values_file(values))
    pod = find(documents, "Deployment")["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    user = {} if values == "openshift" else {"runAsUser": 10001, "runAsGroup": 10001}
    assert container(documents)["securityContext"] == {
        **user,
        "runAsNonRoot": True,
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
        if not name.startswith("SSE_PROXY_"):
            continue
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
        (("--set", "upstream=http://model:8000", "--set", "settings.prot=1"), "prot"),
        (("--set", "upstream=http://my model"), "upstream"),
        (("--set", "upstream=http://model:8000", "--set", "upstreamCA.secret=a"), "https"),
        (("-f", values_file("sidecar"), "--set", "upstreamCA.secret=a"), "https"),
        (("--set", "sidecar.enabled=true"), "sidecar.container"),
        (("--set", "upstream=http://model:8000", "--set", "ingress.enabled=true"), "ingress.host"),
        (("--set", "upstream=http://model:8000", "--set", "httpRoute.enabled=true"), "parentRefs"),
        (
            ("--set", "upstream=https://model", "--set", "upstreamCA.secret=a,upstreamCA.configMap=b"),
            "not both",
        ),
        (("--set", "upstream=http://model", "--set", "tls.secret=a,settings.tls_cert_file=b"), "one of them"),
        (
            ("--set", "upstream=https://model", "--set", "upstreamCA.secret=a,settings.upstream_ca_file=b"),
            "one of them",
        ),
        (
            (
                "--set",
                "upstream=http://m",
                "--set",
                "upstreamApiKeySecret.name=a,settings.upstream_api_key_file=b",
            ),
            "one of them",
        ),
        (
            ("--set", "upstream=http://m", "--set", "autoscaling.enabled=true,autoscaling.targetCPU="),
            "targetCPU or targetStreamsInFlight",
        ),
    ],
)
def test_what_cannot_work_is_refused(arguments: tuple[str, ...], message: str, run: Run) -> None:
    code, output = run("helm", "template", "vllm-sse-proxy", str(CHART), *arguments)
    assert code != 0
    assert message in output


def given(run: Run, *pairs: str) -> list[dict[str, Any]]:
    """Render with single values, beside an upstream."""
    return render(
        run, "--set", "upstream=http://model:8000", *(word for pair in pairs for word in ("--set", pair))
    )


def kinds(documents: list[dict[str, Any]]) -> set[str]:
    return {each["kind"] for each in documents}


@pytest.mark.parametrize(
    ("values", "is_there"),
    [
        ((), True),
        (("replicas=1",), False),
        (("replicas=0",), False),
        (("replicas=1", "autoscaling.enabled=true"), True),
        (("autoscaling.enabled=true", "autoscaling.minReplicas=1"), False),
        (("podDisruptionBudget.enabled=false",), False),
    ],
)
def test_a_single_replica_blocks_no_drain(values: tuple[str, ...], run: Run, *, is_there: bool) -> None:
    assert ("PodDisruptionBudget" in kinds(given(run, *values))) is is_there


def test_autoscaling_is_by_cpu_unless_something_else_is_asked_for(run: Run) -> None:
    def metrics(*values: str) -> list[str]:
        scaler = find(given(run, "autoscaling.enabled=true", *values), "HorizontalPodAutoscaler")
        return [each["type"] for each in scaler["spec"]["metrics"]]

    assert metrics() == ["ContainerResource"]
    assert metrics("autoscaling.targetStreamsInFlight=100") == ["ContainerResource", "Pods"]
    assert metrics("autoscaling.targetStreamsInFlight=100", "autoscaling.targetCPU=") == ["Pods"]


def test_readiness_survives_a_stall(run: Run) -> None:
    proxy = container(given(run))
    probe = proxy["readinessProbe"]
    assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) >= 10
    assert probe["timeoutSeconds"] >= 5
    assert all("8000" not in str(proxy[f"{name}Probe"]) for name in ("startup", "readiness", "liveness"))


def test_probes_are_values(run: Run) -> None:
    proxy = container(given(run, "probes.startup=null", "probes.readiness.failureThreshold=9"))
    assert "startupProbe" not in proxy
    assert proxy["readinessProbe"]["failureThreshold"] == 9
    assert proxy["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_files_are_mounted_where_the_settings_look(run: Run) -> None:
    documents = render(run, "-f", values_file("full"))
    variables, proxy = environment(documents), container(documents)
    volumes = {
        each["name"]: each for each in find(documents, "Deployment")["spec"]["template"]["spec"]["volumes"]
    }
    mounts = {each["mountPath"]: volumes[each["name"]] for each in proxy["volumeMounts"]}
    assert all("subPath" not in each for each in proxy["volumeMounts"]), (
        "what is mounted by subPath never changes"
    )
    for variable, file in (
        ("SSE_PROXY_UPSTREAM_API_KEY_FILE", "key"),
        ("SSE_PROXY_UPSTREAM_CA_FILE", "ca.pem"),
        ("SSE_PROXY_TLS_CERT_FILE", "tls.crt"),
        ("SSE_PROXY_TLS_KEY_FILE", "tls.key"),
    ):
        folder, _, name = variables[variable].rpartition("/")
        assert name == file
        items = next(iter(each for each in mounts[folder].values() if isinstance(each, dict))).get("items")
        assert items is None or [each["path"] for each in items] == [file]
    assert "/scratch" in mounts
    assert proxy["envFrom"] == [{"configMapRef": {"name": "more"}}]
    assert variables["TZ"] == "UTC"


def test_a_restricted_scc_chooses_the_user(run: Run) -> None:
    documents = render(run, "-f", values_file("openshift"))
    context = container(documents)["securityContext"]
    assert not {"runAsUser", "runAsGroup"} & set(context)
    assert (context["runAsNonRoot"], context["capabilities"]) == (True, {"drop": ["ALL"]})
    account = find(documents, "ServiceAccount", "proxy")
    assert account["automountServiceAccountToken"] is False
    assert find(documents, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "proxy"


def test_a_client_can_be_kept_at_one_pod(run: Run) -> None:
    assert "sessionAffinity" not in find(given(run), "Service")["spec"]
    service = find(given(run, "service.sessionAffinity=ClientIP"), "Service")["spec"]
    assert service["sessionAffinity"] == "ClientIP"
    assert service["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == 10800


def test_the_route_leads_to_the_data_port_without_a_time_limit(run: Run) -> None:
    documents = render(run, "-f", values_file("full"))
    (rule,) = find(documents, "HTTPRoute")["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    (backend,) = rule["backendRefs"]
    service = find(documents, "Service", backend["name"])
    assert backend["port"] in [port["port"] for port in service["spec"]["ports"] if port["name"] == "http"]


def test_the_dashboard_is_the_tested_one(run: Run) -> None:
    made = find(render(run, "-f", values_file("full")), "ConfigMap", "vllm-sse-proxy-dashboard")
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(made["data"]["vllm-sse-proxy.json"]) == json.loads(DASHBOARD.read_text("utf-8"))


def test_rules_are_one_set_and_figures_have_their_release(run: Run) -> None:
    documents = render(run, "-f", values_file("full"), "--set", "fullnameOverride=other")
    assert find(documents, "PrometheusRule")["metadata"]["name"] == "vllm-sse-proxy"
    (endpoint,) = find(documents, "ServiceMonitor", "other")["spec"]["endpoints"]
    assert {each["targetLabel"] for each in endpoint["relabelings"]} == {"job", "release"}
