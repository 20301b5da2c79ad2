"""The house keeps its shape: which module imports which, and one name per repair everywhere."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.compiled import python_core
from vllm_sse_proxy.families import RESPONSES
from vllm_sse_proxy.stream.correction import Correction, Station
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vllm_sse_proxy.stream.repair import Repair

CORRECTIONS = corrections_of(RESPONSES)

ROOT = Path(__file__).parents[1]
PROXY = ROOT / "proxy" / "vllm_sse_proxy"
DOCUMENT = ROOT / "docs" / "architecture.md"
NO_CORE_IMPORTS = ("aiohttp", "pydantic", "prometheus_client", "uvloop")


class Rule(NamedTuple):
    """One row of the import table."""

    module: str
    allowed: tuple[str, ...]
    forbidden: tuple[str, ...]

    def governs(self, module: str) -> bool:
        if self.module.endswith(".*"):
            return fnmatchcase(module, self.module)
        return inside(module, self.module)


def rules() -> list[Rule]:
    """Read the table in docs/architecture.md: the document is the rule."""
    section = (
        DOCUMENT.read_text("utf-8").partition("## Which module may import which")[2].partition("\n## ")[0]
    )
    defined = re.search(r"\*I/O\* means ([^.]+)\.", section)
    assert defined is not None, "nothing says what I/O is"
    section = section.replace("| *I/O*", f"| {defined[1]}")
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) > 5, "the import table is gone"
    return [
        Rule(module=names(row[0])[0], allowed=names(row[1]), forbidden=names(row[2]) if len(row) > 2 else ())
        for row in rows
    ]


def names(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PROXY.rglob("*.py")):
        parts = path.relative_to(PROXY.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(module: str, path: Path) -> Iterator[str]:
    """Yield every dotted name that the module imports, those for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def edges() -> dict[str, set[str]]:
    """Return which of our modules each of them imports: at the top, late, or for type checkers."""
    known = {module for module, _ in modules()}
    found: dict[str, set[str]] = {}
    for module, path in modules():
        found[module] = {
            max((each for each in known if inside(name, each)), key=len)
            for name in imports(module, path)
            if inside(name, "vllm_sse_proxy")
        } - {module, "vllm_sse_proxy"}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules that import each other in a circle; empty if there are none."""
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return way[way.index(module) :]
        if module in done:
            return []
        for each in sorted(graph.get(module, ())):
            if found := visit(each, [*way, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := visit(module, []))), [])


def rule_for(module: str) -> Rule | None:
    governing = [rule for rule in rules() if rule.governs(module)]
    return max(governing, key=lambda rule: len(rule.module), default=None)


def test_imports() -> None:
    for module, path in modules():
        rule = rule_for(module)
        if rule is None:
            assert module in ("vllm_sse_proxy", "vllm_sse_proxy.__main__"), (
                f"{module} stands in no row of the import table"
            )
            continue
        # A package's __init__ gathers its own modules.
        own = [module] if path.name == "__init__.py" else []
        for name in imports(module, path):
            assert not any(inside(name, each) for each in rule.forbidden), f"{module} may never import {name}"
            if name.partition(".")[0] not in sys.stdlib_module_names:
                allowed = any(inside(name, each) for each in (*rule.allowed, *own))
                assert allowed, f"{module} may not import {name}"


def test_no_modules_import_each_other() -> None:
    """Not even for type checkers: it must be plain which module needs which."""
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circle(edges()) == []


def test_nothing_of_ours_is_imported_late() -> None:
    """An import within a function hides a circle."""
    for module, path in modules():
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                late = [
                    ast.unparse(node)
                    for node in ast.walk(function)
                    if isinstance(node, ast.Import | ast.ImportFrom) and "vllm_sse_proxy" in ast.unparse(node)
                ]
                assert not late, f"{module}, {function.name}"


SHELL = [(module, path) for module, path in modules() if inside(module, "vllm_sse_proxy.server")]


@pytest.mark.parametrize(
    ("module", "path"),
    [(module, path) for module, path in SHELL if not inside(module, "vllm_sse_proxy.server.responses")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_shell_knows_no_family(module: str, path: Path) -> None:
    """But for server/responses, and the one place where it is plugged in."""
    text = path.read_text("utf-8")
    for word in (
        "/v1/responses",
        "starting_after",
        "call_id",
        "background",
        "response_id",
        "previous_response",
    ):
        assert word not in text, f"{module} names {word}"
    plugged = [name for name in imports(module, path) if inside(name, "vllm_sse_proxy.server.responses")]
    assert not plugged or module == "vllm_sse_proxy.server.handlers"


class TestWhatIsCitedExists:
    """In comments, docstrings and messages."""

    def test_documents(self) -> None:
        for module, path in modules():
            text = path.read_text("utf-8")
            for cited in re.findall(r"(?<![\w/.*-])(docs/[\w./-]*\w|[\w./-]+\.md)\b", text):
                assert (ROOT / cited).exists(), f"{module} cites {cited}"

    def test_decisions(self) -> None:
        for module, path in modules():
            for number in re.findall(r"\bADR (\d+)", path.read_text("utf-8")):
                assert list((ROOT / "docs" / "adr").glob(f"{int(number):04}-*.md")), (
                    f"{module} cites ADR {number}"
                )

    def test_names(self) -> None:
        for module, path in modules():
            for cited in re.findall(r":[a-z]+:`~?(vllm_sse_proxy[\w.]*)`", path.read_text("utf-8")):
                owner = max((each for each, _ in modules() if inside(cited, each)), key=len)
                target: object = importlib.import_module(owner)
                for name in cited[len(owner) :].strip(".").split(".") if cited != owner else ():
                    assert hasattr(target, name) or name in getattr(target, "__annotations__", ()), (
                        f"{module}: {cited}"
                    )
                    target = getattr(target, name, None)


# Words that stood for several things at once, or that no native reader would use here. "sent", "emitted", "forwarded",
# "reported", "repaired", "distinguish" say which is meant.
RETIRED = re.compile(
    r"\b(?:told|tells?|telling|untold|mend(?:s|ed|ing)?|noughts?|whom|(?<![Tt]here )(?:is|are|was) no(?= [a-z]))\b"
)
IN_PLAIN_ENGLISH = [
    *(path for _, path in SHELL),
    *(path for module, path in modules() if (module, path) not in SHELL),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "docs" / "generate.py",
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")),
    *sorted((ROOT / "bench").rglob("*.py")),
    *sorted(set((ROOT / "tests").rglob("*.py")) - {Path(__file__)}),
    *(path for path in sorted((ROOT / "deploy").rglob("*")) if path.is_file() and path.suffix != ".pyc"),
    *(ROOT / name for name in ("Dockerfile", "Makefile", "hatch_build.py", "pyproject.toml")),
]


def test_the_glossary_is_kept() -> None:
    """In the code, and in the documents with their generated parts. ``StringIO.tell`` keeps its name."""
    for path in IN_PLAIN_ENGLISH:
        lines = path.read_text("utf-8").splitlines()
        found = [line.strip() for line in lines if RETIRED.search(line.replace(".tell()", ""))]
        assert not found, path


PREDICATE = re.compile(r"_*(?:is|has|may|can|expects|wants|needs|looks|supersedes|hit)_")


def test_predicates_say_whether() -> None:
    for module, path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.FunctionDef)
                and PREDICATE.match(node.name)
                and node.returns is not None
                and ast.unparse(node.returns) == "bool"
                and (said := ast.get_docstring(node))
            ):
                assert re.match(r"Return whether|Whether|Return True|.*; return whether", said), (
                    f"{module}.{node.name}: {said}"
                )


def test_the_core_loads_nothing_that_waits_or_varies() -> None:
    """Importing the core in a fresh interpreter loads no event loop, clock, randomness or framework."""
    rule = rule_for("vllm_sse_proxy.families.responses")
    assert rule is not None
    program = (
        "import sys, orjson; before = set(sys.modules); import vllm_sse_proxy.families, vllm_sse_proxy.stream.normalizer;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout.split()
    assert "vllm_sse_proxy.stream.engine" in loaded
    assert not [
        name for name in loaded if any(inside(name, bad) for bad in (*rule.forbidden, *NO_CORE_IMPORTS))
    ]


def test_a_server_loads_nothing_that_only_reading_its_settings_needs() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, vllm_sse_proxy.cli.serve; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "vllm_sse_proxy.server.app" in loaded
    assert not {"pydantic", "pydantic_core", "vllm_sse_proxy.config"} & {*loaded}


def test_every_room_of_the_largest_family_is_on_its_map() -> None:
    section = DOCUMENT.read_text("utf-8").partition("\n## The largest family")[2].partition("\n## ")[0]
    named = [name for name in names(section) if name.endswith(".py")]
    folder = PROXY / "families" / "responses"
    assert sorted(named) == sorted({path.name for path in folder.glob("*.py")} - {"__init__.py"})


def test_corrections_are_sorted_by_station() -> None:
    stations = list(Station)
    places = [stations.index(one.station) for one in CORRECTIONS]
    assert places == sorted(places)


def test_every_repair_module_is_in_the_list() -> None:
    folder = PROXY / "families" / "responses" / "repairs"
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == {
        one.name for one in RESPONSES.repairs
    }


@python_core
@pytest.mark.parametrize("repair", RESPONSES.repairs, ids=lambda repair: repair.name)
def test_a_repair_has_the_name_of_its_module(repair: type[Repair]) -> None:
    assert repair.__module__ == f"vllm_sse_proxy.families.responses.repairs.{repair.name}"
    assert importlib.import_module(repair.__module__).__doc__


@pytest.mark.parametrize("repair", CORRECTIONS, ids=lambda repair: repair.name)
class TestOneName:
    def test_form(self, repair: Correction) -> None:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", repair.name)
        assert repair.summary
        assert "\n" not in repair.summary
        assert "|" not in repair.summary, "it stands in tables"
        assert repair.fixes

    def test_has_its_test_file(self, repair: Correction) -> None:
        assert (ROOT / "tests" / "families" / "responses" / "repairs" / f"test_{repair.name}.py").is_file()

    def test_has_its_golden(self, repair: Correction) -> None:
        golden = ROOT / "tests" / "recordings" / repair.name
        assert golden.is_dir()
        assert {path.name for path in golden.iterdir()} >= {"upstream.sse", "expected.sse", "origin.toml"}

    def test_is_documented(self, repair: Correction) -> None:
        text = (ROOT / "docs" / "repairs.md").read_text("utf-8")
        assert f"\n### {repair.name}\n" in text
