"""C20: calls in the text."""

from __future__ import annotations

import json

import pytest

from tests.support.messages import REQUEST, passes, repaired, run, short, wire
from vllm_sse_proxy import BodyEnd
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

CALL = '<TOOLCALL>{"name":"look","arguments":{"a":1}}</TOOLCALL>'


def spelled(text: str, size: int) -> str:
    return "\n".join(f"text+ 0 {text[at : at + size]}" for at in range(0, len(text), size))


def message(text: str, size: int = 100, end: str = "end_turn") -> str:
    return f"start\ntext 0\n{spelled(text, size)}\nstop 0\nend {end}\nover"


def calls_in(lines: list[str]) -> list[tuple[str, str]]:
    """Return the names and inputs of the calls of a message."""
    found: list[tuple[str, str]] = []
    for line in lines:
        words = line.split(" ", 3)
        if words[0] == "call":
            found.append((words[3], ""))
        elif words[0] == "input+":
            name, said = found[-1]
            found[-1] = (name, said + line.split(" ", 2)[2])
    return found


@pytest.mark.parametrize("size", [1, 3, 8, 100])
@pytest.mark.parametrize("end", ["end_turn", "tool_use"])
def test_a_whole_call_is_a_call(size: int, end: str) -> None:
    lines, counts = repaired(message(CALL, size, end), request=REQUEST)
    assert [(name, json.loads(said)) for name, said in calls_in(lines)] == [("look", {"a": 1})]
    assert [line.split()[0] for line in lines] == ["start", "call", "input+", "stop", "end", "over"]
    assert lines[-2] == "end tool_use"
    assert counts == {"call_texts": 1}


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_words_before_it_stay(size: int) -> None:
    lines, _ = repaired(message(f"Let_me_look._{CALL}~{CALL}", size), request=REQUEST)
    assert [line.split()[0] for line in lines if not line.startswith("text+")] == [
        "start", "text", "stop", "call", "input+", "stop", "call", "input+", "stop", "end", "over",
    ]  # fmt: skip
    words = "".join(line.split(" ", 2)[2] for line in lines if line.startswith("text+"))
    assert words == "Let_me_look._"
    assert len({line.split(" ")[2] for line in lines if line.startswith("call")}) == 2


def test_the_id_is_that_of_the_model() -> None:
    text = (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.look:3<|tool_call_argument_begin|>"
        '{"a":1}<|tool_call_end|><|tool_calls_section_end|>'
    ).replace("_", "\x00")
    stream = wire(message(text)).replace(b"\\u0000", b"_")
    made, _ = run(stream, request=REQUEST)
    assert b'"id":"functions.look:3"' in made


@pytest.mark.parametrize(
    "text",
    [
        message(CALL, 5, "max_tokens"),
        message(CALL + "_and_more", 5),
        message(CALL[:-20], 5),
        message(CALL.replace("look", "other"), 5),
        message("<b>_[1]_{}", 3),
        message("a_<TOOL", 3),
        message('{"name":"look","arguments":5}', 4),
        f"start\ntext 0\n{spelled(CALL, 9)}\nstop 0\ncall 1 t list\ninput+ 1 {{}}\nstop 1\nend tool_use\nover",
        "start\ntext 0\nstop 0\nend end_turn\nover",
        f"start\ntext 0\ntext+ 0 Hi\nstop 0\ntext 1\ntext+ 1 {CALL}_x\nstop 1\nend end_turn\nover",
        f"start\ntext 0\n{spelled(CALL, 9)}\nerror api_error No",
        f"start\nthink 0\nthink+ 0 {CALL}\nsign 0 s\nstop 0\ntext 1\ntext+ 1 Hi\nstop 1\nend end_turn\nover",
    ],
)
def test_other_texts_stay(text: str) -> None:
    stream = wire(text)
    made, normalizer = run(stream, request=REQUEST)
    assert made == stream
    assert normalizer.tally.repairs == {}


