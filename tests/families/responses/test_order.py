"""The order of the repairs matters where ORDER says so, and nowhere else."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.recordings import load_all
from vllm_sse_proxy import StreamNormalizer, build_plan
from vllm_sse_proxy.families.responses.repairs import ORDER, READ
from vllm_sse_proxy.stream.repair import Repair

if TYPE_CHECKING:
    from tests.support.recordings import Recording
    from vllm_sse_proxy import Plan

RECORDINGS = Path(__file__).parents[2] / "recordings"
AFTER: dict[type[Repair], set[type[Repair]]] = {repair: set() for repair in READ}
for _, steps in ORDER:
    for first, then in pairwise(steps):
        for repair in then:
            AFTER[repair].update(first)


def orders(seed: int) -> list[type[Repair]]:
    """Return the repairs in an order that keeps the rules and is otherwise random."""
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    left, order = list(READ), list[type[Repair]]()
    while left:
        ready = [repair for repair in left if AFTER[repair] <= {*order}]
        order.append(draw.choice(ready))
        left.remove(order[-1])
    return order


def made(recording: Recording, plan: Plan) -> tuple[bytes, dict[str, int]]:
    normalizer = StreamNormalizer(plan, recording.context())
    return normalizer.feed(recording.body) + normalizer.finish(recording.known_end), normalizer.tally.repairs


def test_there_are_five_rules_and_the_order_keeps_them() -> None:
    assert len(ORDER) == 5
    for at, repair in enumerate(READ):
        assert AFTER[repair] <= {*READ[:at]}


@pytest.mark.parametrize("seed", [1, 2])
def test_any_other_order_that_keeps_them_does_the_same(seed: int) -> None:
    usual, other = build_plan(), build_plan()
    other.repairs = tuple(repair for repair in orders(seed) if repair in usual.repairs)
    assert other.repairs != usual.repairs
    recordings = [one for one in load_all(RECORDINGS) if one.is_response_stream and not one.is_suffix]
    assert len(recordings) > 100
    for recording in recordings:
        assert made(recording, other) == made(recording, usual), recording.name
