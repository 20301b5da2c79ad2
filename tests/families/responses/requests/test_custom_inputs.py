from __future__ import annotations

import json
import timeit
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_sse_proxy.families.responses.requests import InputDecoder, decode_input
from vllm_sse_proxy.families.responses.requests.custom_inputs import encode_input

PATCH = '*** Begin Patch\n*** Add File: a "b".txt\n+\thi \\ é 😀\n*** End Patch\n'
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def decoded(pieces: list[str]) -> list[str]:
    decoder = InputDecoder()
    return [*map(decoder.feed, pieces), decoder.finish()]


def cut(whole: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(whole) + 1) for place in places), len(whole)]
    return [whole[start:end] for start, end in pairwise(edges)]


@given(text, st.booleans(), st.lists(st.integers(min_value=0), max_size=30))
def test_every_chunking(said: str, is_ascii: bool, places: list[int]) -> None:  # noqa: FBT001 - drawn
    """The pieces joined are the input, however the arguments are spelled and cut."""
    arguments = json.dumps({"input": said}, ensure_ascii=is_ascii)
    assert "".join(decoded(cut(arguments, places))) == said == decode_input(arguments)


@given(st.text(max_size=40), st.lists(st.integers(min_value=0), max_size=30))
def test_any_text(arguments: str, places: list[int]) -> None:
    """Whatever it is: nothing raises, and the pieces joined are what is decoded at once."""
    assert "".join(decoded(cut(arguments, places))) == decode_input(arguments)


@given(st.text('{}"input: \\ud83de00n', max_size=60), st.lists(st.integers(min_value=0), max_size=30))
def test_text_that_is_nearly_right(arguments: str, places: list[int]) -> None:
    whole = decode_input(arguments)
    assert "".join(decoded(cut(arguments, places))) == whole
    whole.encode()


def test_character_by_character() -> None:
    arguments = json.dumps({"input": PATCH})
    pieces = decoded(list(arguments))
    assert "".join(pieces) == PATCH
    assert pieces[arguments.index("*")] == "*", "what is certain does not wait"


def test_encoding_is_the_inverse() -> None:
    assert decode_input(encode_input(PATCH)) == PATCH
    assert encode_input("a\n") == '{"input": "a\\n"}'
    assert encode_input("half \ud83d") == '{"input": "half ?"}'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (' {\n "input" : "a" } ', "a"),
        ('{"input": "a\nb"}', "a\nb"),  # a line end as it is: models write so
        ('{"input": "a", "more": 1}', "a"),
        ('{"more": 1, "input": "a"}', "a"),
        ('{"\\u0069nput": "a"}', "a"),
        ('{"input": "\\ud83d"}', "\ufffd"),
        ('{"input": "\\ud83d\\n"}', "\ufffd\n"),
        ('{"input": "\\ud83d\\ud83d\\ude00"}', "\ufffd😀"),
        ('{"input": "\\ude00"}', "\ufffd"),
        ('{"input": "\\uZZZZ"}', "uZZZZ"),
        ('{"input": "\\/\\"\\q"}', '/"q'),
        ('{"input": 1}', '{"input": 1}'),
        ('{"patch": "a"}', '{"patch": "a"}'),
        ('{"patch": "a', '{"patch": "a'),
        ("{}", "{}"),
        ("[1]", "[1]"),
        ("*** Begin Patch", "*** Begin Patch"),
        ("", ""),
        ('{"inp', ""),  # cut off: nothing was said yet
        ('{"input": "ab\\', "ab"),
        ('{"input": "ab\\u00', "ab"),
        ('{"input": "ab\\ud83d\\u', "ab"),
    ],
)
def test_other_arguments(arguments: str, said: str) -> None:
    assert decode_input(arguments) == said
    assert "".join(decoded(list(arguments))) == said


def test_nothing_comes_after_the_end() -> None:
    decoder = InputDecoder()
    assert decoder.feed('{"input": "a"} trailing') == "a"
    assert decoder.feed("more") == ""
    assert decoder.finish() == ""
    assert decoder.finish() == ""


@pytest.mark.parametrize("beginning", ["", '{"input": "', '{"a": "'])
def test_long_inputs_take_time_in_proportion(beginning: str) -> None:
    def decode() -> None:
        decoder = InputDecoder()
        decoder.feed(beginning)
        for _ in range(200_000):
            decoder.feed(" \\n" if beginning else " ")
        decoder.finish()

    assert timeit.timeit(decode, number=1) < 5
