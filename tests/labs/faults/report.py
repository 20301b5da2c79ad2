"""What the suite found: kept as JSON beside it, and told as tables in docs/reliability.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass
class Row:
    """One case.

    :ivar group: the table it stands in.
    :ivar case: what was done; ``phase``: when, or to what.
    :ivar outcome: how it ended, in words.
    :ivar wrong: what should have been otherwise; empty: nothing.
    :ivar figure: something measured, in words.
    """

    group: str
    case: str
    phase: str
    outcome: str
    wrong: list[str] = field(default_factory=list)
    figure: str = ""

    def __str__(self) -> str:
        mark = "ok  " if not self.wrong else "FAIL"
        figure = f" ({self.figure})" if self.figure else ""
        wrong = "".join(f"\n       {found}" for found in self.wrong)
        return f"{mark} {self.group} · {self.case} · {self.phase}: {self.outcome}{figure}{wrong}"


def save(name: str, rows: list[Row], **facts: object) -> None:
    """Keep a run."""
    RESULTS.mkdir(exist_ok=True)
    document = {**facts, "rows": [asdict(row) for row in rows]}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, "utf-8")


def load(name: str) -> list[Row]:
    """Return the rows of the run that is kept."""
    document = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return [Row(**row) for row in document["rows"]]


def facts(name: str) -> dict[str, object]:
    """Return what else is kept of a run."""
    document: dict[str, object] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    document.pop("rows")
    return document
