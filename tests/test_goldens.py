"""Every repair's golden: the broken stream, repaired, is the expected one, and it is this repair that does it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.goldens import RECORDINGS, Golden, load_goldens, main
from tests.support.recordings import load
from tests.support.replay import faults, normalize
from vllm_sse_proxy import build_plan, check_stream
from vllm_sse_proxy.families import RESPONSES
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from pathlib import Path

CORRECTIONS = corrections_of(RESPONSES)

GOLDENS = load_goldens()
FIXES = {repair.name: repair.fixes for repair in CORRECTIONS}
NEEDED = [repair.name for repair in CORRECTIONS if repair.needed]


def test_every_repair_has_a_golden_and_every_golden_a_repair() -> None:
    assert {golden.name for golden in GOLDENS} == set(FIXES)


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
        assert not faults(golden.expected, dialect=golden.dialect)
        assert check_stream(golden.upstream, dialect=golden.dialect)

    def test_it_is_this_repair_that_does_it(self, golden: Golden) -> None:
        if golden.name in NEEDED:
            with pytest.raises(ValueError, match="cannot be switched off"):
                build_plan(disabled=[golden.name])
        else:
            assert golden.repaired([golden.name])[0] != golden.expected

    def test_what_is_repaired_stays_as_it_is(self, golden: Golden) -> None:
        plan = build_plan(strict=True, dialect=golden.dialect)
        again, normalizer = normalize([golden.expected], golden.end, plan=plan)
        assert again == golden.expected
        assert not normalizer.tally.repairs

    def test_its_origin_is_named(self, golden: Golden) -> None:
        assert golden.source == "recorded" or golden.source.startswith("reconstructed from ")
        assert set(golden.defects) & set(FIXES[golden.name])
        assert re.fullmatch(r"[^\n]+\.", golden.symptom)
        assert (golden.recording is not None) == (golden.source == "recorded")


def recording_of(golden: Golden) -> Path:
    return RECORDINGS / f"vllm-{golden.release}" / f"{golden.recording}.sse"


@pytest.mark.parametrize(
    "golden", [golden for golden in GOLDENS if recording_of(golden).exists()], ids=lambda golden: golden.name
)
def test_goldens_are_what_was_recorded_where_the_recording_is_kept(golden: Golden) -> None:
    recording = load(recording_of(golden))
    assert golden.upstream == recording.body
    assert golden.end is recording.known_end


def test_the_command_writes_what_is_missing_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings = tmp_path / "tests" / "recordings"
    folder = recordings / "terminal_types"
    folder.mkdir(parents=True)
    for name in ("upstream.sse", "origin.toml"):
        (folder / name).write_bytes((RECORDINGS / "terminal_types" / name).read_bytes())
    monkeypatch.setattr("tests.support.goldens.RECORDINGS", recordings)
    assert main(["heartbeats"]) == 0
    assert main([]) == 1
    assert main(["terminal_types"]) == 0
    assert "tests/recordings/terminal_types/expected.sse" in capsys.readouterr().out
    assert (folder / "expected.sse").read_bytes() == (RECORDINGS / "terminal_types/expected.sse").read_bytes()
