"""C25, C36: thoughts in the middle of a text, and closing tags that are left in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.messages import REQUEST, lines_of, passes, repaired, run, short, wire
from vllm_sse_proxy import BodyEnd
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

BEGUN = "start\nthink 0\nthink+ 0 One_way.\nsign 0 s\nstop 0\ntext 1\n"
REST = "\nstop 1\nend end_turn\nover"
WHOLE = "~~Part_A._<think>~Other_way.~</think>~~Part_B_<b>."


def spelled(text: str, size: int) -> str:
    return "\n".join(f"text+ 1 {text[at : at + size]}" for at in range(0, len(text), size))


def joined(lines: list[str]) -> list[tuple[str, str]]:
    """Return the blocks of a message: their kinds and words."""
    found: list[tuple[str, str]] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("text", "think") or '"content_block_start"' in line:
            found.append((word if word in ("text", "think") else "other", ""))
        elif word in ("text+", "think+"):
            kind, words = found[-1]
            found[-1] = (kind, words + rest.partition(" ")[2])
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 100])
def test_they_are_thinking(size: int) -> None:
    lines, counts = repaired(f"{BEGUN}{spelled(WHOLE, size)}{REST}")
    assert joined(lines) == [
        ("think", "One_way."),
        ("text", "~~Part_A._"),
        ("think", "~Other_way.~"),
        ("text", "~~Part_B_<b>."),
    ]
    assert counts["later_thoughts"]
    assert lines[-2:] == ["end end_turn", "over"]


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_closing_tag_that_was_left_goes(size: int) -> None:
    lines, _ = repaired(f"{BEGUN}{spelled('ps.~</think>~~Hi', size)}{REST}")
    assert joined(lines)[1:] == [("text", "ps.~~~Hi")]


@pytest.mark.parametrize(
    "text",
    ["the_tags_<think>_and_</think>", "write_`<think>~so~</think>`", "a_<think>~b", "a_<", "x_<b>_[1]"],
)
@pytest.mark.parametrize("size", [1, 4, 100])
def test_text_about_tags_stays(text: str, size: int) -> None:
    stream = wire(f"{BEGUN}text+ 1 So_\n{spelled(text, size)}{REST}")
    made, normalizer = run(stream)
    assert made == stream
    assert normalizer.tally.repairs == {}


def test_a_message_without_thinking_is_left_alone() -> None:
    stream = wire(f"start\ntext 1\n{spelled(WHOLE, 4)}{REST}".replace(" 1", " 0"))
    assert run(stream)[0] == stream


def test_text_that_waits_leaves_with_what_comes() -> None:
    passes(f"{BEGUN}text+ 1 a_<th\nstop 1\ncall 2 t list\ninput+ 2 {{}}\nstop 2\nend tool_use\nover")
    passes(f"{BEGUN}text+ 1 a_<th\nerror api_error No")
    lines, _ = repaired(f"{BEGUN}text+ 1 a_<th", end=BodyEnd.CUT)
    assert "text+ 1 a_<th" in lines
    text = f"{BEGUN}text+ 1 a_<th\nping\ntext+ 1 e_x{REST}"
    assert sorted(repaired(text)[0]) == sorted(short(text))


def test_too_many_deltas_leave_as_they_came() -> None:
    passes(f"{BEGUN}text+ 1 a_<think>~\n{spelled('x' * (MAX_HELD_EVENTS + 1), 1)}{REST}")


def test_more_stops_than_are_held_change_no_text() -> None:
    stops = "\n".join(["stop 1"] * (MAX_HELD_EVENTS + 2))
    made, _ = run(wire(f"{BEGUN}text+ 1 a_<think>~\n{stops}\ntext+ 1 b~</think>~c\ntext+ 1 d{REST}"))
    assert joined(lines_of(made))[1:] == [("text", "a_<think>~b~~cd")]


def test_without_the_start_of_blocks_nothing_is_moved() -> None:
    stream = wire(f"{BEGUN}{spelled(WHOLE, 100)}{REST}")
    assert run(stream, disabled=["block_kinds"])[0] == stream


def test_thinking_between_two_texts_releases_the_first() -> None:
    text = f"{BEGUN}text+ 1 a_<th\nthink+ 1 b\ntext+ 1 ink>~c"
    lines, _ = repaired(f"{text}{REST}")
    assert joined(lines)[1:] == [("text", "a_<th"), ("think", "b"), ("text", "ink>~c")]


def test_what_follows_thoughts_in_one_delta_may_begin_others() -> None:
    first, second = "a<think>~b~</think>c<thi", "nk>~d~</think>e"
    lines, _ = repaired(f"{BEGUN}text+ 1 {first}\ntext+ 1 {second}{REST}")
    assert joined(lines)[1:] == [
        ("text", "a"),
        ("think", "~b~"),
        ("text", "c"),
        ("think", "~d~"),
        ("text", "e"),
    ]


@pytest.mark.parametrize("size", [1, 2, 5, 13, 100])
@pytest.mark.parametrize("index", [0, 1])
def test_a_stop_that_comes_too_early_does_not_end_the_text(size: int, index: int) -> None:
    """Wherever it comes, of this block or another: the third station goes on with the block, too."""
    whole = spelled(WHOLE, size).split("\n")
    wanted = joined(repaired(f"{BEGUN}{spelled(WHOLE, size)}{REST}")[0])
    for at in range(1, len(whole)):
        lines, _ = repaired("\n".join([BEGUN + whole[0], *whole[1:at], f"stop {index}", *whole[at:]]) + REST)
        assert joined(lines) == wanted


def test_a_stop_that_a_heartbeat_released_ends_the_text() -> None:
    for beat in ("ping", ": ping"):
        lines, _ = repaired(f"{BEGUN}text+ 1 a_<th\nstop 1\n{beat}\ntext+ 1 ink>~b{REST}")
        assert joined(lines)[1:] == [("text", "a_<th"), ("text", "ink>~b")]
        assert lines.index("stop 1") < lines.index(beat)


def test_an_error_behind_a_stop_that_waits_leaves_the_block_open() -> None:
    lines, _ = repaired(f"{BEGUN}text+ 1 a_<th\nstop 1\nerror api_error No")
    assert lines[-2:] == ["text+ 1 a_<th", "error api_error No"]


def test_thinking_whose_start_was_lost_counts() -> None:
    begun = BEGUN.replace("think 0\n", "")
    lines, _ = repaired(f"{begun}{spelled(WHOLE, 5)}{REST}")
    assert joined(lines) == joined(repaired(f"{BEGUN}{spelled(WHOLE, 5)}{REST}")[0])
    lines, _ = repaired(f"{begun}{spelled('ps.~</think>~~Hi', 4)}{REST}")
    assert joined(lines)[1:] == [("text", "ps.~~~Hi")]


def test_a_signature_that_comes_late_does_not_end_the_text() -> None:
    whole = spelled(WHOLE, 5).split("\n")
    wanted = joined(repaired(f"{BEGUN}{spelled(WHOLE, 5)}{REST}")[0])
    for at in range(1, len(whole)):
        lines, _ = repaired("\n".join([BEGUN + whole[0], *whole[1:at], "sign 0 s", *whole[at:]]) + REST)
        assert joined(lines) == wanted


@pytest.mark.parametrize("request_", [None, REQUEST])
def test_a_closing_tag_goes_whatever_line_the_block_before_ended_in(request_: dict[str, Any] | None) -> None:
    """With tools, the start of the text waits for its words: the client still has the thoughts open."""
    lines, _ = repaired(f"{BEGUN}text+ 1 </think>~~Hi{REST}", request=request_)
    assert joined(lines)[1:] == [("text", "~~Hi")]
    begun = BEGUN.replace("stop 0\ntext 1\n", "")
    lines, _ = repaired(f"{begun}text+ 1 </think>~~Hi{REST}", request=request_)
    assert joined(lines)[1:] == [("text", "~~Hi")]
