"""What of a held text is a call."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_sse_proxy.families.responses.call_markers import MARKERS, PYTHON
from vllm_sse_proxy.families.responses.call_texts import is_named, is_repeated, kept_of, words_of

HERMES = MARKERS[0]
RAW = "<tool_call>{}</tool_call>"


def kept(emitted: str, held: str, *messages: str, place: int | None = None) -> tuple[str, str]:
    """Return the text that is kept of what is held, and what is not."""
    made = kept_of(emitted, held, held.index("<") if place is None else place, HERMES, messages)
    return held[: made.cut] + made.rest, held[made.end :]


@pytest.mark.parametrize(
    ("emitted", "held", "messages", "text"),
    [
        ("", RAW, [], ""),
        ("", RAW, [""], ""),
        ("", RAW, ["Else"], ""),
        ("", f"Hi {RAW}", [], "Hi "),
        ("", f"Hi {RAW}", ["Hi"], "Hi "),
        ("Hi", f" there{RAW}", ["Hi there"], " there"),
        ("Hi ", f"there\n\n{RAW}", ["Hi there"], "there\n\n"),
        ("Hi ", RAW, ["Hi there"], "there"),
        ("Hi", f"\n{RAW}", ["Hi\n\nthere"], "\n\nthere"),
        ("Hi\n\n\n", RAW, ["Hi\n\nthere"], "there"),
        ("Hi", f" you {RAW}", ["Hi there"], " you "),
        ("Hi", f" you {RAW}", ["High"], " you "),
        ("Hi", RAW, ["H"], ""),
        ("  Hi", f" {RAW}", ["Hi"], " "),
        ("Hi", RAW, ["  Hi there"], " there"),
        ("Hi ", f"{RAW}.{RAW}", [f"Hi {RAW}."], f"{RAW}."),
        ("Hi ", f"{RAW}.{RAW}", ["Hi", f"Hi {RAW}.", "Hi "], f"{RAW}."),
        ("Hi ", RAW, [f"Hi {RAW}"], RAW),
        ("Hi ", f"{RAW} Bye", ["Hi"], " Bye"),
        ("Hi ", f"{RAW} <b>Bye</b>", ["Hi"], ""),
        ("Hi ", f"{RAW} Bye", ["Hi  Bye"], " Bye"),
    ],
)
def test_what_is_kept(emitted: str, held: str, messages: list[str], text: str) -> None:
    made, markup = kept(emitted, held, *messages)
    assert made == text
    assert markup == "" or markup.startswith("<")


def test_without_an_end_nothing_behind_a_call_is_sure() -> None:
    held = "get_weather(days=[1])\nBye"
    made = kept_of("", held, 0, PYTHON, [])
    assert (made.cut, made.rest, made.end) == (0, "", 0)


def test_many_messages_are_compared_with_one_text_in_no_time() -> None:
    held = "Hi" + " " * 1_000_000 + RAW
    assert kept("", held, *["Hi", "Ho", " ", "Hi there"] * 5_000)[0] == "Hi there"


def test_long_texts_are_compared_once() -> None:
    words = "word " * 200_000
    assert kept(words, f"{words}{RAW}", words * 2, words + words.upper(), words[:-1], place=len(words)) == (
        words,
        RAW,
    )


@pytest.mark.parametrize(
    ("call", "markup", "is_there"),
    [
        ({"name": "f"}, "f(x=1)", True),
        ({"name": "f"}, "g(f1=1)", False),
        ({"name": "a-b"}, '{"name": "a-b"}', True),
        ({"name": "f", "namespace": "ns"}, "ns__f()", True),
        ({"name": "f", "namespace": "ns"}, "ns.f()", True),
        ({"name": "f", "namespace": 7}, "ns__f()", False),
        ({"name": ""}, "", False),
        ({"name": "-"}, "-", False),
        ({"name": None}, "None", False),
        ({}, "", False),
    ],
)
def test_names(call: dict[str, Any], markup: str, is_there: bool) -> None:  # noqa: FBT001 - a column
    assert is_named([call], words_of(markup)) is is_there
    assert is_named([{"name": "other"}, call], words_of(markup)) is is_there


@pytest.mark.parametrize(
    ("streamed", "markup", "is_there"),
    [
        ("{}", "f()", True),
        ("", "f()", True),
        ('{"a": "x\\ny"}', "f x\ny", True),
        ('{"a": "x\\ny"}', 'f {"a": "x\\ny"}', True),
        ('{"a": [1, 2.5, {"b": "é"}], "c": true, "d": null}', "f 1 2.5 é", True),
        ('{"a": 3}', "f 1", False),
        ('{"a": "x"', 'f {"a": "x"', False),
        ("[" + ",".join(["7"] * 100) + "]", "f 7", True),
    ],
)
def test_a_call_is_repeated_with_all_of_its_arguments(streamed: str, markup: str, is_there: bool) -> None:  # noqa: FBT001
    assert is_repeated({"type": "function_call", "name": "f"}, streamed, markup) is is_there


def test_a_custom_call_is_repeated_with_its_input() -> None:
    call = {"type": "custom_tool_call", "name": "f"}
    assert is_repeated(call, "a\nb", 'f {"input": "a\\nb"}')
    assert is_repeated(call, "a \ud800", "f a \ud800")
    assert not is_repeated(call, "a\nc", 'f {"input": "a\\nb"}')
