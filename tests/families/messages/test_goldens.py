"""The golden of each correction: the broken stream, repaired, is the expected one, and it is this correction that does it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.goldens import Golden, load_goldens
from tests.support.messages import run
from vllm_sse_proxy.families import MESSAGES
from vllm_sse_proxy.families.messages.conformance import check_stream
from vllm_sse_proxy.stream.plan import corrections_of

GOLDENS = load_goldens(MESSAGES)
FIXES = {one.name: one.fixes for one in corrections_of(MESSAGES)}
KEPT = Path(__file__).parents[2] / "recordings" / "families"


def test_every_correction_has_a_golden_and_every_golden_a_correction() -> None:
    assert [golden.name for golden in GOLDENS] == sorted(FIXES)


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
class TestGolden:
    def test_the_repaired_stream_is_the_expected_one(self, golden: Golden) -> None:
        made, normalizer = golden.repaired()
        assert made == golden.expected
        assert normalizer.tally.repairs[golden.name] > 0

    def test_every_cut_of_the_bytes_gives_the_same(self, golden: Golden) -> None:
        stream = golden.upstream
        made, _ = golden.run(stream[i : i + 7] for i in range(0, len(stream), 7))
        assert made == golden.expected

    def test_only_the_repaired_stream_conforms(self, golden: Golden) -> None:
        assert not check_stream(golden.expected, request=golden.request)
        assert check_stream(golden.upstream, request=golden.request)

    def test_it_is_this_correction_that_does_it(self, golden: Golden) -> None:
        assert golden.repaired([golden.name])[0] != golden.expected

    def test_what_is_repaired_stays_as_it_is(self, golden: Golden) -> None:
        again, normalizer = run(golden.expected, request=golden.request)
        assert again == golden.expected
        assert not normalizer.tally.repairs

    def test_its_origin_is_named(self, golden: Golden) -> None:
        assert golden.source == "recorded" or golden.source.startswith("reconstructed from ")
        assert set(golden.defects) & set(FIXES[golden.name])
        assert re.fullmatch(r"[^\n]+\.", golden.symptom)
        assert (golden.recording is not None) == (golden.source == "recorded")

    def test_it_is_what_was_recorded_where_the_recording_is_kept(self, golden: Golden) -> None:
        recording = KEPT / golden.release / f"{golden.recording}.sse"
        if recording.exists():
            assert golden.upstream == recording.read_bytes()
