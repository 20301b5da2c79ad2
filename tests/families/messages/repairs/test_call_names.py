"""C21, C49: names of tools with something behind them, and halves of names."""

from __future__ import annotations

import pytest

from tests.support.messages import REQUEST, passes, repaired, run, short, wire


def call(name: str, input_: str = '{"a":1}', end: str = "tool_use") -> str:
    pieces = f"input+ 0 {input_}\n" if input_ else ""
    return f"start\ncall 0 t {name}\n{pieces}stop 0\nend {end}\nover"


@pytest.mark.parametrize("behind", ["<|channel|>commentary", "<|constrain|>json"])
def test_what_follows_a_name_goes(behind: str) -> None:
    lines, counts = repaired(call(f"look{behind}"), request=REQUEST)
    assert lines == short(call("look"))
    assert counts == {"call_names": 1}


@pytest.mark.parametrize("pieces", ["", "input+ 0 \n", "ping\n"])
def test_half_a_name_is_no_call(pieces: str) -> None:
    text = f"start\ntext 0\ntext+ 0 Hi\nstop 0\ncall 1 t functions\n{pieces.replace('0', '1')}stop 1\nend max_tokens\nover"
    lines, counts = repaired(text, request=REQUEST)
    kept = "ping\n" if "ping" in pieces else ""
    assert sorted(lines) == sorted(short(f"start\ntext 0\ntext+ 0 Hi\nstop 0\n{kept}end max_tokens\nover"))
    assert counts == {"call_names": 1}


@pytest.mark.parametrize(
    "text",
    [
        call("other"),
        call("other", "", "tool_use"),
        call("other", '{"a', "max_tokens"),
        call("list", "", "max_tokens"),
        call("functions", "", "tool_use"),
        "start\ncall 0 t other\nstop 0\ncall 1 u list\ninput+ 1 {}\nstop 1\nend tool_use\nover",
        "start\ntext 0\ntext+ 0 Hi\nstop 0\nend max_tokens\nover",
        '{"type":"content_block_start","index":0,"content_block":5}',
    ],
)
def test_other_calls_stay(text: str) -> None:
    made, normalizer = run(wire(text), request=REQUEST)
    assert "call_names" not in normalizer.tally.repairs
    if "5" not in text:
        assert made == wire(text)


def test_without_tools_any_name_is_one() -> None:
    passes(call("functions", "", "max_tokens"))


def test_what_is_no_block_has_no_name() -> None:
    stream = wire(
        'start\n{"type":"content_block_start","index":0,"content_block":5}\nstop 0\nend end_turn\nover'
    )
    made, normalizer = run(stream, request=REQUEST, disabled=["block_shapes"])
    assert made == stream
    assert normalizer.tally.repairs == {}
