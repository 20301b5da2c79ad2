"""C41: stop sequences in the texts that they ended."""

from __future__ import annotations

import pytest

from tests.support.messages import passes, repaired, run, short, wire
from vllm_sse_proxy import BodyEnd

ASKED = {"model": "m", "stop_sequences": ["END", "zz"]}
NO_SEQUENCE = '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}'


def spelled(*pieces: str, end: str = "end stop_sequence END", kind: str = "text") -> str:
    deltas = "\n".join(f"{kind}+ 0 {piece}" for piece in pieces)
    sign = "sign 0 s\n" if kind == "think" else ""
    return f"start\n{kind} 0\n{deltas}\n{sign}stop 0\n{end}\nover"


@pytest.mark.parametrize("kind", ["text", "think"])
@pytest.mark.parametrize("pieces", [["So_END"], ["So_", "END"], ["So_E", "N", "D"], ["So_", "END_and_more"]])
def test_a_text_ends_before_the_sequence(kind: str, pieces: list[str]) -> None:
    lines, counts = repaired(spelled(*pieces, kind=kind), request=ASKED)
    assert lines == short(spelled("So_", kind=kind))
    assert counts == {"stop_strings": 1}
    assert repaired(spelled(*pieces, kind=kind), request=ASKED, disabled=["stop_strings"])[1] == {}


def test_a_text_that_is_nothing_else_is_empty() -> None:
    lines, _ = repaired(spelled("EN", "D"), request=ASKED)
    assert lines == short("start\ntext 0\nstop 0\nend stop_sequence END\nover")


def test_a_release_that_does_not_name_it_is_set_right() -> None:
    lines, counts = repaired(spelled("So_", "EN", "D", end=NO_SEQUENCE), request=ASKED)
    assert lines[2] == "text+ 0 So_"
    assert '"stop_reason":"stop_sequence","stop_sequence":"END"' in lines[-2]
    assert counts == {"stop_strings": 1}
    lines, counts = repaired(spelled("So_END.", end=NO_SEQUENCE), request=ASKED)
    assert lines[2] == "text+ 0 So_END."
    assert counts == {"stop_reasons": 1}


@pytest.mark.parametrize(
    "text",
    [
        spelled("So_END", "_goes_on", end="end end_turn"),
        spelled("So_END", end="end end_turn"),
        spelled("So_END", end="end max_tokens"),
        spelled("So_", end="end stop_sequence END"),
        spelled("So_END", end="end stop_sequence zz"),
        spelled("So_E", "z", "zoo", end="end end_turn"),
        "start\nthink 0\nthink+ 0 E\nsign 0 s\nstop 0\ntext 1\ntext+ 1 ND\nstop 1\nend end_turn\nover",
        "start\ntext 0\ntext+ 0 E\nping\ntext+ 0 N\n: c\ntext+ 0 d\nstop 0\nend end_turn\nover",
        "start\ntext 0\ntext+ 0 E\nstop 0\ncall 1 t list\ninput+ 1 {}\nstop 1\nend tool_use\nover",
    ],
)
def test_other_texts_stay(text: str) -> None:
    order = [line for line in short(text) if not line.startswith((":", "ping"))]
    made, normalizer = run(wire(text), request=ASKED)
    assert [line for line in made.decode().split("\n") if '"type"' in line and "ping" not in line] == [
        line for line in wire("\n".join(order)).decode().split("\n") if '"type"' in line
    ]
    assert normalizer.tally.repairs == {}


def test_what_is_held_leaves_before_an_error() -> None:
    passes("start\ntext 0\ntext+ 0 So_EN\nerror api_error No", request=ASKED)
    lines, counts = repaired("start\ntext 0\ntext+ 0 So_EN", request=ASKED, end=BodyEnd.CUT)
    assert lines[2] == "text+ 0 So_EN"
    assert counts == {"message_closings": 1}
    passes(spelled("So_END", end="end end_turn"))


def test_another_text_begins_anew() -> None:
    text = "start\nthink 0\nthink+ 0 E\ntext 1\ntext+ 1 N\nstop 1\nend end_turn\nover"
    lines, _ = repaired(text, request=ASKED)
    assert "think+ 0 E" in lines
    text = "start\ntext 0\ntext+ 0 E\nthink+ 0 END\nstop 0\nend stop_sequence END\nover"
    lines, _ = repaired(text, request=ASKED)
    assert "text+ 0 E" in lines
    assert not [line for line in lines if line.startswith("think+")]
