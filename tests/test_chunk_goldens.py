"""Every golden of chat and completions: the broken stream, repaired, is the expected one, and by this repair."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.chunk_streams import JUDGES
from tests.support.compiled import python_core
from tests.support.goldens import Golden, load_goldens
from vllm_sse_proxy import BodyEnd
from vllm_sse_proxy.families import CHAT, COMPLETIONS
from vllm_sse_proxy.stream.plan import check_names, corrections_of

if TYPE_CHECKING:
    from vllm_sse_proxy.families.chunks import ChunkFamily
    from vllm_sse_proxy.stream.repair import Correction

ROOT = Path(__file__).parents[1]
FAMILIES: dict[str, ChunkFamily] = {family.name: family for family in (CHAT, COMPLETIONS)}
GOLDENS = [golden for family in FAMILIES.values() for golden in load_goldens(family)]
CORRECTIONS = [(family, one) for family in FAMILIES.values() for one in corrections_of(family)]
NAMES = [f"{family.name}-{one.name}" for family, one in CORRECTIONS]


def test_every_repair_has_a_golden_and_every_golden_a_repair() -> None:
    assert {golden.folder.name for golden in GOLDENS} == set(NAMES)


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
        judge = JUDGES[golden.family.name]
        assert not judge(golden.expected, request=golden.request)
        assert golden.name == "reasoning_names" or judge(golden.upstream, request=golden.request)

    def test_it_is_this_repair_that_does_it(self, golden: Golden) -> None:
        needed = next(
            one.needed for family, one in CORRECTIONS if family is golden.family and one.name == golden.name
        )
        if needed:
            with pytest.raises(ValueError, match="cannot be switched off"):
                check_names([golden.family], [golden.name])
        else:
            assert golden.repaired([golden.name])[0] != golden.expected

    def test_what_is_repaired_stays_as_it_is(self, golden: Golden) -> None:
        again, normalizer = golden.run([golden.expected], end=BodyEnd.EOF)
        assert again == golden.expected
        assert not normalizer.tally.repairs

    def test_its_origin_is_named(self, golden: Golden) -> None:
        assert golden.source == "recorded" or golden.source.startswith("reconstructed from ")
        fixes = next(
            one.fixes for family, one in CORRECTIONS if family is golden.family and one.name == golden.name
        )
        assert set(golden.defects) <= set(fixes)
        assert golden.defects
        assert re.fullmatch(r"[^\n]+\.", golden.symptom)
        assert (golden.recording is not None) == (golden.source == "recorded")


@pytest.mark.parametrize("one", [one for _, one in CORRECTIONS], ids=NAMES)
def test_names_and_summaries_fit_into_tables(one: Correction) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", one.name)
    assert one.summary
    assert not {"\n", "|"} & set(one.summary)


@python_core
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_repair_has_its_module(family: ChunkFamily) -> None:
    package = f"vllm_sse_proxy.families.{family.name}.repairs"
    names = {repair.name for repair in family.repairs}
    folder = ROOT / "proxy" / package.replace(".", "/")
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == names
    for repair in family.repairs:
        assert repair.__module__ == f"{package}.{repair.name}"
        assert importlib.import_module(repair.__module__).__doc__


@pytest.mark.parametrize("name", [one.name for one in corrections_of(FAMILIES["chat"])])
def test_every_repair_of_chat_has_a_test_file(name: str) -> None:
    """Those of completions are the same ones, and stand in one file."""
    assert (ROOT / "tests" / "families" / "chat" / "repairs" / f"test_{name}.py").is_file()
