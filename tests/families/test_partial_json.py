"""JSON in pieces."""

from __future__ import annotations

import json
from timeit import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_sse_proxy.families.judging import JsonState, json_state
from vllm_sse_proxy.families.partial_json import JsonScanner, is_less_again, scan

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NEARLY_JSON = st.text(alphabet='{}[]",:\\ \ntruefalsn0123.-+eEu\u00e9', max_size=30)


def in_pieces(text: str, cuts: list[int]) -> JsonScanner:
    scanner = JsonScanner()
    places = sorted({min(cut, len(text)) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(text)], strict=True):
        scanner.feed(text[start:end])
    return scanner


def state_of(scanner: JsonScanner) -> tuple[object, ...]:
    return (
        scanner.length,
        scanner.end,
        scanner.is_object,
        scanner.begins_with,
        scanner.is_empty,
        scanner.is_complete,
        scanner.is_broken,
        scanner.is_cut,
        scanner.closing,
    )


@pytest.mark.parametrize("ascii_only", [True, False])
@given(VALUES, st.lists(st.integers(0, 60), max_size=5), st.text())
def test_a_value_ends_where_it_ends(
    ascii_only: bool,  # noqa: FBT001 - a parameter
    value: object,
    cuts: list[int],
    more: str,
) -> None:
    text = " \n" + json.dumps(value, ensure_ascii=ascii_only)
    scanner = in_pieces(f"{text} {more}", cuts)
    assert scanner.is_complete
    assert scanner.end == len(text)
    assert scanner.is_object == isinstance(value, dict)
    assert not scanner.is_broken
    assert not scanner.is_cut


@given(NEARLY_JSON, st.lists(st.integers(0, 30), max_size=4))
def test_pieces_make_no_difference(text: str, cuts: list[int]) -> None:
    assert state_of(in_pieces(text, cuts)) == state_of(scan(text))


@settings(max_examples=1000)
@given(NEARLY_JSON)
def test_it_agrees_with_the_judge(text: str) -> None:
    """Which was written apart from it."""
    text = "{" + text if len(text) % 2 else "[" + text
    state, scanner = json_state(text), scan(text)
    if any(character in text for character in "\n") and state in (JsonState.BROKEN, JsonState.CUT):
        return  # the scanner takes control characters in strings
    assert scanner.is_empty == (state is JsonState.EMPTY)
    assert scanner.is_cut == (state is JsonState.CUT)
    if state is JsonState.EXCESS:
        assert scanner.is_complete
    if state is JsonState.OBJECT:
        assert scanner.is_complete
        assert text[scanner.end :].strip() == ""
    if state is JsonState.BROKEN:
        assert not scanner.is_complete


@given(VALUES.filter(lambda value: isinstance(value, (dict, list))), st.integers(0, 200))
def test_a_cut_value_is_cut_and_its_closing_completes_it(value: object, at: int) -> None:
    text = json.dumps(value)
    cut = text[: at % len(text)]
    scanner = scan(cut)
    assert scanner.is_cut == bool(cut)
    assert not scanner.is_complete
    if scanner.closing is not None:
        whole = cut + scanner.closing
        json.loads(whole)
        assert scan(whole).end == len(whole)


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ('{"a":1', "}"),
        ('{"a":1.', None),
        ('{"a":[{"b":true', "}]}"),
        ('{"a":tru', None),
        ('{"a":"x', None),
        ('{"a"', None),
        ('{"a":', None),
        ('{"a":1,', None),
        ("[", "]"),
        ("{", "}"),
        ("", None),
        ("{}", None),
        ("{'a': 1", None),
    ],
)
def test_the_closing_is_brackets_or_nothing(text: str, closing: str | None) -> None:
    assert scan(text).closing == closing


@pytest.mark.parametrize(
    "text",
    [
        "{'a'",
        "nul1",
        "truth",
        "{1",
        '{"a" 1',
        "[1 2",
        '"\\x',
        '"\\u12g',
        "}",
        "[}",
        "01 ",
        "[01]",
        "1.e",
        "nan",
        "tttttttt",
    ],
)
def test_what_is_no_json_is_broken(text: str) -> None:
    scanner = scan(f"{text} ")
    assert scanner.is_broken
    assert not scanner.is_cut
    assert scanner.end == -1


def test_control_characters_in_strings_are_taken() -> None:
    assert scan('{"a":"x\ny"}').is_complete


def test_a_number_alone_is_complete_once_something_follows() -> None:
    scanner = scan("12")
    assert not scanner.is_complete
    assert not scanner.is_cut
    scanner.feed("3 ")
    assert (scanner.is_complete, scanner.end) == (True, len("123"))


@pytest.mark.parametrize("text", ["[" * 20_000, '{"a":"' + "x" * 500_000, "1" * 100_000, '{"a":' * 10_000])
def test_time_is_linear_in_pieces_of_any_size(text: str) -> None:
    def one_by_one() -> None:
        scanner = JsonScanner()
        for at in range(0, len(text), 10):
            scanner.feed(text[at : at + 10])

    assert timeit(one_by_one, number=1) < 5


def test_what_can_come_next_is_known() -> None:
    assert scan("").expects_value
    assert scan('{"a":[').expects_value
    assert not scan('{"a"').expects_value
    for text in ('{"a', '{"a":"\\', '{"a":"\\u00'):
        assert scan(text).is_in_string
        assert scan(text).is_open
    assert not scan('{"a"').is_in_string
    assert not scan("{}").is_open
    assert not scan("").is_open


@given(NEARLY_JSON, NEARLY_JSON)
def test_a_copy_goes_on_alone(text: str, more: str) -> None:
    scanner = scan(text)
    before = state_of(scanner)
    end = scanner.end_in(more)
    assert state_of(scanner) == before
    whole = scan(text + more)
    assert end == (whole.end - len(text) if scanner.end < 0 <= whole.end else -1)
    other = scanner.copy()
    other.feed(more)
    assert state_of(other) == state_of(whole)


def test_a_whole_that_is_less_than_what_was_sent() -> None:
    assert is_less_again('{"a": 1}', '{"a": 1, "b')
    assert not is_less_again('{"a": 1}', '{"a": 2, "b')
    assert not is_less_again('{"a": 1}', '{"a": ')
    assert not is_less_again("{}", '{"a": 1, "b')
