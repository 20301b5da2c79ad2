"""What the process does about Python's garbage collector."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from vllm_sse_proxy.server import garbage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restore_collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_what_lives_as_long_as_the_process_is_left_out_of_every_search() -> None:
    kept: list[list[int]] = [[]]
    garbage.collect_less_often()
    assert gc.get_freeze_count() > 10_000
    assert not any(each is kept for each in gc.get_objects())
    assert gc.get_threshold()[0] == garbage.NEW_OBJECTS


def test_garbage_is_still_found() -> None:
    class Circle:
        alive = 0

        def __init__(self) -> None:
            self.itself = self
            Circle.alive += 1

        def __del__(self) -> None:
            Circle.alive -= 1

    garbage.collect_less_often()
    for _ in range(3 * garbage.NEW_OBJECTS):
        Circle()
    assert Circle.alive <= 2 * garbage.NEW_OBJECTS
