"""The tools of others that judge what is in deploy/.

A tool is looked for on the path and in `.deploy-tools/bin`, where `make deploy-tools` puts those that it can install. A check
whose tool is not there is skipped and says so; `.ci/run` installs them all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.labs import ROOT
from tests.support import programs

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOLS = ROOT / ".deploy-tools" / "bin"


class Run(Protocol):
    """Runs a tool in the repository's root; returns its exit code and all that it printed."""

    def __call__(
        self, name: str, *arguments: str, text: str | None = None, env: Mapping[str, str] | None = None
    ) -> tuple[int, str]: ...


@pytest.fixture
def run() -> Run:
    programs.allow_any()

    def run_tool(
        name: str, *arguments: str, text: str | None = None, env: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        path = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")
        if path is None:
            pytest.skip(f"{name} is not installed; `make deploy-tools` installs it where it can")
        done = subprocess.run(
            [path, *arguments],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
        return done.returncode, done.stdout

    return run_tool
