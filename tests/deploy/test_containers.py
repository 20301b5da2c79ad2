"""The image's recipe and the compose files, judged without an engine; `make verify-deploy` builds and runs them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.deploying import DEPLOY, ROOT
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.config import CONFIG_VARIABLE, ENV_PREFIX, ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.conftest import Run

COMPOSE = DEPLOY / "compose.yaml"
OVERLAY = DEPLOY / "compose.gpu.yaml"


def services(*arguments: str, run: Run) -> dict[str, dict[str, Any]]:
    """Return the services as Compose understands them."""
    code, output = run("docker-compose", *arguments, "config", env={"MODEL": "a/model"})
    assert code == 0, output
    found: dict[str, dict[str, Any]] = yaml.safe_load(output)["services"]
    return found


def test_dockerfile_has_no_findings(run: Run) -> None:
    assert run("hadolint", "Dockerfile") == (0, "")


def test_dockerfile_keeps_its_promises() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert '\nENTRYPOINT ["vllm-sse-proxy"]\n' in text
    assert "--require-hashes --only-binary :all:" in text
    variables = {ENV_PREFIX + name.upper() for name in ServerSettings.model_fields} | {CONFIG_VARIABLE}
    assert set(re.findall(r"SSE_PROXY_\w+", text)) <= variables


def test_compose_accepts_both(run: Run) -> None:
    demo = services("-f", str(COMPOSE), run=run)
    assert set(demo) == {"proxy", "upstream", "traffic", "prometheus", "grafana"}
    real = services("-f", str(COMPOSE), "-f", str(OVERLAY), run=run)
    assert set(real) == {"proxy", "model", "prometheus", "grafana"}
    assert real["proxy"]["environment"]["SSE_PROXY_UPSTREAM"] == "http://model:8000"


def test_the_gpu_overlay_asks_for_a_model(run: Run) -> None:
    code, output = run(
        "docker-compose", "-f", str(COMPOSE), "-f", str(OVERLAY), "config", "-q", env={"MODEL": ""}
    )
    assert code != 0
    assert "name a model" in output


def test_streams_have_time_to_finish(run: Run) -> None:
    proxy = services("-f", str(COMPOSE), run=run)["proxy"]
    drain = float(proxy["environment"]["SSE_PROXY_DRAIN_TIMEOUT_SECONDS"])
    delay = ServerSettings.model_fields["drain_delay_seconds"].default
    minutes, seconds = re.fullmatch(r"(\d+)m(\d+)s", proxy["stop_grace_period"]).groups()  # type: ignore[union-attr]
    assert int(minutes) * 60 + int(seconds) > drain + delay


def test_our_containers_are_locked_down_and_ports_are_local(run: Run) -> None:
    found = services("-f", str(COMPOSE), run=run)
    for name, service in found.items():
        if service["image"].startswith("vllm-sse-proxy:"):
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name


def test_prometheus_finds_what_it_is_given() -> None:
    service = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]["prometheus"]
    mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text("utf-8"))
    assert f"--config.file={next(iter(mounts))}" in service["command"]
    assert mounts["/etc/prometheus/rules"] == "./prometheus/rules"
    assert config["rule_files"] == ["rules/*.yaml"]
    assert config["scrape_configs"][0]["static_configs"][0]["targets"] == ["proxy:9001"]


@pytest.mark.parametrize("service", ["upstream", "traffic"])
def test_the_demos_commands_are_understood(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"][service]["command"]
    monkeypatch.setattr("vllm_sse_proxy.demo.run", lambda _options: 0)
    assert main(command) == 0


class TestFront:
    def test_nginx(self, run: Run, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may let nginx look into its own folders")
        code, output = run(
            "nginx", "-t", "-p", str(tmp_path), "-c", str(DEPLOY / "front" / "nginx.conf"),
            "-g", f"pid {tmp_path}/nginx.pid; error_log stderr;",
        )  # fmt: skip
        assert code == 0, output

    def test_haproxy(self, run: Run) -> None:
        code, output = run("haproxy", "-c", "-f", str(DEPLOY / "front" / "haproxy.cfg"))
        assert code == 0, output
        assert "warning" not in output.lower()

    def test_envoy_reaches_both_ports(self) -> None:
        """There is no Envoy to ask here: the file is YAML, and every route leads to the cluster."""
        document = yaml.safe_load((DEPLOY / "front" / "envoy.yaml").read_text("utf-8"))["static_resources"]
        (cluster,), (listener,) = document["clusters"], document["listeners"]
        assert f"'cluster': '{cluster['name']}'" in str(listener)
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        assert endpoint["address"]["socket_address"]["port_value"] == 9000
        assert endpoint["health_check_config"]["port_value"] == 9001
