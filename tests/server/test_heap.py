"""What the process does about freed memory."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from typing import Any

import pytest

from vllm_sse_proxy.server import heap


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in heap._IN_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def test_glibc_keeps_what_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    class Library:
        def __init__(self, name: None) -> None:
            pass

        def mallopt(self, name: int, value: int) -> int:
            calls.append((name, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert heap.keep_freed_memory()
    assert calls == [(-3, 4 * 1024 * 1024), (-1, 8 * 1024 * 1024)]


def test_this_systems_own() -> None:
    assert heap.keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_other_systems_stay_as_they_are(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def refuse(_name: None) -> Any:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert not heap.keep_freed_memory()


@pytest.mark.parametrize("name", heap._IN_ENVIRONMENT)
def test_what_the_environment_says_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(ctypes, "CDLL", None)
    assert not heap.keep_freed_memory()


def test_the_image_says_the_same_by_its_environment() -> None:
    dockerfile = (Path(__file__).parents[2] / "Dockerfile").read_text("utf-8")
    assert f" MALLOC_TRIM_THRESHOLD_={heap.KEPT_BYTES} " in dockerfile
    assert f" MALLOC_MMAP_THRESHOLD_={heap.LARGE_BYTES} " in dockerfile
