"""The release workflow and the SBOM, put to the tools of others; `make release` builds everything and runs it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests.labs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.labs.deploy.conftest import Run


def test_the_workflow_is_one(run: Run) -> None:
    code, output = run(
        "check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/release.yaml"
    )
    assert code == 0, output


def test_the_lock_can_be_listed(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    code, output = run(
        "cyclonedx-py", "requirements", "requirements.lock", "--pyproject", "pyproject.toml",
        "--of", "JSON", "-o", str(target),
    )  # fmt: skip
    assert code == 0, output
    listed = {each["name"] for each in json.loads(target.read_text("utf-8"))["components"]}
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert listed == set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
