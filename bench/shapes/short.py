"""What shapes have in common that are written in the short forms of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def in_turn(spell: Callable[[str], str], each: Sequence[str], begin: str) -> Callable[[int], str]:
    """Return a shape that begins with some lines, and goes on with these texts in turn, each as a line."""
    return lambda n: begin + "\n".join(spell(each[i % len(each)]) for i in range(n))


def sent(wire: Callable[[str], bytes], shape: Callable[[int], str]) -> Callable[[int], bytes]:
    """Return a shape as a server sends it."""
    return lambda n: wire(shape(n))