def test_where_no_call_is_wanted_nothing_waits() -> None:
    passes(message(CALL, 5))
    stream = wire(message(CALL, 5))
    assert run(stream, request={**REQUEST, "tool_choice": {"type": "none"}})[0] == stream
    assert run(stream, request={"model": "m"})[0] == stream


def test_heartbeats_pass_what_waits() -> None:
    text = f"start\ntext 0\nping\ntext+ 0 {CALL[:20]}\nping\ntext+ 0 {CALL[20:]}\nstop 0\nend end_turn\nover"
    lines, _ = repaired(text, request=REQUEST)
    assert calls_in(lines)
    assert lines.count("ping") == 2


def test_a_cut_stream_keeps_its_text() -> None:
    lines, _ = repaired(f"start\ntext 0\ntext+ 0 {CALL}", request=REQUEST, end=BodyEnd.CUT)
    assert lines[:3] == short(f"start\ntext 0\ntext+ 0 {CALL}")


def test_too_many_deltas_leave_as_they_came() -> None:
    stream = wire(message(CALL[:-1] + "_" * (MAX_HELD_EVENTS + 5), 1))
    assert run(stream, request=REQUEST)[0] == stream


def test_text_in_a_block_that_never_began() -> None:
    lines, _ = repaired(f"start\ntext+ 0 {CALL}\nstop 0\nend end_turn\nover", request=REQUEST)
    assert calls_in(lines)


def test_a_signature_that_comes_late_passes_what_waits() -> None:
    text = message(CALL, 9).split("\n")
    for at in range(3, len(text) - 2):
        lines, _ = repaired("\n".join([*text[:at], "sign 0 s", *text[at:]]), request=REQUEST)
        assert calls_in(lines) == [("look", '{"a": 1}')]


def test_calls_behind_those_of_the_parser_are_calls_unless_it_sent_them() -> None:
    text = f"stop 0\ntext 1\n{spelled(CALL, 9)}\nstop 1\nend tool_use\nover".replace("text+ 0", "text+ 1")
    lines, counts = repaired(f"start\ncall 0 t list\ninput+ 0 {{}}\n{text}", request=REQUEST)
    assert [line.split()[0] for line in lines] == [
        "start",
        "call",
        "input+",
        "stop",
        "call",
        "input+",
        "stop",
        "end",
        "over",
    ]
    assert lines[-2] == "end tool_use"
    assert counts == {"call_texts": 1}
    lines, _ = repaired(f'start\ncall 0 t look\ninput+ 0 {{"a": 1}}\n{text}', request=REQUEST)
    assert [line.split()[0] for line in lines] == ["start", "call", "input+", "stop", "end", "over"]
    bare = text.replace("<TOOLCALL\ntext+ 1 >", "").replace("</TOOLCAL\ntext+ 1 L>", "")
    assert any(
        line.startswith("text+") for line in repaired(f"start\ncall 0 t list\n{bare}", request=REQUEST)[0]
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The_answer.~</TOOLCALL>", "The_answer.~"),
        ("</TOOLCALL>~", ""),
        ("It._</function>~</TOOLCALL>~", "It._"),
        ("<b>It</b></TOOLCALL>", None),
        ("It_</TOOLCA", None),
        ("It</answer>_is.", None),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 8, 100])
@pytest.mark.parametrize("end", ["end_turn", "max_tokens"])
def test_a_closing_marker_alone_goes_at_the_end(text: str, kept: str | None, size: int, end: str) -> None:
    """C20: its beginning was taken by the parser, or never came."""
    lines, counts = repaired(message(text, size, end), request=REQUEST)
    said = "".join(line.split(" ", 2)[2] for line in lines if line.startswith("text+"))
    assert said == (text if kept is None else kept)
    assert lines[-2] == f"end {end}"
    assert counts == ({} if kept is None else {"call_texts": 1})


def test_one_in_a_later_block_stays_where_something_was_opened_before() -> None:
    text = "start\ntext 0\ntext+ 0 a<b\nstop 0\ntext 1\ntext+ 1 It</answer>\nstop 1\nend end_turn\nover"
    passes(text, request=REQUEST)
