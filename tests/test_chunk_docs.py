"""docs/repairs-chat.md: every repair of chat and completions has an entry, and its example is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.examples import holds_in_order
from vllm_sse_proxy import BodyEnd, Plan, StreamNormalizer
from vllm_sse_proxy.families import CHAT, COMPLETIONS
from vllm_sse_proxy.stream.plan import corrections_of

DOCUMENT = (Path(__file__).parents[1] / "docs" / "repairs-chat.md").read_text("utf-8")
ENTRIES = {part.partition("\n")[0]: part for part in re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)[1:]}
CORRECTIONS = [*corrections_of(CHAT), *corrections_of(COMPLETIONS)]
NEEDED = {one.name for one in CORRECTIONS if one.needed}


def blocks(name: str) -> tuple[list[str], list[str]]:
    before, after = re.findall(r"```\n(.*?)```", ENTRIES[name], flags=re.DOTALL)
    return before.splitlines(), after.splitlines()


def run(name: str, lines: list[str], disabled: tuple[str, ...] = ()) -> list[str]:
    asked = next((json.loads(line[12:-1]) for line in lines if line.startswith("(asked with ")), None)
    end = BodyEnd.CUT if lines[-1] == "(the connection breaks)" else BodyEnd.EOF
    family = COMPLETIONS if name == "text_offsets" else CHAT
    stream = "".join(f"{line}\n\n" for line in lines if not line.startswith("("))
    normalizer = StreamNormalizer(Plan.of(family, disabled, strict=not disabled), family.context("", asked))
    made = normalizer.feed(stream.encode()) + normalizer.finish(end)
    return [line for line in made.decode().splitlines() if line]


def test_every_repair_has_an_entry_and_every_entry_a_repair() -> None:
    assert set(ENTRIES) == {one.name for one in CORRECTIONS}
    chat = [one.name for one in corrections_of(CHAT)]
    assert [name for name in ENTRIES if name != "text_offsets"] == chat


@pytest.mark.parametrize("one", CORRECTIONS, ids=lambda one: one.name)
def test_an_entry_says_all(one: Any) -> None:
    for part in ("**Symptom.**", "**Cause.**", "**Releases.**", *one.fixes):
        assert part in ENTRIES[one.name]


@pytest.mark.parametrize("name", ENTRIES)
def test_after_is_in_what_the_proxy_makes_of_before(name: str) -> None:
    before, after = blocks(name)
    made = run(name, before)
    assert holds_in_order(made, after), "\n".join(made)


@pytest.mark.parametrize("name", [name for name in ENTRIES if name not in NEEDED])
def test_it_is_this_repair_that_does_it(name: str) -> None:
    before, _ = blocks(name)
    assert run(name, before) != run(name, before, (name,))
