"""What was probably meant by a misspelt word."""

from __future__ import annotations

import difflib


def nearest(word: str, known: list[str]) -> str:
    """Return which known word was probably meant, as the end of a sentence; empty if none is near."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""
