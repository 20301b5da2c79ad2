"""The compiled core does what its sources say: compared on streams that nobody would think of."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mutations import made
from vllm_sse_proxy.stream import CORE

ROOT = Path(__file__).parents[1]
NUMBER, SEED = 1500, 1


@pytest.mark.skipif(CORE != "compiled", reason="is about a compiled core: `make test-compiled`")
def test_it_says_the_same() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    asked = subprocess.run(
        [sys.executable, "-m", "tests.support.mutations", str(NUMBER), str(SEED)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    core, *expected = asked.stdout.splitlines()
    assert core == "python"
    assert list(made(NUMBER, SEED)) == expected


def test_streams_are_damaged_in_the_same_way_each_time() -> None:
    emitted = list(made(20, SEED))
    assert emitted == list(made(20, SEED))
    assert len(set(emitted)) > 10


NEVER_COMPILED = {
    "__init__": "lists the families",
    "chunk_judging": "is for judges only",
    "judging": "is for judges only",
    "recognition": "is for commands, and for what has no path of its own",
}


def test_every_module_of_the_families_is_compiled() -> None:
    """A class of Python's that extends a compiled one raises when it is first made."""
    tree = ast.parse((ROOT / "hatch_build.py").read_text("utf-8"))
    core = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "CORE"
        and node.value is not None
    )
    families = ROOT / "proxy" / "vllm_sse_proxy" / "families"
    there = {
        path.relative_to(ROOT / "proxy").as_posix()
        for path in families.iterdir()
        if path.name != "__pycache__"
    }
    missing = there - set(core)
    assert {Path(one).stem for one in missing} == set(NEVER_COMPILED)
