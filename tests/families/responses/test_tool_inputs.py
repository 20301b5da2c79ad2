r"""The input of a custom tool comes out the same wherever its arguments are cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_sse_proxy.families.responses.tool_inputs import InputReader, input_of

PATCH = (
    '*** Begin Patch\n*** Add File: a.txt\n+hello "you" \\ \u00e9 \N{GRINNING FACE}\t\b\f\r/\n*** End Patch'
)


def read(*pieces: str) -> tuple[str, InputReader]:
    reader = InputReader()
    return "".join(map(reader.read, pieces)), reader


@pytest.mark.parametrize(
    "arguments",
    [
        json.dumps({"input": PATCH}),
        json.dumps({"input": PATCH}, ensure_ascii=False),
        json.dumps({"input": PATCH}, indent=2),
        ' \n{ "input"\t:\r\n"' + json.dumps(PATCH)[1:] + " } \n",
        json.dumps({"input": PATCH, "other": "x"}),
        '{"input": "' + PATCH.replace("\\", "\\\\").replace('"', '\\"') + '"}',
    ],
    ids=["ASCII", "UTF-8", "indented", "spaced", "with another member", "with line ends that are none"],
)
def test_the_input_is_read_wherever_it_is_cut(arguments: str) -> None:
    assert input_of(arguments) == PATCH
    assert read(*arguments)[0] == PATCH
    for place in range(len(arguments)):
        made, reader = read(arguments[:place], arguments[place:])
        assert made == PATCH
        assert reader.is_input


@pytest.mark.parametrize("size", range(1, 8))
def test_nothing_is_emitted_that_could_be_taken_back(size: int) -> None:
    arguments = json.dumps({"input": PATCH})
    reader, made = InputReader(), ""
    for at in range(0, len(arguments), size):
        made += reader.read(arguments[at : at + size])
        assert PATCH.startswith(made)
    assert made == PATCH


def test_an_empty_input_is_one() -> None:
    made, reader = read('{"input":""}')
    assert (made, reader.is_input, input_of('{"input":""}')) == ("", True, "")


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "{}",
        "[]",
        "null",
        '"x"',
        "*** Begin Patch\n*** End Patch",
        '{"patch": "x"}',
        '{"input": 7}',
        '{"input": null}',
        '{"input": {"text": "x"}}',
        '{"inp": "x"}',
        '{"input"',
        "{",
        "{'input': 'x'}",
        "  ",
        '{"a": 1',
        '{"a": "\\ud800"}',
        '{"a": "' + "x" * 500 + '"}',
        "x" * 500,
        " " * 500 + '{"input": "x"}',
    ],
)
def test_what_has_no_input_stays_as_it_is(arguments: str) -> None:
    """But for an object whose head is longer than anybody's: only the whole of it shows its input."""
    wanted = "x" if arguments.startswith(" " * 500) else arguments
    assert input_of(arguments) == wanted
    for pieces in ([arguments], list(arguments)):
        made, reader = read(*pieces)
        assert not reader.is_input
        assert input_of(made + reader.unread) == wanted
        assert made in ("", arguments)


def test_bare_text_is_emitted_as_it_comes() -> None:
    reader = InputReader()
    assert [reader.read(piece) for piece in ("*", "** Begin", " Patch")] == ["*", "** Begin", " Patch"]


def test_an_input_that_is_not_the_first_member_is_read_from_the_whole() -> None:
    arguments = '{"why": "x", "input": "y"}'
    assert input_of(arguments) == "y"
    made, reader = read(*arguments)
    assert (made, reader.unread) == ("", arguments)


@pytest.mark.parametrize(
    ("escapes", "text"),
    [
        ("\\ud83d\\ude00", "\N{GRINNING FACE}"),
        ("\\uD83D\\uDE00", "\N{GRINNING FACE}"),
        ("\\ud83d", "\ufffd"),
        ("\\ude00", "\ufffd"),
        ("\\ud83d\\ud83d\\ude00", "\ufffd\N{GRINNING FACE}"),
        ("\\ud83d\\u0041", "\ufffdA"),
        ("\\ud83d\\n", "\ufffd\n"),
        ("\\ud83d\\uzz", "\ufffd\\uzz"),
        ("\\ud83dx", "\ufffdx"),
        ("\\u00e9", "\u00e9"),
        ("\\u00", "\\u00"),
        ("\\uzzzz", "\\uzzzz"),
        ("\\u12 4", "\\u12 4"),
        ("\\q\\'", "\\q\\'"),
        ("\\\\n", "\\n"),
    ],
)
def test_escapes(escapes: str, text: str) -> None:
    """Half a pair becomes the sign for what cannot be read; what is not an escape, for strict readers, says itself."""
    arguments = f'{{"input": "a{escapes}b"}}'
    wanted = f"a{text}b" if escapes != "\\u00" else "a\\u00b"
    assert input_of(arguments) == wanted
    assert read(*arguments)[0] == wanted
    wanted.encode()


@pytest.mark.parametrize("end", ["", "\\", "\\u", "\\u00", "\\ud83d", "\\ud83d\\", "\\ud83d\\ude"])
def test_an_input_that_was_cut_is_read_as_far_as_it_goes(end: str) -> None:
    arguments = f'{{"input": "abc{end}'
    assert input_of(arguments) == "abc"
    assert read(*arguments)[0] == "abc"


def test_what_comes_behind_the_input_is_none() -> None:
    made, reader = read('{"input": "a"', ', "more": "b"', "}", "{")
    assert made == "a"
    assert reader.is_input


@given(st.text() | st.text(alphabet='{}":, \\niputud83deA0'), st.lists(st.integers(0, 60)))
def test_cuts_change_nothing(text: str, places: list[int]) -> None:
    for arguments in (text, json.dumps({"input": text}), '{"input": "' + text):
        cuts = sorted({min(place, len(arguments)) for place in places})
        pieces = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        made, reader = read(*pieces)
        whole, other = read(arguments)
        assert (made, reader.is_input, reader.unread) == (whole, other.is_input, other.unread)
        assert input_of(arguments) == (whole if other.is_input else input_of(whole + other.unread))
        input_of(arguments).encode("utf-8", "surrogatepass")


@given(st.text())
def test_what_json_wrote_is_read_back(text: str) -> None:
    for ascii_only in (True, False):
        assert input_of(json.dumps({"input": text}, ensure_ascii=ascii_only)) == text


def test_a_long_input_is_read_once() -> None:
    arguments = json.dumps({"input": "\\\n\N{GRINNING FACE}" * 10_000})
    assert len(read(*arguments)[0]) == 30_000
    assert read(" " * 200_000)[0] == " " * 200_000
    assert read("{" + " " * 200_000)[1].unread == "{" + " " * 200_000
