"""Text under two names is emitted once."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal
from tests.support.streams import Json, summary

LIFE, _ = summary(0, "")
OURS, THEIRS = "response.reasoning_summary_text.delta", "response.reasoning.summary.delta"


def emitted(*deltas: tuple[str, str]) -> str:
    events: list[Json] = [
        {"type": name, "item_id": "rs_0", "output_index": 0, "summary_index": 0, "delta": text}
        for name, text in deltas
    ]
    made = repaired(opened(*LIFE[:2], *events, terminal()))
    return "".join(made.values("reasoning_summary_text.delta", "delta"))


@pytest.mark.parametrize(
    "deltas",
    [
        [(OURS, "Add"), (THEIRS, "Add"), (OURS, "ing"), (THEIRS, "ing")],
        [(THEIRS, "Add"), (OURS, "Add"), (THEIRS, "ing"), (OURS, "ing")],
        [(THEIRS, "Adding"), (OURS, "Add"), (OURS, "ing")],
        [(THEIRS, "Add"), (THEIRS, "ing"), (OURS, "Adding")],
        [(THEIRS, "Add"), (OURS, "Adding"), (THEIRS, "ing")],
        [(OURS, "Add"), (THEIRS, "Adding"), (OURS, "ing")],
    ],
)
def test_the_echo_is_dropped_however_it_is_cut(deltas: list[tuple[str, str]]) -> None:
    assert emitted(*deltas) == "Adding"


def test_different_texts_are_no_echo() -> None:
    assert emitted((THEIRS, "Add"), (OURS, "Sub"), (THEIRS, "ing")) == "AddSubing"


def test_one_name_alone_may_repeat_itself() -> None:
    assert emitted((OURS, "ha"), (OURS, "ha")) == "haha"
    assert emitted((THEIRS, "ha"), (THEIRS, "ha")) == "haha"


def test_what_is_no_text_is_left_to_others() -> None:
    made = repaired(
        opened(
            *LIFE[:2],
            {"type": THEIRS, "item_id": "rs_0", "output_index": 0, "summary_index": 0, "delta": "a"},
            terminal(),
        ),
        disabled=["string_deltas"],
    )
    assert made.values("reasoning_summary_text.delta", "delta") == ["a"]
    made = repaired(
        opened(*LIFE[:2], {"type": OURS, "item_id": "rs_0", "delta": None}, terminal()),
        disabled=["string_deltas"],
        conforming=False,
    )
    assert "doubled_deltas" not in made.repairs
