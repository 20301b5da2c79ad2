"""The invariants that are fuzzed, held on a few bodies; `make fuzz` looks for others."""

from __future__ import annotations

import pytest

from tests.labs.fuzz import invariants, seeds


@pytest.mark.parametrize("body", [b"", b"data: {}\n\n", b"\xef\xbb\xbfdata", *list(seeds.bodies())[:5]])
def test_the_fuzzed_invariants_hold_for_seeds(body: bytes) -> None:
    invariants.check_decoder(body[:3000], [1, 100, 1000])
    for plan in invariants.PLANS:
        for end in invariants.ENDS:
            invariants.check_normalizer(body, [7, 77, 777], end, plan)
