"""How many examples hypothesis tries (HYPOTHESIS_PROFILE = few, ci, quick, thorough, exhaustive), and what tests may start."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from tests.support import programs
from vllm_sse_proxy.stream import CORE

programs.guard()

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
for name, examples in (("few", 25), ("ci", 100)):
    settings.register_profile(
        name, max_examples=examples, deadline=None, derandomize=True, suppress_health_check=_SLOW
    )
settings.register_profile("quick", max_examples=1_000, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("thorough", max_examples=5_000, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("exhaustive", max_examples=10_000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "few"))


def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are cores: a third of a test's time is waiting, for processes and for sockets."""
    return (os.cpu_count() or 1) + 1


#: They make families of their own, out of classes that cannot be inherited from once they are compiled.
collect_ignore = (
    ["stream/test_engine.py", "stream/test_toy.py", "server/test_families.py"] if CORE == "compiled" else []
)
