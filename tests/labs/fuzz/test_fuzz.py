"""The invariants that are fuzzed, held on a few bodies; `make fuzz` looks for others."""

from __future__ import annotations

import pytest

from tests.labs import ROOT
from tests.labs.fuzz import invariants, seeds
from vllm_sse_proxy.families import FAMILIES


@pytest.mark.parametrize("body", [b"", b"data: {}\n\n", b"\xef\xbb\xbfdata", *list(seeds.bodies())[:5]])
def test_the_fuzzed_invariants_hold_for_seeds(body: bytes) -> None:
    invariants.check_decoder(body[:3000], [1, 100, 1000])
    for plan in invariants.PLANS:
        for end in invariants.ENDS:
            invariants.check_normalizer(body, [7, 77, 777], end, plan)


@pytest.mark.parametrize("family", invariants.FAMILY_PLANS)
def test_the_invariants_of_a_family_hold_for_seeds_of_all(family: str) -> None:
    """Streams of other families come where nobody expects them."""
    for body in (b"", b"data: {}\n\n", b"\xef\xbb\xbfdata", *list(seeds.bodies())[::9]):
        for number, end in enumerate(invariants.ENDS):
            plan = invariants.FAMILY_PLANS[family][number % 2]
            invariants.check_family(body[:4000], [7, 77, 777], end, plan)


def test_every_family_is_fuzzed() -> None:
    assert set(invariants.FAMILY_PLANS) == {family.name for family in FAMILIES} - {"responses"}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = makefile.partition("for target in ")[2].partition(";")[0].split()
    assert targets == ["normalizer", *invariants.FAMILY_PLANS]
