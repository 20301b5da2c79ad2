"""How a release is made, as it is read: what it names does not move, and what names the same thing agrees."""

from __future__ import annotations

import re
from typing import Any

import yaml

from deploy.release import PYTHONS
from tests.support.deploying import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "release.yaml"


def workflow() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    return document


def test_actions_are_named_by_their_commits() -> None:
    used = re.findall(r"uses: (.*)", WORKFLOW.read_text("utf-8"))
    assert used
    assert not [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)]


def test_a_job_may_write_only_what_it_has_to() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    granted = {name: job.get("permissions", {}) for name, job in workflow()["jobs"].items()}
    assert granted == {"build": {}, "publish": {"id-token": "write"}, "announce": {"contents": "write"}}


def test_every_python_with_a_wheel_is_installed_and_claimed() -> None:
    (installed,) = re.findall(r"uv python install (.*)", WORKFLOW.read_text("utf-8"))
    assert [f"python{version}" for version in installed.split()] == list(PYTHONS)
    claimed = re.findall(
        r"Programming Language :: Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8")
    )
    assert set(installed.split()) <= set(claimed)


def test_both_stages_share_one_base_that_a_release_can_pin() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert len(re.findall(r"^ARG BASE=\S+:\S+$", text, re.MULTILINE)) == 1
    for label in ("source", "documentation", "revision", "base.name", "base.digest", "licenses", "version"):
        assert f"org.opencontainers.image.{label}=" in text
