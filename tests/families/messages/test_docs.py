"""docs/repairs-messages.md: an entry for each correction, in order, with examples that are run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.catalogue import DEFECTS
from tests.support.examples import holds_in_order
from tests.support.messages import run
from vllm_sse_proxy import BodyEnd
from vllm_sse_proxy.families import MESSAGES
from vllm_sse_proxy.stream.plan import corrections_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from vllm_sse_proxy.stream.correction import Correction

DOCUMENT = (Path(__file__).parents[3] / "docs" / "repairs-messages.md").read_text("utf-8")
CORRECTIONS = corrections_of(MESSAGES)
ENDS = {"(silence)": BodyEnd.IDLE_TIMEOUT}
ASKED = "(asked with "


def entry(name: str) -> str:
    return re.split(r"\n##", DOCUMENT.partition(f"\n### {name}\n")[2])[0]


def made_of(block: str, disabled: Collection[str] = ()) -> list[str]:
    """Return the lines that leave. Above `data:` stands the `event:` line of its type where the example has none."""
    frames, name, request = [], "", None
    lines = [line for line in block.splitlines() if line]
    for line in lines:
        if line.startswith("event: "):
            name = line
        elif line.startswith(ASKED):
            request = json.loads(line[len(ASKED) : -1])
        elif not line.startswith("("):
            frames.append(f"{name or 'event: ' + json.loads(line[6:])['type']}\n{line}\n\n")
            name = ""
    end = ENDS.get(lines[-1], BodyEnd.EOF)
    made, _ = run("".join(frames).encode(), end=end, disabled=disabled, request=request)
    return [line for line in made.decode().splitlines() if line]


def test_entries_stand_in_the_order_of_the_corrections() -> None:
    assert re.findall(r"^### (.*)", DOCUMENT, flags=re.MULTILINE) == [one.name for one in CORRECTIONS]


@pytest.mark.parametrize("one", CORRECTIONS, ids=lambda one: one.name)
class TestEntry:
    def test_it_says_all(self, one: Correction) -> None:
        text = entry(one.name)
        assert all(part in text for part in ("**Symptom.**", "**Cause.**", "**Releases.**"))
        assert not [id_ for id_ in one.fixes if id_ not in text]
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", one.name)
        assert "|" not in one.summary

    def test_its_defects_are_known(self, one: Correction) -> None:
        assert not {id_ for id_ in one.fixes if id_[0] == "A"} - set(DEFECTS)

    def test_after_is_in_what_the_proxy_makes_of_before(self, one: Correction) -> None:
        before, after = re.findall(r"```\n(.*?)```", entry(one.name), flags=re.DOTALL)
        wanted = after.splitlines()
        made = made_of(before)
        assert holds_in_order(made, wanted), "\n".join(made)
        assert not holds_in_order(made_of(before, [one.name]), wanted)
