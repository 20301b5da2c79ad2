"""The image's recipe and the compose files, put to linters and to Compose; `make verify-deploy` builds and runs them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.deploying import DEPLOY
from vllm_sse_proxy.settings import ServerSettings, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.deploy.conftest import Run

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
    delay = settings_of(ServerSettings)["drain_delay_seconds"].default
    minutes, seconds = re.fullmatch(r"(\d+)m(\d+)s", proxy["stop_grace_period"]).groups()  # type: ignore[union-attr]
    assert int(minutes) * 60 + int(seconds) > drain + delay


def test_our_containers_are_locked_down_and_ports_are_local(run: Run) -> None:
    found = services("-f", str(COMPOSE), run=run)
    for name, service in found.items():
        if service["image"].startswith("vllm-sse-proxy:"):
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name


def test_every_container_has_limits(run: Run) -> None:
    for name, service in services("-f", str(COMPOSE), run=run).items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"memory", "pids"} <= set(limits), name
        assert ("cpus" in limits) is (name != "proxy"), "throttling the proxy is latency in every stream"


def test_no_image_moves(run: Run) -> None:
    found = services("-f", str(COMPOSE), "-f", str(OVERLAY), "--profile", "demo", run=run)
    for name, service in found.items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+\.\d+\.\d+", tag), f"{name}: {service['image']}"
    assert ":latest" not in "".join(path.read_text("utf-8") for path in DEPLOY.rglob("*.yaml"))


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
