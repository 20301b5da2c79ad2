"""Arguments that come again behind a part of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vllm_sse_proxy.families.partial_json import scan
from vllm_sse_proxy.families.texts.repeated_json import new_in_again, spelled
from vllm_sse_proxy.stream.view import TextView

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def new(sent: str, piece: str) -> str | None:
    """Return what a piece adds to arguments of a tool that nobody knows."""
    text = TextView()
    text.grow(sent)
    return new_in_again(text, scan(sent), piece, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (' { "a" : [ 1 , "b c" ] } ', '{"a":[1,"b c"]}'),
        ('"\\u00e9\\u00E9\\/"', '"éé/"'),
        ('"\\u000a\\u0022\\u005c\\u0001\\u001F"', '"\\n\\"\\\\\\u0001\\u001f"'),
        ('"\\ud83d\\ude00\\ud83d"', '"😀\\ud83d"'),
        ('"\\\\u00e9', '"\\\\u00e9'),
        ('"a \\u00', '"a \\u00'),
        ('"a \\', '"a \\'),
    ],
)
def test_json_has_one_spelling(text: str, expected: str) -> None:
    assert spelled(text) == expected


@given(VALUES, st.booleans(), st.booleans())
def test_all_spellings_of_a_value_become_one(value: object, one: bool, other: bool) -> None:  # noqa: FBT001 - hypothesis gives them
    first = json.dumps(value, ensure_ascii=one, separators=None if other else (",", ":"))
    assert spelled(first) == spelled(json.dumps(value, ensure_ascii=not one))
    assert json.loads(spelled(first)) == value


@given(st.dictionaries(st.text(), VALUES, min_size=1), st.data())
def test_what_is_new_of_a_whole_makes_it_whole(value: dict[str, object], data: st.DataObject) -> None:
    """Wherever it was cut, and however the second is spelled."""
    text = json.dumps(value, ensure_ascii=False)
    sent = text[: data.draw(st.integers(1, len(text) - 1))]
    again = json.dumps(value, ensure_ascii=data.draw(st.booleans()), separators=(",", ":"))
    scanner = scan(sent)
    assume(not scanner.expects_value and not sent.endswith("\\"))
    rest = new(sent, again)
    assert rest is not None
    assert json.loads(sent + rest) == value


@pytest.mark.parametrize(
    "sent", ['{"a": "' + "x" * 500, '{"a": "' + "x" * 500 + '", "b": ', '{"a": "' + "x" * 500 + '"']
)
def test_a_piece_that_is_too_short_says_nothing_again(sent: str) -> None:
    assert new(sent, '{"a": 1}') == (None if not sent.endswith('"') else "")
    assert new(sent, '{"a') is None
