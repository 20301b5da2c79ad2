"""Calls in tags and in Python."""

# ruff: noqa: RUF001 - the fullwidth bars are the markers' own characters

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.call_texts import SAMPLES
from vllm_sse_proxy.families.texts.call_texts import find_call, read_calls
from vllm_sse_proxy.families.texts.tagged_calls import read_python, types_of

TYPES = {
    "f": {
        "text": ("string",),
        "count": ("integer",),
        "share": ("number",),
        "flag": ("boolean",),
        "list": ("array",),
        "some": ("object", "null"),
        "any": (),
        "either": ("string", "integer"),
    }
}
LEFT_OUT = (
    "hy_v3", "hy_v4", "gemma4", "as it slips", "minimax_m3", "k2_horizon", "functiongemma", "apertus", "cohere", "gigachat3",
    "phi4", "kimi_k3", "step3", "inkling", "plamo3", "muse with its header", "beam", "openai", "xlam in a", "olmo3 without its tag",
)  # fmt: skip
"""Formats that are not read; what is begun here in another way than they begin is still read."""
READ = [
    (name, text)
    for name, text in SAMPLES.items()
    if not any(one in name for one in (*LEFT_OUT, "ASCII bars"))
    or name in ("step3 without its tokens", "k2_horizon, alone")
]


@pytest.mark.parametrize(("name", "text"), READ, ids=[name for name, _ in READ])
def test_the_formats_of_the_parsers_are_read(name: str, text: str) -> None:
    tools = ["get_weather", "get_time"]
    calls = read_calls(text, tools, {"get_weather": {"city": ("string",)}})
    assert {(call.name, json.dumps(json.loads(call.arguments))) for call in calls} == {
        ("get_weather", '{"city": "Rome"}')
    }
    for end in range(1, len(text)):
        assert find_call(text[:end], tools, at_start=True)[0] == 0
    assert find_call(text, tools, at_start=True) == (0, True)


def tagged(member: str, value: str) -> str:
    return f"<tool_call>\n<function=f>\n<parameter={member}>{value}</parameter>\n</function>\n</tool_call>"


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("text", "\n5\n", "5"),
        ("text", "\n\n a <b> \n\n", "\n a <b> \n"),
        ("text", "", ""),
        ("count", "\n4711\n", 4711),
        ("share", "1.50", 1.5),
        ("share", "2", 2),
        ("flag", "True", True),
        ("flag", "false", False),
        ("list", '["a", 1]', ["a", 1]),
        ("some", "None", None),
        ("some", '{"a": {}}', {"a": {}}),
        ("any", "Rome", "Rome"),
        ("other", "Rome", "Rome"),
        ("either", "Rome", "Rome"),
    ],
)
def test_the_schema_says_what_a_value_is(member: str, value: str, expected: Any) -> None:
    (call,) = read_calls(tagged(member, value), ["f"], TYPES)
    assert json.loads(call.arguments) == {member: expected}


def test_a_number_keeps_its_spelling() -> None:
    (call,) = read_calls(tagged("share", " 1.50 "), ["f"], TYPES)
    assert call.arguments == '{"share": 1.50}'


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("count", "many"),
        ("count", "1.5"),
        ("count", "true"),
        ("flag", "1"),
        ("list", "{}"),
        ("share", "NaN"),
        ("any", "5"),
        ("any", "null"),
        ("either", "5"),
        ("either", "True"),
    ],
)
def test_a_value_whose_type_is_not_certain_is_no_call(member: str, value: str) -> None:
    assert read_calls(tagged(member, value), ["f"], TYPES) == []


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>f<arg_key>text</arg_key><arg_value>a</arg_value></tool_call> and so on",
        "<tool_call>f<arg_key>text</arg_key><arg_value>a</tool_call>",
        "<function=f><parameter=text>a</parameter>",
        "<function=f><parameter=text>a</parameter><parameter=text>b</parameter></function>",
        "<function=f>a</function>",
        "<tool_call>text</tool_call>",
        '<invoke name="g"><parameter name="text">a</parameter></invoke>',
        '<｜DSML｜invoke name="f"><｜DSML｜parameter name="text" string="false">a</｜DSML｜parameter></｜DSML｜invoke>',
    ],
)
def test_what_is_no_call_gives_none(text: str) -> None:
    assert read_calls(text, ["f"], TYPES) == []


def test_a_tag_may_say_what_its_value_is() -> None:
    parameters = "".join(
        f'<｜DSML｜parameter name="{name}" string="{is_string}">{value}</｜DSML｜parameter>'
        for name, is_string, value in (("a", "true", "5"), ("b", "false", "5"), ("any", "false", "true"))
    )
    (call,) = read_calls(f'<｜DSML｜invoke name="f">{parameters}</｜DSML｜invoke>', ["f"], TYPES)
    assert json.loads(call.arguments) == {"a": "5", "b": 5, "any": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[f(a=1, b='x', c=[1.5, -2], d={'k': None})]",
            [{"a": 1, "b": "x", "c": [1.5, -2], "d": {"k": None}}],
        ),
        ("f(a=True)\nf(a=false)", [{"a": True}, {"a": False}]),
        ('[f(a="\\"é\\n"), f()]', [{"a": '"é\n'}, {}]),
        ("<|python_start|>[f(a=null)]<|python_end|>", [{"a": None}]),
    ],
)
def test_python(text: str, expected: list[Any]) -> None:
    assert [json.loads(arguments) for _, arguments in read_python(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "[f(1)]", "[f(**a)]", "[f(a=b)]", "[f(a=g())]", "f", "[f(a=1", "[f(a=1, a=2)]", "[f(a=(1, 2))]", "[f(a={1: 2})]",
        "[f(a={'k': 1, 'k': 2})]", "[f(a=-'x')]", "[f(a=1j)]", "[f(a=b'x')]", "[f(a=1e999)]", "[f(a=...)]", "a = f()",
        "f(a=" + "[" * 500 + "]" * 500 + ")", f"f(a='{'x' * 20_000}')", "f(a={**b})",
    ],
)  # fmt: skip
def test_what_is_no_literal_gives_none(text: str) -> None:
    assert read_calls(text, ["f"]) == []


def test_types_of_a_schema() -> None:
    properties = {
        "a": {"type": "string"},
        "b": {"type": ["integer", "null", 5]},
        "c": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "d": {"anyOf": [{"type": "string"}, {}]},
        "e": {"enum": ["x", "y"]},
        "f": {"enum": ["x", 5]},
        "g": True,
        "h": {"oneOf": [{"enum": ["x"]}]},
        "i": {},
    }
    assert types_of({"properties": properties}) == {
        "a": ("string",),
        "b": ("integer", "null"),
        "c": ("string", "null"),
        "d": (),
        "e": ("string",),
        "f": (),
        "g": (),
        "h": ("string",),
        "i": (),
    }
    assert types_of(None) == types_of({}) == types_of({"properties": []}) == {}
