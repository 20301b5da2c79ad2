"""How the judges are tested: one perfect stream, and for every rule changes to it that break this rule and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm_sse_proxy.families.judging import Violation

Body = dict[str, Any]

DONE = b"data: [DONE]\n\n"


@dataclass
class Case:
    """A stream and the request that it answers, open to changes."""

    request: Any
    events: list[Any]
    """Bodies of events, and bytes for what is not an event."""
    named: bool = False
    """Whether frames have an `event:` line."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What else the judge must know."""

    def __getitem__(self, place: int) -> Any:
        return self.events[place]

    def encode(self) -> bytes:
        return b"".join(frame(event, named=self.named) for event in self.events)

    def copy(self) -> Case:
        return deepcopy(self)


Change = Callable[[Case], object]


def frame(event: Any, *, named: bool = False) -> bytes:
    """Return the bytes of an event; bytes are what they are."""
    if isinstance(event, bytes):
        return event
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    return (b"event: " + event["type"].encode() + b"\n" if named else b"") + data


def rules_of(violations: list[Violation]) -> set[str]:
    """Return the names of the rules that are broken."""
    return {violation.rule for violation in violations}


def by_rule(names: str, rows: Sequence[tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Run a test for each row, under the name of the rule that the row breaks.

    :param names: of the row's members, one of which is `rule`.
    """
    place = names.split(", ").index("rule")
    return pytest.mark.parametrize(names, rows, ids=[f"{at}-{row[place]}" for at, row in enumerate(rows)])


def setting(*path: Any) -> Change:
    """Return a change that sets what stands at a path of events, members and indexes to the last value."""
    *keys, value = path

    def change(case: Case) -> None:
        node: Any = case.events
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value

    return change


def without(*path: Any) -> Change:
    """Return a change that deletes what stands at a path."""
    *keys, last = path

    def change(case: Case) -> None:
        node: Any = case.events
        for key in keys:
            node = node[key]
        del node[last]

    return change


def inserting(place: int, *events: Any) -> Change:
    """Return a change that inserts events."""

    def change(case: Case) -> None:
        case.events[place:place] = [deepcopy(event) for event in events]

    return change


def swapping(one: int, other: int) -> Change:
    """Return a change that lets two events change places."""

    def change(case: Case) -> None:
        case.events[one], case.events[other] = case.events[other], case.events[one]

    return change


def asking(**fields: Any) -> Change:
    """Return a change of the request."""

    def change(case: Case) -> None:
        case.request = {**case.request, **fields}

    return change


def both(*changes: Change) -> Change:
    """Return a change made of several."""

    def change(case: Case) -> None:
        for each in changes:
            each(case)

    return change


def ending(place: int, *events: Any) -> Change:
    """Return a change that ends the stream at a place, with some events instead of the rest."""

    def change(case: Case) -> None:
        case.events[place:] = [deepcopy(event) for event in events]

    return change
