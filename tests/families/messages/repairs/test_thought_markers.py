"""C25, C36: thinking that begins with its own marker."""

from __future__ import annotations

import pytest

from tests.support.messages import passes, repaired, short

THOUGHT = "think 0\nthink+ 0 One\nsign 0 s\nstop 0"
REST = "sign 0 s\nstop 0\ntext 1\ntext+ 1 Hi\nstop 1\nend end_turn\nover"


@pytest.mark.parametrize("marker", ["<think>", "<mm:think>", "[THINK]", "<think><think>"])
def test_the_first_piece_leaves_without_it(marker: str) -> None:
    text = f"start\nthink 0\nthink+ 0 {marker}~One\nthink+ 0 _two\nthink+ 0 _three\n{REST}"
    lines, counts = repaired(text)
    assert lines == short(text.replace(marker, ""))
    assert counts == {"thought_markers": 1}
    assert repaired(text, disabled=["thought_markers"])[1] == {}


def test_a_piece_that_is_nothing_else_is_dropped() -> None:
    lines, counts = repaired(f"start\nthink 0\nthink+ 0 <think>\nthink+ 0 One\nthink+ 0 _two\n{REST}")
    assert lines == short(f"start\nthink 0\nthink+ 0 One\nthink+ 0 _two\n{REST}")
    assert counts == {"thought_markers": 1}


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        (["<t", "hink>~One"], ["~One"]),
        (["<", "think", ">", "One"], ["One"]),
        (["<think><thi", "nk>One"], ["One"]),
        (["<think>~<thi", "nk>One"], ["One"]),
        (["<think>~<thi", "s"], ["~<thi", "s"]),
        (["<t", "he_end"], ["<t", "he_end"]),
        (["<think", "ing>"], ["<think", "ing>"]),
    ],
)
def test_a_marker_that_comes_in_pieces(pieces: list[str], kept: list[str]) -> None:
    spelled, wanted = ("\n".join(f"think+ 0 {piece}" for piece in some) for some in (pieces, kept))
    lines, counts = repaired(f"start\nthink 0\n{spelled}\n{REST}")
    assert lines == short(f"start\nthink 0\n{wanted}\n{REST}")
    assert bool(counts) == (pieces != kept)


def test_white_space_before_it_goes_or_has_left() -> None:
    lines, _ = repaired(f"start\nthink 0\nthink+ 0 ~<think>~One\n{REST}")
    assert lines == short(f"start\nthink 0\nthink+ 0 ~One\n{REST}")
    lines, _ = repaired(f"start\nthink 0\nthink+ 0 ~\nthink+ 0 ~\nthink+ 0 <think>~One\n{REST}")
    assert lines == short(f"start\nthink 0\nthink+ 0 ~\nthink+ 0 ~\nthink+ 0 ~One\n{REST}")


def test_each_thought_has_its_own_beginning() -> None:
    lines, counts = repaired(
        f"start\n{THOUGHT}\nthink 1\nthink+ 1 <think>~Two\nsign 1 s\nstop 1\nend end_turn\nover"
    )
    assert lines == short(f"start\n{THOUGHT}\nthink 1\nthink+ 1 ~Two\nsign 1 s\nstop 1\nend end_turn\nover")
    assert counts == {"thought_markers": 1}


def test_what_is_held_leaves_with_what_follows() -> None:
    passes(f"start\nthink 0\nthink+ 0 <th\n{REST}")
    passes(f"start\nthink 0\nthink+ 0 <think>\n{REST}")


def test_a_heartbeat_passes_what_is_held() -> None:
    for beat in ("ping", ": ping"):
        lines, counts = repaired(f"start\nthink 0\nthink+ 0 <th\n{beat}\nthink+ 0 ink>~One\n{REST}")
        assert lines == short(f"start\nthink 0\n{beat}\nthink+ 0 ~One\n{REST}")
        assert counts == {"thought_markers": 1}


def test_a_second_start_does_not_release_it() -> None:
    lines, counts = repaired(f"start\nthink 0\nthink+ 0 <th\nstart\nthink+ 0 ink>One\n{REST}")
    assert lines == short(f"start\nthink 0\nthink+ 0 One\n{REST}")
    assert counts == {"thought_markers": 1, "message_openings": 1}


QUOTED = [
    "<think>_is_a_tag",
    "<think>,_then",
    '<think>"_it_says',
    "[THINK]",
    "<think>",
    "[THINK]_",
    "<think>.",
    "~<think>'s",
]


@pytest.mark.parametrize("thought", ["One_<think>", "</think>", "<thinking>", "<", "", *QUOTED])
def test_other_thoughts_pass(thought: str) -> None:
    passes(
        f"start\nthink 0\nthink+ 0 {thought}\nthink+ 0 ./<think>\n{REST}"
        if thought
        else f"start\nthink 0\n{REST}"
    )


def test_a_marker_in_a_text_passes() -> None:
    lines, counts = repaired(
        "start\ntext 0\ntext+ 0 <think>\nstop 0\nend end_turn\nover", disabled=["held_stops"]
    )
    assert lines[2] == "text+ 0 <think>"
    assert counts == {}


@pytest.mark.parametrize("early", ["stop 0", "sign 0 a"])
def test_a_stop_or_a_signature_that_comes_too_early_does_not_end_it(early: str) -> None:
    for pieces, kept in (
        (["<t", early, "hink>One"], "One"),
        (["<t", early, "hink>", "One"], "One"),
        (["<t", early, "he"], "<the"),
    ):
        spelled = "\n".join(piece if piece == early else f"think+ 0 {piece}" for piece in pieces)
        lines, _ = repaired(f"start\nthink 0\n{spelled}\n{REST}")
        said = "".join(line.removeprefix("think+ 0 ") for line in lines if line.startswith("think+ 0 "))
        assert said == kept
        assert lines[-5:] == short("text 1\ntext+ 1 Hi\nstop 1\nend end_turn\nover")
