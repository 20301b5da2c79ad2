"""The tables of docs/reliability.md: what the last runs of the fault suite found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.labs.faults import report
from tests.labs.faults.answers import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.labs.faults.report import Row


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _grid(rows: Sequence[Row], cell: str, corner: str) -> str:
    """Return cases by phases."""
    cases = list(dict.fromkeys(row.case for row in rows))
    phases = [phase for phase in PHASES if any(row.phase == phase for row in rows)]
    found = {(row.case, row.phase): row for row in rows}
    return _table(
        (corner, *phases),
        ((case, *(_cell(found.get((case, phase)), cell) for phase in phases)) for case in cases),
    )


def _cell(row: Row | None, attribute: str) -> str:
    if row is None:
        return ""
    return ("**wrong** " if row.wrong else "") + str(getattr(row, attribute)).replace("HTTP ", "")


def _list(rows: Iterable[Row], *, phase: str | None = None) -> str:
    head = ("case", *([phase] if phase else []), "outcome", "measured")
    return _table(
        head,
        (
            (row.case, *([row.phase] if phase else []), _cell(row, "outcome"), row.figure or "")
            for row in rows
        ),
    )


def upstream_table() -> str:
    """Return what happens when the way to upstream fails."""
    rows = [row for row in report.load("faults") if row.group == "upstream"]
    grid = [row for row in rows if row.phase in PHASES]
    elsewhere = [phase for phase in report.phases("faults", "upstream") if phase not in PHASES]
    rest = [row for phase in elsewhere for row in rows if row.phase == phase]
    return (
        _grid(grid, "outcome", "fault")
        + "\n\n"
        + _table(
            ("fault", "where", "outcome"), ((row.case, row.phase, _cell(row, "outcome")) for row in rest)
        )
    )


def leaving_table() -> str:
    """Return how soon upstream is closed when the client leaves."""
    rows = [
        row for row in report.load("faults") if row.group == "client" and row.case.startswith("client leaves")
    ]
    return _grid(rows, "figure", "client")


def client_table() -> str:
    """Return what happens to other clients that misbehave."""
    rows = [row for row in report.load("faults") if row.group == "client"]
    return _list((row for row in rows if not row.case.startswith("client leaves")), phase="when, how many")


def bytes_table() -> str:
    """Return what hostile bytes lead to."""
    return _list(row for row in report.load("faults") if row.group == "bytes")


def restart_table() -> str:
    """Return what a rolling restart loses."""
    return _list((row for row in report.load("faults") if row.group == "restart"), phase="nginx")


def smuggling_table() -> str:
    """Return how many requests upstream saw, by way."""
    rows = report.load("smuggling")
    ways = list(dict.fromkeys(row.phase for row in rows))
    found = {(row.case, row.phase): row for row in rows}
    cases = list(dict.fromkeys(row.case for row in rows))
    return _table(
        ("sent", *(way.replace("+", " → ") for way in ways)),
        ((f"{case}", *(_cell(found.get((case, way)), "outcome") for way in ways)) for case in cases),
    )


def soak_table() -> str:
    """Return what the soak left behind."""
    return _list(report.load("soak"))
