"""The image's recipe and the compose files, as they are read; `make check-deploy` puts them to the tools of others."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.support.deploying import DEPLOY, ROOT
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.config import CONFIG_VARIABLE, ENV_PREFIX
from vllm_sse_proxy.settings import ServerSettings, settings_of

COMPOSE = DEPLOY / "compose.yaml"


def test_dockerfile_keeps_its_promises() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert '\nENTRYPOINT ["vllm-sse-proxy"]\n' in text
    assert "--require-hashes --only-binary :all:" in text
    variables = {ENV_PREFIX + name.upper() for name in settings_of(ServerSettings)} | {CONFIG_VARIABLE}
    assert set(re.findall(r"SSE_PROXY_\w+", text)) <= variables


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


def test_envoy_reaches_both_ports() -> None:
    """There is no Envoy to ask here: the file is YAML, and every route leads to the cluster."""
    document = yaml.safe_load((DEPLOY / "front" / "envoy.yaml").read_text("utf-8"))["static_resources"]
    (cluster,), (listener,) = document["clusters"], document["listeners"]
    assert f"'cluster': '{cluster['name']}'" in str(listener)
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["address"]["socket_address"]["port_value"] == 9000
    assert endpoint["health_check_config"]["port_value"] == 9001
