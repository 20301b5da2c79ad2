"""C17: calls whose id came before."""

from __future__ import annotations

import pytest

from tests.support.messages import repaired, run, short, wire

FIRST = """
    start
    call 0 x look
    input+ 0 {"a": 1}
    stop 0
"""
END = "\nend tool_use\nover"


@pytest.mark.parametrize(
    "again",
    [
        'call 0 x look\ninput+ 0 {"a":\ninput+ 0  1}\nstop 0',
        'call 1 x look\ninput+ 1 {"a": 1}\nping\nstop 1',
        'call 1 x look\ninput+ 1 {"a": 1}',
    ],
)
def test_a_call_that_comes_again_is_left_out(again: str) -> None:
    lines, counts = repaired(FIRST + again + END)
    assert [line for line in lines if line != "ping"] == short(FIRST + END)
    assert counts == {"repeated_calls": 1}
    assert repaired(FIRST + again + END, disabled=["repeated_calls"])[1].get("repeated_calls") is None


def test_so_is_one_before_another_block() -> None:
    lines, counts = repaired(FIRST + 'call 0 x look\ninput+ 0 {"a": 1}\ntext 1\ntext+ 1 Hi\nstop 1' + END)
    assert lines == short(FIRST + "text 1\ntext+ 1 Hi\nstop 1" + END)
    assert counts == {"repeated_calls": 1}


@pytest.mark.parametrize("again", ['call 1 x look\ninput+ 1 {"a": 2}\nstop 1', "call 1 x list\nstop 1"])
def test_another_call_gets_an_id_of_its_own(again: str) -> None:
    lines, counts = repaired(FIRST + again + END)
    assert lines[4].startswith("call 1 toolu_")
    assert lines[5:] == short(again + END)[1:]
    assert counts == {"repeated_calls": 1}


def test_a_call_that_starts_again_while_it_is_open_goes_on() -> None:
    lines, counts = repaired('start\ncall 0 x look\ncall 0 x look\ninput+ 0 {"a": 1}\nstop 0' + END)
    assert lines == short(FIRST + END)
    assert counts == {"repeated_calls": 1}


def test_an_error_releases_what_is_held() -> None:
    made, normalizer = run(wire(FIRST + 'call 1 x look\ninput+ 1 {"a":\nerror api_error Words.'))
    assert made.endswith(wire("error api_error Words."))
    assert normalizer.tally.repairs == {"repeated_calls": 1}


def test_nor_does_a_late_stop_of_a_block_before_it_end_it() -> None:
    lines, counts = repaired(
        'start\ntext 0\ntext+ 0 So\ncall 1 x look\ninput+ 1 {"a": 1\nstop 0\ncall 1 x look\ninput+ 1 {"a": 1}\nstop 1'
        + END
    )
    assert lines == [
        *short("start\ntext 0\ntext+ 0 So\nstop 0\ncall 1 x look"),
        'input+ 1 {"a": 1',
        "input+ 1 }",
        *short("stop 1" + END),
    ]
    assert counts["repeated_calls"] == counts["call_inputs"] == 1


def test_a_call_that_begins_again_behind_other_blocks_goes_on() -> None:
    """Its input was not whole, and what comes under its id begins with it: there is one call, with all of its input."""
    begun = 'think 0\nthink+ 0 Hm\nsign 0 s\nstop 0\ncall 1 x look\ninput+ 1 {"a'
    lines, _ = repaired(f'start\n{begun}\n{begun}\ninput+ 1 ": 1}}\nstop 1\nend tool_use\nover')
    assert [line for line in lines if line.startswith(("call", "input+"))] == [
        "call 1 x look",
        'input+ 1 {"a',
        'input+ 1 ": 1}',
    ]
    assert lines[-1] == "over"


@pytest.mark.parametrize(
    ("pieces", "again"),
    [
        (['{"a": 1}'], 'call 2 x look\ninput+ 2 {"a": 2}'),
        (['{"a":', "1}"], "call 2 x list\ninput+ 2 {}"),
        (['{"a":', "1}"], 'call 2 x look\ninput+ 2 {"b": 2}'),
    ],
    ids=["behind one that is whole", "another tool", "another input"],
)
def test_another_call_with_the_id_of_one_that_upstream_has_not_stopped_is_no_more_of_it(
    pieces: list[str], again: str
) -> None:
    first, *rest = [f"input+ 0 {piece}" for piece in pieces]
    begun = f"start\ncall 0 x look\n{first}\ntext 1\ntext+ 1 Hi\nstop 1\n{again}\nstop 2"
    lines, counts = repaired("\n".join([begun, *rest, "end tool_use", "over"]))
    calls = [line for line in lines if line.startswith(("call", "input+"))]
    head, piece = short(again)
    assert calls[:-2] == ["call 0 x look", first, *rest]
    assert calls[-2].startswith("call 2 toolu_")
    assert calls[-2].endswith(head.removeprefix("call 2 x"))
    assert calls[-1] == piece
    assert lines[-1] == "over"
    assert counts["repeated_calls"] == 1
