"""The examples of docs/python-api.md are run, in order, in one namespace, as a reader would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import vllm_sse_proxy

DOCUMENT = Path(__file__).parents[1] / "docs" / "python-api.md"


def test_examples() -> None:
    """In a process of its own: one of them runs an event loop."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 4
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "event 0" in done.stdout


def test_every_public_name_is_there_and_named_in_the_document() -> None:
    text = DOCUMENT.read_text("utf-8") + (vllm_sse_proxy.__doc__ or "")
    for name in vllm_sse_proxy.__all__:
        assert getattr(vllm_sse_proxy, name)
    assert {"StreamNormalizer", "build_plan", "check_stream", "BodyEnd", "Plan"} <= set(
        re.findall(r"\w+", text)
    )
