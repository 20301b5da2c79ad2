"""Properties run without the coverage tracer: what they reach by chance proves nothing, and it triples their time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.properties.growth import RECURSION_LIMIT
from tests.properties.steps import metered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session")
def metered_core() -> Iterator[SimpleNamespace]:
    """Return the core that counts its steps."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    yield metered()
    sys.setrecursionlimit(before)
