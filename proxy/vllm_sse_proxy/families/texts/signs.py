"""Characters that show that a text needs a closer look: most texts have none of them."""

from __future__ import annotations


def has_sign(text: str, signs: str) -> bool:
    """Return whether a text has one of some characters."""
    for sign in signs:  # noqa: SIM110 - compiled, a loop is several times faster than a generator
        if sign in text:
            return True
    return False
