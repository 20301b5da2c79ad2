"""Documentation is tested: what the code has, the documents say, and what they show is what the code does."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from docs.generate import PARTS, ROOT, in_order, readme_after, with_example, with_part
from tests.labs.clients.releases import releases_of
from tests.support.examples import holds_in_order
from vllm_sse_proxy import BodyEnd, Dialect, Ending, Reasoning, StreamNormalizer, __version__, build_plan
from vllm_sse_proxy.advice import ADVICE
from vllm_sse_proxy.cli import main
from vllm_sse_proxy.families import RESPONSES
from vllm_sse_proxy.families.responses.conformance import check_stream
from vllm_sse_proxy.families.responses.defects import DEFECTS
from vllm_sse_proxy.metrics import PREFIX, Metrics
from vllm_sse_proxy.settings import ServerSettings, settings_of
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from vllm_sse_proxy.stream.repair import Repair

CORRECTIONS = corrections_of(RESPONSES)
NEEDED = [one.name for one in CORRECTIONS if one.needed]

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def read(document: str) -> str:
    return (ROOT / document).read_text("utf-8")


def headings(text: str) -> set[str]:
    """Return the anchors of a document, as GitHub makes them."""
    lines = re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines()
    titles = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(("document", "name"), list(PARTS))
def test_generated_parts_are_in_step(document: str, name: str) -> None:
    text = read(document)
    assert text == with_part(text, name, PARTS[document, name]()), (
        f"{document} is out of step: run `make docs`"
    )


def test_every_defect_named_by_a_repair_is_in_the_catalogue() -> None:
    assert not {id_ for repair in CORRECTIONS for id_ in repair.fixes} - set(DEFECTS)


def test_every_ending_has_advice() -> None:
    assert list(ADVICE) == list(Ending)
    named = {name for each in ADVICE.values() for name in re.findall(r"`([a-z_]+_[a-z_]+)`", each.remedy)}
    assert "drain_timeout_seconds" in named
    assert named - {"max_output_tokens"} <= set(settings_of(ServerSettings)), "settings that are gone"


def test_entries_stand_in_the_order_of_the_repairs() -> None:
    text = read("docs/repairs.md")
    assert re.findall(r"^### (.*)", text, flags=re.MULTILINE) == [repair.name for repair in CORRECTIONS]
    assert text == in_order(text), "run `make docs`"


@pytest.mark.parametrize("repair", [repair.name for repair in CORRECTIONS])
def test_every_repair_has_an_entry_that_says_all(repair: str) -> None:
    entry = read("docs/repairs.md").partition(f"\n### {repair}\n")[2].partition("\n### ")[0]
    for part in ("**Symptom.**", "**Cause.**", "**Releases.**"):
        assert part in entry, f"{repair}: {part} is missing"
    assert entry.count("```") >= 2, f"{repair}: no before and after"


@pytest.mark.parametrize("repair", CORRECTIONS, ids=lambda repair: repair.name)
def test_every_repair_entry_names_its_defects(repair: type[Repair]) -> None:
    entry = read("docs/repairs.md").partition(f"\n### {repair.name}\n")[2].partition("\n### ")[0]
    assert not [defect for defect in repair.fixes if defect not in entry]


def lines_of(block: str) -> list[str]:
    return [line for line in block.splitlines() if line]


_ENDS = {"(the connection breaks)": BodyEnd.CUT, "(silence)": BodyEnd.IDLE_TIMEOUT}


def run_example(block: str, disabled: Collection[str] = ()) -> list[str]:
    """Return the lines that leave: comments and data."""
    out = normalize_example(block, disabled)[0]
    return [line for line in out.decode().splitlines() if line.startswith(("data: ", ":"))]


def normalize_example(block: str, disabled: Collection[str] = ()) -> tuple[bytes, StreamNormalizer]:
    """Send an example through the core; a line in brackets names a setting, or says how the body ends."""
    lines = lines_of(block)
    reasoning = Reasoning.SUMMARY if lines[0] == "(with reasoning = summary)" else Reasoning.RAW
    dialect = Dialect.OPEN_RESPONSES if lines[0] == "(with dialect = open-responses)" else Dialect.OPENAI
    end = _ENDS.get(lines[-1], BodyEnd.EOF)
    stream = "".join(
        line + ("\n" if line.startswith("event: ") else "\n\n") for line in lines if not line.startswith("(")
    )
    plan = build_plan(reasoning=reasoning, dialect=dialect, disabled=disabled, strict=not disabled)
    normalizer = StreamNormalizer(plan)
    return normalizer.feed(stream.encode()) + normalizer.finish(end), normalizer


@pytest.mark.parametrize("repair", [repair.name for repair in CORRECTIONS])
class TestRepairExamples:
    def blocks(self, repair: str) -> tuple[str, list[str]]:
        entry = read("docs/repairs.md").partition(f"\n### {repair}\n")[2].partition("\n### ")[0]
        before, after = re.findall(r"```\n(.*?)```", entry, flags=re.DOTALL)
        return before, lines_of(after)

    def test_after_is_in_what_the_proxy_makes_of_before(self, repair: str) -> None:
        before, after = self.blocks(repair)
        made = run_example(before)
        assert holds_in_order(made, after), "\n".join(made)

    def test_it_is_this_repair_that_does_it(self, repair: str) -> None:
        before, after = self.blocks(repair)
        if repair in NEEDED:
            assert normalize_example(before)[1].tally.repairs[repair]
        else:
            assert not holds_in_order(run_example(before, [repair]), after)


def seen_in_recordings() -> list[tuple[str, str, str]]:
    """Return id, first and second block of the defects that only recordings showed."""
    section = read("docs/compatibility-matrix.md").partition("\n## Seen in recordings only\n")[2]
    entries = [entry.partition("\n")[::2] for entry in re.split(r"^### ", section, flags=re.MULTILINE)[1:]]
    return [
        (id_, *blocks) for id_, text in entries if (blocks := re.findall(r"```\n(.*?)```", text, re.DOTALL))
    ]


@pytest.mark.parametrize(("id_", "before", "after"), seen_in_recordings(), ids=lambda value: value[:3])
class TestSeenInRecordings:
    def test_after_is_what_the_proxy_makes_of_before(self, id_: str, before: str, after: str) -> None:
        made = run_example(before)
        assert holds_in_order(made, lines_of(after)), id_ + "\n" + "\n".join(made)

    def test_the_repairs_that_claim_it_do_it(self, id_: str, before: str, after: str) -> None:
        named = [repair.name for repair in CORRECTIONS if id_ in repair.fixes]
        assert named
        assert set(named) <= set(normalize_example(before)[1].tally.repairs)
        optional = [name for name in named if name not in NEEDED]
        assert not optional or not holds_in_order(run_example(before, optional), lines_of(after))


@pytest.mark.parametrize("setting", list(settings_of(ServerSettings)))
def test_every_setting_is_documented(setting: str) -> None:
    assert f"\n### {setting}\n" in read("docs/configuration.md")
    assert settings_of(ServerSettings)[setting].description


def test_every_metric_is_documented() -> None:
    text = read("docs/metrics.md")
    families = [family.name for family in Metrics().registry.collect() if family.name.startswith(PREFIX)]
    assert families
    assert not [name for name in families if f"`{name}" not in text]


@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_is_documented(ending: Ending) -> None:
    assert f"| `{ending.value}` | {ending.meaning} |" in read("docs/operations.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = unquote(target).partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), f"{document.name}: {target}"
        if anchor:
            assert anchor in headings(there.read_text("utf-8")), f"{document.name}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_metrics_and_variables_named_in_prose_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    samples = {sample.name for family in Metrics().registry.collect() for sample in family.samples} | {
        family.name for family in Metrics().registry.collect()
    }
    assert not [name for name in re.findall(r"\bsse_proxy_[a-z_]+\b", text) if name not in samples]
    variables = {"SSE_PROXY_" + name.upper() for name in (*settings_of(ServerSettings), "config")}
    assert not [name for name in re.findall(r"\bSSE_PROXY_[A-Z_]+[A-Z]\b", text) if name not in variables]


def blocks_after(heading: str) -> list[str]:
    section = read("README.md").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```[a-z]*\n(.*?)```", section, flags=re.DOTALL)


def test_the_lines_for_clients_have_what_their_pages_have() -> None:
    """Codex refuses a provider without a name; LangChain shows no reasoning without `output_version`."""
    lines = dict(
        re.findall(r"\n- \*\*([^*]+)\*\*(.*)", read("README.md").partition("\n## Point your client")[2])
    )
    (block,) = re.findall(r"```toml\n(.*?)```", read("docs/clients/codex.md"), flags=re.DOTALL)
    provider = tomllib.loads(block)["model_providers"]["vllm"]
    for key in provider.keys() - {"env_key"}:
        assert f'{key} = "{provider[key]}"' in lines["Codex"]
    arguments = re.findall(r"    (\w+=.*),\n", read("docs/clients/langchain.md").partition("```python")[2])
    for argument in arguments[1:]:
        assert argument in lines["LangChain"]
    for name in re.findall(r"export (ANTHROPIC_\w+)", read("docs/claude-code.md"))[:3]:
        assert f"{name}=" in lines["Claude Code"]


class TestReadmeExample:
    def test_after_is_what_the_proxy_makes_of_before(self) -> None:
        before, after = blocks_after("Before and after")
        assert after == readme_after(before)
        assert read("README.md") == with_example(read("README.md"))

    def test_only_after_conforms(self) -> None:
        before = blocks_after("Before and after")[0].replace("\n", "\n\n").encode()
        normalizer = StreamNormalizer(build_plan(strict=True))
        assert check_stream(before)
        assert not check_stream(normalizer.feed(before) + normalizer.finish(BodyEnd.EOF))


def test_version_stands_in_changelog_and_image() -> None:
    assert f"## [{__version__}]" in read("CHANGELOG.md")
    assert f'image.version="{__version__}"' in read("Dockerfile")
    source = tomllib.loads(read("pyproject.toml"))["project"]["urls"]["Source"]
    assert f'image.source="{source}"' in read("Dockerfile")


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ()), ("requirements-otel.lock", ("otel",))]
)
def test_lock_holds_every_dependency_with_hashes(lock: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in extras for one in project["optional-dependencies"][extra]),
    ]
    names = {re.split(r"[^\w-]", one)[0] for one in wanted}
    assert names <= set(re.findall(r"^([a-z0-9-]+)==", read(lock), flags=re.MULTILINE))
    entries = re.split(r"\n(?=[a-z0-9-]+==)", read(lock))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in read(lock)


def test_locks_agree() -> None:
    def pinned(lock: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==\S+", read(lock), flags=re.MULTILINE))

    assert pinned("requirements.lock") < pinned("requirements-otel.lock")


def test_commands_named_in_prose_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    usage = capsys.readouterr().out
    named = {
        command
        for document in DOCUMENTS
        for command in re.findall(r"vllm-sse-proxy ([a-z]+)\b", document.read_text("utf-8"))
    }
    assert named >= {"serve", "repair", "check", "demo"}
    assert not [command for command in named if command not in usage]


@pytest.mark.parametrize(
    ("entry", "first", "last"),
    [
        ("all, in part open", 10, 33),
        ("0.11.0, open", 11, 33),
        ("0.10.2 to 0.17", 10, 17),
        ("0.10.1 to 0.32, harmony open", 10, 33),
        ("to 0.25; gateways", 10, 25),
        ("0.32.0, 0.33.0", 32, 33),
        ("0.18.1", 18, 18),
    ],
)
def test_releases_of_an_entry(entry: str, first: int, last: int) -> None:
    found = releases_of(entry)
    assert (found[0], found[-1], len(found)) == (first, last, last - first + 1)


@pytest.mark.parametrize("entry", ["a fork of 0.11", "gateways", "forks; inside items as R14"])
def test_forks_and_gateways_are_not_releases(entry: str) -> None:
    assert not releases_of(entry)
