"""C40: headers of gpt-oss that leak into the text."""

from __future__ import annotations

import pytest

from tests.support.messages import passes, repaired, run, short, wire

HEADERS = [
    "<|channel|>",
    "<|start|>assistant",
    "<|start|>assistant<|channel|>",
    "<|start|>assistant<|channel|>commentary_to=functions.lookup",
    "<|start|>assistant<|channel|>commentary_to=functions.lookup_order_<|constrain|>json",
    "<|start|>assistant_to=functions.look<|channel|>commentary<|message|>",
    "<|channel|>analysis",
    "<|channel|>final<|message|>",
]


def text(words: str, end: str) -> str:
    return f"start\nthink 0\nthink+ 0 Hm\nsign 0 s\nstop 0\ntext 1\ntext+ 1 {words}\nstop 1\nend {end}\nover"


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_the_limit_cut_is_dropped(header: str) -> None:
    header = header.replace("lookup_order", "lookup.order")
    lines, counts = repaired(text(header, "max_tokens"))
    assert lines == [line for line in short(text(header, "max_tokens")) if not line.startswith("text+")]
    assert counts == {"leaked_headers": 1}
    assert repaired(text(header, "max_tokens"), disabled=["leaked_headers"])[1] == {}


@pytest.mark.parametrize("token", ["<|return|>", "<|end|>", "<|call|>"])
@pytest.mark.parametrize("end", ["end_turn", "max_tokens"])
def test_an_end_token_alone_is_dropped(token: str, end: str) -> None:
    lines, counts = repaired(text(token, end))
    assert "text+ 1" not in " ".join(lines)
    assert counts == {"leaked_headers": 1}


@pytest.mark.parametrize(
    ("words", "end"),
    [
        ("<|start|>assistant<|channel|>final", "end_turn"),  # somebody asked for it
        ("<|start|>assistant_says_hello", "max_tokens"),
        ("<|start|>", "stop_sequence END"),
        ("Write_<|start|>assistant", "max_tokens"),
        ("<p>", "max_tokens"),
        ("<|return|>_is_a_token", "end_turn"),
        ("<|start|>" + "x" * 300, "max_tokens"),
    ],
)
def test_other_texts_pass(words: str, end: str) -> None:
    made, normalizer = run(wire(text(words, end)))
    assert made == wire(text(words, end))
    assert normalizer.tally.repairs == {}


@pytest.mark.parametrize(
    "middle",
    [
        "text+ 1 <|start|>\ntext+ 1 assistant",
        "text+ 1 So:\ntext+ 1 <|start|>",
        "text+ 1 <|start|>\n: ping",
        "text+ 1 <|start|>\nstop 1\ntext 2\ntext+ 2 Hi",
    ],
)
def test_a_header_that_is_not_the_whole_text_passes(middle: str) -> None:
    last = middle.count("text ") + 1
    stream = wire(
        f"start\nthink 0\nthink+ 0 Hm\nsign 0 s\nstop 0\ntext 1\n{middle}\nstop {last}\nend max_tokens\nover"
    )
    made, normalizer = run(stream)
    assert made == stream
    assert normalizer.tally.repairs == {}


def test_a_second_start_does_not_release_it() -> None:
    lines, counts = repaired("start\ntext 0\ntext+ 0 <|start|>\nstart\nstop 0\nend max_tokens\nover")
    assert lines == short("start\ntext 0\nstop 0\nend max_tokens\nover")
    assert counts == {"leaked_headers": 1, "message_openings": 1}


def test_an_end_in_the_middle_releases_it() -> None:
    passes("start\ntext 0\ntext+ 0 <|start|>\nerror api_error Words.")


@pytest.mark.parametrize("nothing", ["sign 0 s", "think+ 0 "])
@pytest.mark.parametrize("place", ["stop 1", "end max"])
def test_what_no_client_gets_does_not_release_it(nothing: str, place: str) -> None:
    """A signature that comes late, thinking without words: the third station drops either."""
    spelled = text("<|channel|>analysis", "max_tokens").replace(place, f"{nothing}\n{place}")
    lines, counts = repaired(spelled)
    assert "text+ 1" not in " ".join(lines)
    assert counts["leaked_headers"] == 1
