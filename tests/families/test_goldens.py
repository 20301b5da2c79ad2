"""Every golden of every family: the broken stream, repaired, is the expected one, and it is this repair that does it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.chunk_streams import JUDGES
from tests.support.compiled import python_core
from tests.support.goldens import RECORDINGS, Golden, load_goldens, main
from tests.support.recordings import load
from tests.support.replay import faults
from vllm_sse_proxy import BodyEnd, check_stream
from vllm_sse_proxy.families import CHAT, COMPLETIONS, FAMILIES, MESSAGES, RESPONSES
from vllm_sse_proxy.families.messages.conformance import check_stream as check_messages
from vllm_sse_proxy.stream.plan import check_names, corrections_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.chunks import ChunkFamily
    from vllm_sse_proxy.stream.correction import Correction

ROOT = Path(__file__).parents[2]
GOLDENS = [golden for family in FAMILIES for golden in load_goldens(family)]
CORRECTIONS = {
    one.name if family is RESPONSES else f"{family.name}-{one.name}": one
    for family in (RESPONSES, CHAT, COMPLETIONS, MESSAGES)
    for one in corrections_of(family)
}
"""Folder of the golden → what it is the golden of. Those of transcriptions are tested on streams that are made up."""
CHUNKS: dict[str, ChunkFamily] = {family.name: family for family in (CHAT, COMPLETIONS)}
NO_FAULT = {"chat-reasoning_names"}
"""What is corrected here breaks no rule: each of two names is right, for some clients."""


def violations(golden: Golden, stream: bytes) -> list[Any]:
    """Judge a stream under the golden's settings."""
    if golden.family is RESPONSES:
        return [*check_stream(stream, dialect=golden.dialect)]
    judge = {**JUDGES, "messages": check_messages}[golden.family.name]
    return [*judge(stream, request=golden.request)]


def test_every_repair_has_a_golden_and_every_golden_a_repair() -> None:
    assert {golden.folder.name for golden in GOLDENS} == set(CORRECTIONS)


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.folder.name)
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
        assert not violations(golden, golden.expected)
        assert golden.folder.name in NO_FAULT or violations(golden, golden.upstream)

    def test_it_is_this_repair_that_does_it(self, golden: Golden) -> None:
        if CORRECTIONS[golden.folder.name].needed:
            with pytest.raises(ValueError, match="cannot be switched off"):
                check_names([golden.family], [golden.name])
        else:
            assert golden.repaired([golden.name])[0] != golden.expected

    @pytest.mark.parametrize("end", [BodyEnd.EOF, None], ids=["eof", "as recorded"])
    def test_what_is_repaired_stays_as_it_is(self, golden: Golden, end: BodyEnd | None) -> None:
        again, normalizer = golden.run([golden.expected], end=end)
        assert again == golden.expected
        assert not normalizer.tally.repairs

    def test_its_origin_is_named(self, golden: Golden) -> None:
        assert golden.source == "recorded" or golden.source.startswith("reconstructed from ")
        fixed = set(golden.defects) & set(CORRECTIONS[golden.folder.name].fixes)
        assert fixed
        assert golden.family is RESPONSES or fixed == set(golden.defects)
        assert re.fullmatch(r"[^\n]+\.", golden.symptom)
        assert (golden.recording is not None) == (golden.source == "recorded")


@pytest.mark.parametrize("golden", load_goldens(RESPONSES), ids=lambda golden: golden.name)
def test_the_types_of_openai_take_what_is_repaired(golden: Golden) -> None:
    assert not faults(golden.expected, dialect=golden.dialect)


def recording_of(golden: Golden) -> Path:
    """Return where the recording of a golden is, if it is kept."""
    if golden.family is RESPONSES:
        return RECORDINGS / f"vllm-{golden.release}" / f"{golden.recording}.sse"
    return RECORDINGS / "families" / golden.release / f"{golden.recording}.sse"


KEPT = [golden for golden in GOLDENS if recording_of(golden).exists()]


@pytest.mark.parametrize("golden", KEPT, ids=lambda golden: golden.folder.name)
def test_goldens_are_what_was_recorded_where_the_recording_is_kept(golden: Golden) -> None:
    recording = load(recording_of(golden))
    assert golden.upstream == recording.body
    assert golden.end is recording.known_end


@pytest.mark.parametrize("one", CORRECTIONS.values(), ids=CORRECTIONS)
def test_names_and_summaries_fit_into_tables(one: Correction) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", one.name)
    assert one.summary
    assert not {"\n", "|"} & set(one.summary)


@python_core
@pytest.mark.parametrize("family", CHUNKS.values(), ids=CHUNKS)
def test_every_repair_has_its_module(family: ChunkFamily) -> None:
    package = f"vllm_sse_proxy.families.{family.name}.repairs"
    names = {repair.name for repair in family.repairs}
    folder = ROOT / "proxy" / package.replace(".", "/")
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == names
    for repair in family.repairs:
        assert repair.__module__ == f"{package}.{repair.name}"
        assert importlib.import_module(repair.__module__).__doc__


@pytest.mark.parametrize("name", [one.name for one in corrections_of(CHAT)])
def test_every_repair_of_chat_has_a_test_file(name: str) -> None:
    """Those of completions are the same ones, and stand in one file."""
    assert (ROOT / "tests" / "families" / "chat" / "repairs" / f"test_{name}.py").is_file()


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
