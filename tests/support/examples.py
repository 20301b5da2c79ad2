"""Examples of documents: lines of a stream, of which an example may leave out members and whole events."""

from __future__ import annotations

import json
from typing import Any

NEXT = "(next)"
"""A line of an example: what stands below it must be in the very next frame."""


def contains(whole: Any, part: Any) -> bool:
    """Return whether `part` is `whole` with some members left out."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and contains(whole[name], value) for name, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part and type(whole) is type(part))


def shows(line: str, wanted: str) -> bool:
    """Return whether a line of a stream is the one that an example has."""
    if not wanted.startswith("data: {"):
        return line == wanted
    return line.startswith("data: {") and contains(json.loads(line[6:]), json.loads(wanted[6:]))


def holds_in_order(lines: list[str], wanted: list[str]) -> bool:
    """Return whether lines of a stream hold those of an example, in order."""
    left = [line for line in lines if line.startswith("data: ")] if NEXT in wanted else lines
    at = 0
    for position, one in enumerate(wanted):
        if one == NEXT:
            continue
        is_next = position > 0 and wanted[position - 1] == NEXT
        found = next((place for place in range(at, len(left)) if shows(left[place], one)), None)
        if found is None or (is_next and found != at):
            return False
        at = found + 1
    return True
