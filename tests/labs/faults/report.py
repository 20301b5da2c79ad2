"""What the suite found: kept among the results, and shown as tables in docs/reliability.md."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tests.labs import results


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
    """Keep a run: for each group a table of its cases, with a cell for each phase in which one was run.

    A cell is the outcome alone, or a list of outcome, figure and whatever was wrong. One outcome in the place of the cells
    stands for all of them.
    """
    groups: dict[str, dict[str, Any]] = {}
    for row in rows:
        group = groups.setdefault(row.group, {"phases": [], "cases": {}})
        if row.phase not in group["phases"]:
            group["phases"].append(row.phase)
        group["cases"].setdefault(row.case, {})[row.phase] = (
            [row.outcome, row.figure, *row.wrong] if row.figure or row.wrong else row.outcome
        )
    for group in groups.values():
        group["cases"] = {
            case: _compact([cells.get(phase) for phase in group["phases"]])
            for case, cells in group["cases"].items()
        }
    results.write(name, {**facts, "groups": groups})
    results.write_whole(name, [asdict(row) for row in rows])


def load(name: str) -> list[Row]:
    """Return the rows of the run that is kept, case by case; none if it was never run."""
    return [
        _row(group, case, phase, cell)
        for group, table in results.read(name).get("groups", {}).items()
        for case, cells in table["cases"].items()
        for number, phase in enumerate(table["phases"])
        for cell in [cells if isinstance(cells, str) else cells[number]]
        if cell is not None
    ]


def _compact(cells: list[Any]) -> Any:
    return cells[0] if isinstance(cells[0], str) and all(cell == cells[0] for cell in cells) else cells


def phases(name: str, group: str) -> list[str]:
    """Return the phases of a group in the order in which they were run."""
    found: list[str] = results.read(name).get("groups", {}).get(group, {}).get("phases", [])
    return found


def _row(group: str, case: str, phase: str, cell: Any) -> Row:
    if isinstance(cell, str):
        return Row(group, case, phase, cell)
    outcome, figure, *wrong = cell
    return Row(group, case, phase, outcome, wrong, figure)
