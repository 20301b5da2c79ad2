"""What one process does with the streams of one family: which repairs, in which order, for which events. Shared by all streams."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from vllm_sse_proxy.stream.event import COMMENT, END, OPAQUE

if TYPE_CHECKING:
    from collections.abc import Collection

    from vllm_sse_proxy.stream.family import Family
    from vllm_sse_proxy.stream.repair import Repair, StreamSettings


class Plan:
    """Immutable.

    :ivar disabled: names of the corrections that are switched off.
    """

    def __init__(self, family: Family, settings: StreamSettings, disabled: Collection[str] = ()) -> None:
        """Leave out what is disabled, and what the settings do not ask for.

        :raises ValueError: for a name that is no repair's, and for a repair that the others need; the message says why and
            names the nearest one that can be switched off.
        """
        check_names(family, disabled)
        self.family = family
        self.settings = settings
        self.disabled = frozenset(disabled)
        self.repairs: tuple[type[Repair], ...] = tuple(
            repair for repair in family.repairs if repair.name not in disabled and repair.wanted(settings)
        )
        self._positions: dict[str, tuple[int, ...]] = {}

    def positions(self, type_: str) -> tuple[int, ...]:
        """Return which repairs are asked about events of this type; upstream's inventions are not remembered."""
        known = self._positions.get(type_)
        if known is None:
            known = tuple(at for at, repair in enumerate(self.repairs) if repair.is_asked_about(type_))
            if type_ in self.family.types or type_ in (END, OPAQUE, COMMENT):
                self._positions[type_] = known
        return known


def names_of(family: Family) -> tuple[str, ...]:
    """Return the names of all repairs and corrections of a family, in order."""
    return (
        *(repair.name for repair in family.repairs),
        *(correction.name for correction in family.corrections),
    )


def optional_names_of(family: Family) -> tuple[str, ...]:
    """Return the names of those that can be switched off."""
    needed = _reasons(family)
    return tuple(name for name in names_of(family) if name not in needed)


def _reasons(family: Family) -> dict[str, str]:
    """Return name → why it cannot be switched off, for those that cannot."""
    reasons = {repair.name: repair.needed for repair in family.repairs}
    reasons |= {correction.name: correction.needed for correction in family.corrections}
    return {name: reason for name, reason in reasons.items() if reason}


def check_names(family: Family, disabled: Collection[str]) -> None:
    """Raise a ValueError for the first name that cannot be switched off; it says why, and names the nearest that can."""
    optional, reasons = optional_names_of(family), _reasons(family)
    for name in disabled:
        if name not in optional:
            why = f"cannot be switched off: {reasons[name]}" if name in reasons else "is not known"
            (near,) = difflib.get_close_matches(name, optional, 1, 0)
            message = f"repair {name!r} {why}; the nearest one that can be switched off is {near!r}"
            raise ValueError(message)
