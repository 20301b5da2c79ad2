"""The results that the laboratories keep in the repository: what the tables in docs/ show, and no more.

A run prints what it finds, leaves all of it in `build/labs/`, and keeps its reduced form here. Results are written by a
laboratory's run and nothing else; `make docs` makes the tables of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.labs import ROOT

FOLDER: Final = Path(__file__).parent
WHOLE: Final = ROOT / "build" / "labs"
MOST_BYTES: Final = 100_000
"""What all results in the repository may take, those of bench/ included."""
LINE_LENGTH: Final = 200


def read(name: str) -> dict[str, Any]:
    """Return the results that are kept of a laboratory; empty if it was never run."""
    file = FOLDER / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return found


def write(name: str, kept: dict[str, Any]) -> None:
    """Keep results in their reduced form."""
    (FOLDER / f"{name}.json").write_text(compact(kept) + "\n", "utf-8")


def write_whole(name: str, found: Any) -> None:
    """Leave everything that a run found in the build folder, for whoever ran it."""
    WHOLE.mkdir(parents=True, exist_ok=True)
    (WHOLE / f"{name}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def compact(value: Any, depth: int = 0) -> str:
    """Return JSON with every object that fits on one line in one."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) or not value or (depth > 1 and len(line) + depth <= LINE_LENGTH):
        return line
    inner = ",\n".join(
        f"{' ' * (depth + 1)}{json.dumps(key, ensure_ascii=False)}: {compact(one, depth + 1)}"
        for key, one in value.items()
    )
    return f"{{\n{inner}\n{' ' * depth}}}"
