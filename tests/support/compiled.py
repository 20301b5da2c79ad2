"""What to do about tests that cannot run on a compiled core (`make test-compiled`)."""

from __future__ import annotations

import pytest

from vllm_sse_proxy.stream import CORE

python_core = pytest.mark.skipif(
    CORE == "compiled", reason="needs a core of Python: compiled, it has no subclasses and no docstrings"
)
