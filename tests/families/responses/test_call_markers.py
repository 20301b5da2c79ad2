"""How calls begin in a text: the table, and what it makes of text that is none."""

from __future__ import annotations

import pytest

from tests.support.call_texts import SAMPLES
from vllm_sse_proxy.families.responses.call_markers import (
    FENCED_JSON,
    FORCED,
    JSON,
    MARKERS,
    PYTHON,
    SIGNS,
    Follow,
    Marker,
    find_call,
)
from vllm_sse_proxy.families.responses.echo import Echo

ECHO = Echo(
    [
        {"type": "function", "name": "get_weather"},
        {"type": "namespace", "name": "mcp__desk", "tools": [{"type": "function", "name": "list_apps"}]},
    ]
)


def found(text: str, *, is_first: bool = True, is_forced: bool = False) -> tuple[int, Marker | None]:
    made = find_call(text, ECHO, is_first=is_first, is_forced=is_forced)
    return made.place, made.marker


def is_no_call(text: str, **where: bool) -> bool:
    return found(text, **where) == (len(text), None)


def test_every_row_has_a_sample() -> None:
    used = {found(text)[1] for text in SAMPLES.values()}
    assert used == {*MARKERS, JSON, FENCED_JSON, PYTHON}


def test_no_text_stands_twice() -> None:
    assert len({marker.text for marker in MARKERS}) == len(MARKERS)
    assert all(marker.parsers and marker.releases for marker in MARKERS)
    assert repr(FORCED) == "Marker('')"


def test_signs_are_what_markers_begin_with() -> None:
    """The short way for deltas looks for these characters alone."""
    assert {marker.text[0] for marker in (*MARKERS, JSON) if not marker.only_first} == set(SIGNS) - {"]"} | {
        "]"
    }
    assert "[" in SIGNS


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("before", ["", "<|x", "[{", "< [", '{"name": "x", "arguments": {}} '])
def test_a_call_in_a_long_text_is_found_as_in_a_short_one(text: str, before: str) -> None:
    """In a long text one expression finds the places that are looked at."""
    place, marker = found(before + text, is_first=False)
    if marker is not None:
        assert found(before * 300 + text + " end" * 300, is_first=False) == (
            place + len(before) * 299,
            marker,
        )
    elif before != "[{":  # which goes on to be a list of calls
        assert found(before * 300 + text + " end" * 300, is_first=False)[1] is None


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
def test_a_call_is_found_wherever_its_text_is_cut(text: str) -> None:
    """Its first character may begin a call already, and nothing before the marker is whole takes that back."""
    place = len(text) - len(text.lstrip())
    for length in range(place + 1, len(text) + 1):
        assert found(text[:length])[0] == place
    assert found(text)[1] is not None


@pytest.mark.parametrize("marker", MARKERS, ids=lambda marker: marker.text)
def test_what_quotes_a_marker_is_no_call(marker: Marker) -> None:
    quoted = f"`{marker.text}` begins a call."
    if marker.follow is not Follow.ANYTHING:
        assert is_no_call(quoted)
        assert is_no_call(f"The token {marker.text}, as models write it")
    if not marker.only_first:
        assert found(f"The token {marker.text}")[0] == len("The token ")


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "a < b",
        "[1, 2].",
        "[link](https://example.com)",
        '{"name": "Bob", "age": 7}',
        '{"name": "get_weather", "description": "Weather of a city"}',
        '{"name": "get_weather"}',
        '[{"id": 1}] ',
        '```json\n[{"id": 1}]\n```',
        "```python\nprint()",
        "<tool_call> tags are",
        "<tool_call> tags (of hermes)",
        "<tool_call>. The",
        "<tool_calls></tool_calls>",
        "<function is a",
        "to=user<|message|>Hi",
        "commentary to=browser.search ",
        "<table>",
        "{" + " " * 600,
        "<tool_call>" + " " * 600,
        "get_time(",
        "[get_time(",
        "functional",
        "I[get_weather(",
    ],
)
def test_what_is_no_call(text: str) -> None:
    assert is_no_call(text)


def test_names_may_be_flattened() -> None:
    for name in ("mcp__desk__list_apps", "mcp__desk.list_apps", "list_apps"):
        assert found(f'{{"name": "{name}", "arguments": {{}}}}') == (0, JSON)
    assert found("[mcp__desk__list_apps()]") == (0, PYTHON)
    assert found("to=mcp__desk.list_apps<|message|>")[1] is not None
    assert found("to=tool.get_weather<|message|>")[1] is not None


def test_json_is_a_call_behind_any_text_and_python_is_not() -> None:
    assert found('See: {"name": "get_weather", "arguments": {}}') == (5, JSON)
    assert found('{"name": "get_weather", "arguments": {}}', is_first=False) == (0, JSON)
    assert is_no_call("get_weather(", is_first=False)
    assert is_no_call("[get_weather(", is_first=False)
    assert is_no_call("functools[{}", is_first=False)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "function", "name": "get_weather", "parameters": {}}',
        '{"type": "function", "function": {"name": "get_weather", "arguments": {}}}',
        '[{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]',
        '{"function":{"name":"get_weather","arguments":{}}}',
        '{"type":"function","id":"call_1","name":"get_weather","arguments":{}}',
    ],
)
def test_json_may_be_in_the_wrapper_of_the_chat_api(text: str) -> None:
    for length in range(1, len(text) + 1):
        assert found(text[:length])[0] == 0
    assert found(text) == (0, JSON)
    assert found("So: " + text, is_first=False) == (4, JSON)
    assert found("So: " + text + " end" * 300, is_first=False) == (4, JSON)
    assert is_no_call(text.replace("get_weather", "get_time") + ".")


def test_arguments_may_come_before_the_name_at_the_beginning() -> None:
    for key in ("arguments", "parameters"):
        text = f'[{{"{key}": {{"city": "Rome"}}, "name": "get_weather"}}]'
        for length in range(1, len(text) + 1):
            assert found(text[:length])[0] == 0
        assert found(text) == (0, JSON)
        assert is_no_call(text + ".", is_first=False)
        assert is_no_call(f'{{"{key}": 7.')
        assert find_call(text + ".", Echo([]), is_first=True, is_forced=False).marker is None


def test_without_names_only_markers_are_left() -> None:
    nameless = Echo([])
    for text in ('{"name": "', "[get", '[{"name": "x", "arguments": {}}].'):
        assert find_call(text, nameless, is_first=True, is_forced=False).place == len(text)
    assert find_call("<tool_call>{", nameless, is_first=True, is_forced=False).place == 0


def test_where_a_call_is_forced_its_json_is_one() -> None:
    assert found(' [{"', is_forced=True) == (1, FORCED)
    assert found('{"city": ', is_forced=True) == (0, FORCED)
    assert found('So {"city": ', is_forced=True)[1] is None
    assert is_no_call('{"city": ', is_forced=True, is_first=False)


def test_white_space_is_no_word() -> None:
    assert is_no_call("")
    assert is_no_call(" \n")
    assert is_no_call(" \n", is_first=False)


def test_a_long_text_is_read_once() -> None:
    """Linear: a million characters that all may begin a call take no more than a few seconds, even here."""
    for text in ("<" * 300_000, "{ " * 150_000, "<tool_call>. " * 25_000, "[" * 300_000):
        assert found(text)[1] is None
