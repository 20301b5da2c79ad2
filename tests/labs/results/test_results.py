"""What the laboratories keep in the repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.labs import ROOT, results
from tests.labs.faults import report
from tests.labs.faults.report import Row

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def kept() -> dict[str, int]:
    """Return the sizes of all results."""
    files = [*results.FOLDER.glob("*.json"), *(ROOT / "bench").glob("*.json")]
    return {str(file.relative_to(ROOT)): file.stat().st_size for file in files}


def test_they_are_small() -> None:
    sizes = kept()
    assert {"clients.json", "live.json"} <= {name.rpartition("/")[2] for name in sizes}
    assert sum(sizes.values()) < results.MOST_BYTES, f"keep what the tables show, and no more: {sizes}"


def test_there_are_no_others() -> None:
    """A file that the sum above does not count would grow unseen."""
    files = [*(ROOT / "tests" / "labs").rglob("*.json"), *(ROOT / "bench").rglob("*.json")]
    assert {str(file.relative_to(ROOT)) for file in files if "requirements" not in file.parts} == set(kept())


def test_small_objects_stand_on_a_line() -> None:
    value = {"a": {"b": {"c": 1, "d": [1, 2]}, "e": {}, "f": {"g": "x" * 200}}}
    text = results.compact(value)
    assert json.loads(text) == value
    assert text.splitlines()[2] == '  "b": {"c": 1, "d": [1, 2]},'


def test_what_was_never_run_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    assert results.read("clients") == {}
    assert report.load("soak") == []
    assert report.phases("soak", "soak") == []


def test_rows_of_the_fault_suite_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(results, "WHOLE", tmp_path / "build")
    rows = [
        Row("upstream", "FIN", "in head", "cut"),
        Row("upstream", "FIN", "after", "cut"),
        Row("upstream", "RST", "after", "reset", ["a word is missing"], "3 ms"),
        Row("bytes", "nonsense", "", "HTTP 502", [], "1 MiB"),
    ]
    report.save("faults", rows, cores=2)
    assert report.load("faults") == rows
    assert report.phases("faults", "upstream") == ["in head", "after"]
    assert results.read("faults")["cores"] == 2
