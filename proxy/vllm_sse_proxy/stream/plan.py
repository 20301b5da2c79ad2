"""What one process does with the streams of one family: which repairs, in which order, for which events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy.stream.correction import Correction
from vllm_sse_proxy.stream.event import COMMENT, END, OPAQUE

if TYPE_CHECKING:
    from collections.abc import Collection

    from vllm_sse_proxy.stream.family import Family
    from vllm_sse_proxy.stream.repair import Repair
    from vllm_sse_proxy.stream.settings import StreamSettings

_MOST_REMEMBERED: Final = 256
"""Types of events. Of one process's upstreams; a vendor's proxy may make up a new one for every event."""


class Plan:
    """Immutable.

    :ivar disabled: names of the corrections that are switched off.
    """

    def __init__(self, family: Family, settings: StreamSettings, disabled: Collection[str] = ()) -> None:
        """Leave out what is disabled, and what the settings do not ask for."""
        self.family = family
        self.settings = settings
        self.disabled = frozenset(disabled)
        self.repairs: tuple[type[Repair], ...] = tuple(
            repair for repair in family.repairs if repair.name not in disabled and repair.wanted(settings)
        )
        self._positions: dict[str, tuple[int, ...]] = {}

    @classmethod
    def of(cls, family: Family, disabled: Collection[str] = (), **settings: Any) -> Plan:
        """Make the plan of a family.

        :param disabled: names of repairs and corrections that are switched off; those of other families are of no account.
        :param settings: members of the family's settings; others are of no account.
        """
        known = {
            name: value for name, value in settings.items() if name in family.settings.__dataclass_fields__
        }
        return cls(family, family.settings(**known), disabled)

    def positions(self, type_: str) -> tuple[int, ...]:
        """Return which repairs are asked about events of this type; of upstream's inventions only a few are remembered."""
        known = self._positions.get(type_)
        if known is None:
            known = tuple(at for at, repair in enumerate(self.repairs) if repair.is_asked_about(type_))
            is_invented = type_ not in self.family.types and type_ not in (END, OPAQUE, COMMENT)
            if not is_invented or len(self._positions) < _MOST_REMEMBERED:
                self._positions[type_] = known
        return known


def corrections_of(family: Family) -> tuple[Correction, ...]:
    """Return all that a family corrects, in order: what metrics, settings, documentation and tests enumerate."""
    repairs = (Correction(one.name, one.summary, one.fixes, needed=one.needed) for one in family.repairs)
    return (*repairs, *family.corrections)


def names_of(family: Family) -> tuple[str, ...]:
    """Return the names of all that a family corrects, in order."""
    return tuple(one.name for one in corrections_of(family))


def check_names(families: Collection[Family], disabled: Collection[str]) -> None:
    """Check names of repairs and corrections, of streams and of requests, that are to be switched off.

    :raises ValueError: for the first that no family has, or that one needs; the message says why, and names one that may
        have been meant.
    """
    known = {
        one.name: one for family in families for one in (*corrections_of(family), *family.request_corrections)
    }
    optional = [name for name, one in known.items() if not one.needed]
    for name in disabled:
        if name not in optional:
            why = f"cannot be switched off: {known[name].needed}" if name in known else "is not known"
            message = f"repair {name!r} {why}{'' if name in known else _hint(name, known)}"
            raise ValueError(message)


def _hint(name: str, known: Collection[str]) -> str:
    """Return which known name was probably meant, as the end of a sentence; empty if none is near."""
    import difflib  # noqa: PLC0415 - 0.2 MiB of memory, and a server whose names are right has no use for it

    near = difflib.get_close_matches(name, known, 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_enabled(families: Collection[Family], enabled: Collection[str]) -> None:
    """Check names of repairs that are to be switched on.

    :raises ValueError: for the first that is not one of those that are off by default.
    """
    known = [one.name for family in families for one in family.request_corrections if not one.is_default]
    for name in enabled:
        if name not in known:
            message = f"repair {name!r} is not one that is off by default; there are: {', '.join(known)}"
            raise ValueError(message)
