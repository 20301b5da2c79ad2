"""One name per request repair everywhere, and an entry for each in the family's document."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.compiled import python_core
from vllm_sse_proxy.families import MESSAGES, RESPONSES
from vllm_sse_proxy.families.messages.requests import REQUEST_REPAIRS as OF_MESSAGES
from vllm_sse_proxy.families.messages.requests import repairs as messages_package
from vllm_sse_proxy.families.requests import Facts, Step
from vllm_sse_proxy.families.responses.requests import REQUEST_REPAIRS as OF_RESPONSES
from vllm_sse_proxy.families.responses.requests import repairs as responses_package
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from types import ModuleType

    from vllm_sse_proxy.families.requests import RequestRepair

ROOT = Path(__file__).parents[3]
PARTS = ("**Sent by.**", "**vLLM.**", "**Changed.**", "**Lost.**")


class Catalogue(NamedTuple):
    """The request repairs of a family, and where they stand."""

    family: str
    repairs: tuple[RequestRepair, ...]
    package: ModuleType
    document: str

    @property
    def folder(self) -> Path:
        return ROOT / "proxy/vllm_sse_proxy/families" / self.family / "requests/repairs"

    @property
    def text(self) -> str:
        return (ROOT / "docs" / self.document).read_text("utf-8")

    def entry(self, name: str) -> str:
        return self.text.partition(f"\n### {name}\n")[2].partition("\n### ")[0].partition("\n## ")[0]


CATALOGUES = (
    Catalogue("responses", OF_RESPONSES, responses_package, "requests.md"),
    Catalogue("messages", OF_MESSAGES, messages_package, "requests-messages.md"),
)
EVERY = [(catalogue, repair) for catalogue in CATALOGUES for repair in catalogue.repairs]


def test_no_two_repairs_have_one_name() -> None:
    """They are switched off by their names, whatever the family."""
    names = [repair.name for _, repair in EVERY]
    assert len(names) == len(set(names))
    for family in (MESSAGES, RESPONSES):
        own = {repair.name for catalogue, repair in EVERY if catalogue.family == family.name}
        assert not own & {repair.name for repair in corrections_of(family)}, "one name, one repair"


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda one: one.family)
class TestCatalogue:
    def test_every_module_is_in_the_list(self, catalogue: Catalogue) -> None:
        names = {repair.name for repair in catalogue.repairs}
        assert {path.stem for path in catalogue.folder.glob("*.py")} - {"__init__"} == names

    def test_the_document_has_the_order_of_the_list(self, catalogue: Catalogue) -> None:
        headings = re.findall(r"^### (\w+)$", catalogue.text, flags=re.MULTILINE)
        assert headings == [repair.name for repair in catalogue.repairs]

    @python_core
    def test_nobody_writes_into_a_request(self, catalogue: Catalogue) -> None:
        """No repair assigns to, or deletes from, what it was given."""
        for path in catalogue.folder.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
                for target in targets:
                    if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                        assert target.value.id in ("changed", "kept", "known"), (
                            f"{path.name}: {ast.unparse(node)}"
                        )


@pytest.mark.parametrize(("catalogue", "repair"), EVERY, ids=[repair.name for _, repair in EVERY])
class TestOneName:
    def test_form(self, catalogue: Catalogue, repair: RequestRepair) -> None:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", repair.name)
        assert repair.summary, catalogue.family
        assert "\n" not in repair.summary
        assert "|" not in repair.summary, "it stands in tables"

    @python_core
    def test_module(self, catalogue: Catalogue, repair: RequestRepair) -> None:
        module = importlib.import_module(type(repair).__module__)
        assert module.__name__ == f"{catalogue.package.__name__}.{repair.name}"
        assert module.__doc__

    def test_has_its_test_file(self, catalogue: Catalogue, repair: RequestRepair) -> None:
        folder = Path(__file__).parents[1] / catalogue.family / "requests" / "repairs"
        assert (folder / f"test_{repair.name}.py").is_file()

    def test_is_documented(self, catalogue: Catalogue, repair: RequestRepair) -> None:
        text = catalogue.entry(repair.name)
        places = [text.find(part) for part in PARTS]
        assert -1 < places[0] < places[1] < places[2] < places[3]
        nothing = text[places[3] :].startswith("**Lost.** Nothing")
        assert nothing is repair.lossless

    def test_what_is_applied_first_says_why(self, catalogue: Catalogue, repair: RequestRepair) -> None:
        known = [
            Facts(release=release, harmony=harmony)
            for release in (None, (0, 12), (0, 24), (0, 32))
            for harmony in (None, True, False)
        ]
        is_early = any(repair.step(facts) is Step.FIRST for facts in known)
        assert bool(repair.first) is is_early
        assert ("**First.**" in catalogue.entry(repair.name)) is is_early
