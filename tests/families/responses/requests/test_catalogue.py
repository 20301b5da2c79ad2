"""One name per request repair everywhere, and an entry for each in docs/requests.md."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from tests.support.compiled import python_core
from vllm_sse_proxy.families import RESPONSES
from vllm_sse_proxy.families.requests import Facts, RequestRepair, Step
from vllm_sse_proxy.families.responses.requests import REQUEST_REPAIRS
from vllm_sse_proxy.families.responses.requests import repairs as package
from vllm_sse_proxy.stream.plan import corrections_of

CORRECTIONS = corrections_of(RESPONSES)

ROOT = Path(__file__).parents[4]
FOLDER = ROOT / "proxy" / "vllm_sse_proxy" / "families" / "responses" / "requests" / "repairs"
DOCUMENT = (ROOT / "docs" / "requests.md").read_text("utf-8")
PARTS = ("**Sent by.**", "**vLLM.**", "**Changed.**", "**Lost.**")


def entry(name: str) -> str:
    return DOCUMENT.partition(f"\n### {name}\n")[2].partition("\n### ")[0].partition("\n## ")[0]


def test_every_module_is_in_the_list() -> None:
    names = [repair.name for repair in REQUEST_REPAIRS]
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(names)
    assert len(names) == len(set(names))
    assert not set(names) & {repair.name for repair in CORRECTIONS}, "one name, one repair"


def test_the_catalogue_has_the_order_of_the_list() -> None:
    headings = re.findall(r"^### (\w+)$", DOCUMENT, flags=re.MULTILINE)
    assert headings == [repair.name for repair in REQUEST_REPAIRS]


@python_core
def test_nobody_writes_into_a_request() -> None:
    """No repair assigns to, or deletes from, what it was given."""
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
            for target in targets:
                if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                    assert target.value.id in ("changed", "kept", "known"), (
                        f"{path.name}: {ast.unparse(node)}"
                    )


@pytest.mark.parametrize("repair", REQUEST_REPAIRS, ids=lambda repair: repair.name)
class TestOneName:
    def test_form(self, repair: RequestRepair) -> None:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", repair.name)
        assert repair.summary
        assert "\n" not in repair.summary
        assert "|" not in repair.summary, "it stands in tables"

    @python_core
    def test_module(self, repair: RequestRepair) -> None:
        module = importlib.import_module(type(repair).__module__)
        assert module.__name__ == f"{package.__name__}.{repair.name}"
        assert module.__doc__

    def test_has_its_test_file(self, repair: RequestRepair) -> None:
        assert (Path(__file__).parent / "repairs" / f"test_{repair.name}.py").is_file()

    def test_is_documented(self, repair: RequestRepair) -> None:
        text = entry(repair.name)
        places = [text.find(part) for part in PARTS]
        assert -1 < places[0] < places[1] < places[2] < places[3]
        nothing = text[places[3] :].startswith("**Lost.** Nothing")
        assert nothing is repair.lossless

    def test_what_is_applied_first_says_why(self, repair: RequestRepair) -> None:
        known = [
            Facts(release=release, harmony=harmony)
            for release in (None, (0, 12), (0, 24), (0, 32))
            for harmony in (None, True, False)
        ]
        is_early = any(repair.step(facts) is Step.FIRST for facts in known)
        assert bool(repair.first) is is_early
        assert ("**First.**" in entry(repair.name)) is is_early
