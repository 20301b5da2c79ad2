"""Thoughts within a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_sse_proxy.families.texts.thought_spans import Kind, ThoughtSpans, spread

PARTS = [
    "<think>",
    "</think>",
    "[THINK]",
    "[/THINK]",
    "\n",
    " ",
    "`",
    "x",
    "<",
    "</th",
    "ink>",
    "[",
    "a\n",
    "```\n",
]


def sorted_text(pieces: list[str], *, takes_closing: bool = False) -> tuple[str, str]:
    """Return the text and the thoughts of what is fed, and then ended."""
    spans = ThoughtSpans(takes_closing=takes_closing)
    found = dict.fromkeys(Kind, "")
    waiting = line = ""
    for piece in pieces:
        known = spans.feed(piece, is_line_blank=not line.strip())
        line = (line + piece).rpartition("\n")[2]
        waiting += piece
        at = 0
        for kind, end in known:
            found[kind] += waiting[at:end]
            at = end
        waiting = waiting[at:]
        assert spans.left == waiting
        assert spans.is_waiting == bool(waiting)
    spans.give_up()
    assert not spans.is_waiting
    return found[Kind.TEXT] + waiting, found[Kind.THOUGHT]


@given(st.lists(st.sampled_from(PARTS), max_size=20), st.booleans(), st.integers(1, 9))
def test_it_does_not_matter_how_a_text_is_cut(parts: list[str], takes_closing: bool, size: int) -> None:  # noqa: FBT001
    text = "".join(parts)
    whole = sorted_text([text], takes_closing=takes_closing)
    assert sorted_text(list(text), takes_closing=takes_closing) == whole
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    assert sorted_text(cut, takes_closing=takes_closing) == whole


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ps.\n</think>\n\nHi", "ps.\n\n\nHi"),
        ("</think>Hi</think>", "Hi</think>"),
        ("</think>\n</think>Hi\n</think></think>", "\nHi\n"),
        ("x</think>\n</think>", "x</think>\n</think>"),
        ("so </think>", "so </think>"),
        ("so <think> so\n</think>", "so <think> so\n</think>"),
        ("`\n</think>`", "`\n</think>`"),
    ],
)
def test_closing_tags_on_lines_of_their_own_go(text: str, kept: str) -> None:
    assert sorted_text([text], takes_closing=True) == (kept, "")
    assert sorted_text([text]) == (text, "")


def test_spans_are_spread_over_pieces() -> None:
    spans = [(Kind.TEXT, 2), (Kind.TAG, 9), (Kind.THOUGHT, 11)]
    assert spread(spans, [1, 3, 6, 3]) == [
        [(Kind.TEXT, 0, 1)],
        [(Kind.TEXT, 0, 1), (Kind.TAG, 1, 3)],
        [(Kind.TAG, 0, 5), (Kind.THOUGHT, 5, 6)],
        [(Kind.THOUGHT, 0, 1)],
    ]
    assert spread([], [2]) == [[]]
