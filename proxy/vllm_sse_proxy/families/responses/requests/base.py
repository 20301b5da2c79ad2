"""Request repairs of the Responses API: those of single items of ``input``, and of single parts of an item."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from vllm_sse_proxy.families.requests.base import Facts, Repaired, RequestRepair

if TYPE_CHECKING:
    from vllm_sse_proxy.families.requests.document import Body


class ItemRepair(RequestRepair):
    """A repair of single items of ``input``."""

    __slots__ = ()

    def repair(self, body: Body, facts: Facts) -> Repaired | None:
        """Return the request with the items replaced; None if no item changes, or none would be left."""
        items = body.get("input")
        if not isinstance(items, list):
            return None
        changed = False
        result: list[Any] = []
        for index, item in enumerate(items):
            replacement = self.replacement(item, index, facts) if isinstance(item, dict) else None
            if replacement is None:
                result.append(item)
            else:
                changed = True
                result += replacement
        return Repaired({**body, "input": result}) if changed and result else None

    @abstractmethod
    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:
        """Return the items that take this one's place; None leaves it as it is.

        :param index: the item's place in ``input``.
        """


class PartRepair(ItemRepair):
    """A repair of single parts: of a message's ``content`` and of a call's ``output``.

    :cvar members: which of the two.
    """

    __slots__ = ()

    members: ClassVar[tuple[str, ...]] = ("content", "output")

    def replacement(self, item: Body, index: int, facts: Facts) -> list[Any] | None:  # noqa: ARG002 - every place is the same
        """Return the item with its parts replaced; None if none changes."""
        changes: Body = {}
        for member in self.members:
            parts = item.get(member)
            if isinstance(parts, list):
                new = self._parts(parts, facts)
                if new is not None:
                    changes[member] = new
        return [{**item, **changes}] if changes else None

    def _parts(self, parts: list[Any], facts: Facts) -> list[Any] | None:
        changed = False
        result: list[Any] = []
        for part in parts:
            replacement = self.part(part, facts) if isinstance(part, dict) else None
            changed = changed or replacement is not None
            result.append(part if replacement is None else replacement)
        return result if changed else None

    @abstractmethod
    def part(self, part: Body, facts: Facts) -> Body | None:
        """Return the part that takes this one's place; None leaves it as it is."""
