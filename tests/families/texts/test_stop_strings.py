"""Stop strings in texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_sse_proxy.families.texts.stop_strings import (
    LONGEST,
    begun_at,
    holds_stop,
    signs_of,
    stop_strings_of,
)


def test_a_request_names_them_in_two_ways() -> None:
    assert stop_strings_of("END") == ("END",)
    assert stop_strings_of(["a", "", 5, None, "b", "x" * (LONGEST + 1)]) == ("a", "b")
    assert len(stop_strings_of(["a"] * 100)) < 100
    assert [stop_strings_of(other) for other in (None, 5, "")] == [(), (), ()]


def test_signs_are_first_characters() -> None:
    assert signs_of(("END", "Else", "zz")) == "Ez"


@pytest.mark.parametrize(
    ("text", "at"), [("b", 1), ("a EN", 2), ("a EEN", 3), ("END", 3), ("aaba", 1), ("", 0), ("E E", 2)]
)
def test_where_one_may_begin(text: str, at: int) -> None:
    assert begun_at(text, ("END", "abab")) == at


@given(st.text("ab", max_size=8), st.lists(st.text("ab", min_size=1, max_size=5), max_size=3))
def test_it_is_the_first_place_where_one_may_begin(text: str, stops: list[str]) -> None:
    places = [
        at for at in range(len(text)) for stop in stops if stop != text[at:] and stop.startswith(text[at:])
    ]
    assert begun_at(text, tuple(stops)) == min(places, default=len(text))
    assert holds_stop(text, tuple(stops)) == any(stop in text for stop in stops)
