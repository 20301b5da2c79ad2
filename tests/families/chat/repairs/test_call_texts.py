"""Calls in the content."""

from __future__ import annotations

import json

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, Json, compact, repaired, stays
from vllm_sse_proxy import BodyEnd

HERMES = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
TEXTS = [
    HERMES,
    '<tool_call>{"arguments": {"city": "Paris"}, "name": "get_weather"}',
    '<tool_call>\n[{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}]\n</tool_call>',
    '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}}]',
    '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "abc123456"}]',
    '[TOOL_CALLS]get_weather{"city": "Paris"}',
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}',
    '[TOOL_CALLS]get_weather[CALL_ID]abc123456[ARGS]{"city": "Paris"}',
    '<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|><|tool_calls_section_end|>',
    '<|tool_calls_section_begin|><|tool_call_begin|>get_weather<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|>',
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',  # noqa: RUF001
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris"}<｜tool▁call▁end｜>',  # noqa: RUF001
    '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}',
    '{"name": "get_weather", "parameters": {"city": "Paris"}}',
    '{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}',
    '[{"name": "get_weather", "arguments": {"city": "Paris"}}]',
]


def stream(text: str, size: int = 5, end: str = "{} -> stop\n[DONE]") -> str:
    parts = [compact({"content": text[at : at + size]}) for at in range(0, len(text), size)]
    return "\n".join((ROLE, *parts, end))


def read(text: str) -> tuple[str, list[tuple[str, Json]]]:
    """Return the content of a stream, and its calls."""
    content, calls = "", []
    for line in text.split("\n"):
        if line.startswith("{"):
            delta: Json = json.loads(line.partition(" -> ")[0])
            content += delta.get("content") or ""
            calls += [
                (call["function"]["name"], json.loads(call["function"]["arguments"]))
                for call in delta.get("tool_calls", [])
            ]
    return content, calls


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_call_in_the_content_becomes_one(text: str, size: int) -> None:
    made = repaired(stream(text, size), request=REQUEST)
    assert read(made.text) == ("", [("get_weather", {"city": "Paris"})])
    assert made.text.endswith("{} -> tool_calls\n[DONE]")
    assert made.repairs["call_texts"] == 1
    again = repaired(made.made, request=REQUEST)
    assert again.made == made.made


@pytest.mark.parametrize("text", TEXTS[:12])
@pytest.mark.parametrize("size", [1, 1000])
def test_text_before_it_stays(text: str, size: int) -> None:
    made = repaired(stream("I look it up. " + text + "\n", size), request=REQUEST)
    assert read(made.text) == ("I look it up. ", [("get_weather", {"city": "Paris"})])


def test_the_last_of_it_may_come_with_the_finish() -> None:
    made = repaired(
        stream(HERMES[:-5], 9, end=compact({"content": HERMES[-5:]}) + " -> stop\n[DONE]"), request=REQUEST
    )
    assert read(made.text) == ("", [("get_weather", {"city": "Paris"})])
    made = repaired(f"{ROLE}\n{compact({'content': HERMES})} -> stop\n[DONE]", request=REQUEST)
    assert read(made.text) == ("", [("get_weather", {"city": "Paris"})])


def test_several_calls() -> None:
    two = HERMES + "\n" + HERMES.replace("Paris", "Rome")
    made = repaired(stream(two), request=REQUEST)
    assert read(made.text) == ("", [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})])
    kimi = TEXTS[8].replace("<|tool_calls_section_end|>", "")
    second = kimi.replace("<|tool_calls_section_begin|>", "").replace(":0", ":1").replace("Paris", "Rome")
    made = repaired(stream(kimi + second), request=REQUEST)
    assert read(made.text)[1] == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]
    assert '"id":"functions.get_weather:1"' in made.text
    mistral = '[TOOL_CALLS]get_weather{"city": "Paris"}[TOOL_CALLS]get_weather{"city": "Rome"}'
    assert len(read(repaired(stream(mistral), request=REQUEST).text)[1]) == 2


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "get_weather", "arguments": {"city"',
        '<tool_call>{"name": "get_weather", "arguments": 5}</tool_call>',
        '<tool_call>{"name": "get_weather"}</tool_call>',
        "Write <tool_call> to call, and </tool_call> to end.",
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call> is how it looks',
        '{"name": "Anna", "age": 5}',
        '{"names": []}',
        "[1, 2]",
        "[get_weather]",
        "{}",
        "a < b, a <t> and [TOO",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0 and more",
        "[TOOL_CALLS]get_weather is a name",
        '<tool_call>["get_weather"]',
        "<tool_call>" * 50,
    ],
)
@pytest.mark.parametrize("size", [1, 6, 1000])
def test_what_is_no_whole_call_of_a_tool_stays_text(text: str, size: int) -> None:
    made = repaired(stream(text, size), request=REQUEST, conforming=False)
    assert read(made.text) == (text, [])
    assert "call_texts" not in made.repairs
    cut = repaired(stream(text, size, end=""), request=REQUEST, conforming=False, end=BodyEnd.CUT)
    assert read(cut.text)[0] == text


@pytest.mark.parametrize(
    "request_",
    [None, {"messages": []}, {**REQUEST, "tool_choice": "none"}, {**REQUEST, "skip_special_tokens": False}],
)
def test_without_tools_all_is_text(request_: Json | None) -> None:
    stays(stream(HERMES), request=request_)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_cut_answer_has_no_whole_calls(reason: str) -> None:
    made = repaired(stream(HERMES, end=f"{{}} -> {reason}\n[DONE]"), request=REQUEST, conforming=False)
    assert read(made.text) == (HERMES, [])


REAL = '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_weather","arguments":"{\\"city\\": \\"Rome\\"}"}}]}'


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_calls_beside_those_of_the_parser_come_behind_them(size: int) -> None:
    """A parser that finds its marker in one step and misses it in another."""
    for text in (
        f"{stream(HERMES, size, end=REAL)}\n{{}} -> tool_calls\n[DONE]",
        f"{stream(HERMES, size, end=REAL)}\n{compact({'content': chr(10)})}\n{{}} -> tool_calls\n[DONE]",
        f"{ROLE}\n{REAL}\n{stream(HERMES, size).partition(chr(10))[2]}",
    ):
        made = repaired(text, request=REQUEST)
        assert read(made.text)[0].strip() == ""
        assert read(made.text)[1] == [("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Paris"})]
        assert made.text.endswith("{} -> tool_calls\n[DONE]")
        assert repaired(made.made, request=REQUEST).made == made.made


def test_words_behind_calls_beside_those_of_the_parser_are_text_with_them() -> None:
    words = compact({"content": "Well."})
    made = repaired(
        f"{stream(HERMES, end=REAL)}\n{REAL.replace('Rome', ' ')}\n{words}\n{{}} -> tool_calls\n[DONE]",
        request=REQUEST,
        conforming=False,
    )
    assert read(made.text)[0] == HERMES + "Well."


def test_nothing_is_lost_of_what_goes_on_between_many_calls_of_the_parser() -> None:
    """It is read a few times only: reading all of it for each would take quadratic time."""
    lines = [ROLE]
    for at in range(8):
        real = REAL.replace('"a"', f'"a{at}"').replace('"index":0', f'"index":{at}')
        lines += [compact({"content": HERMES}), real]
    made = repaired("\n".join((*lines, "{} -> tool_calls\n[DONE]")), request=REQUEST, conforming=False)
    content, calls = read(made.text)
    assert calls == [("get_weather", {"city": "Rome"})] * 8 + [("get_weather", {"city": "Paris"})] * 3
    assert content == HERMES * 5


def test_half_a_call_leaves_before_those_of_the_parser() -> None:
    made = repaired(
        f"{stream(HERMES[:40], end=REAL)}\n{{}} -> tool_calls\n[DONE]", request=REQUEST, conforming=False
    )
    assert read(made.text) == (HERMES[:40], [("get_weather", {"city": "Rome"})])
    bare = '{"name": "get_weather", "parameters": {"city": "Paris"}}'
    made = repaired(f"{ROLE}\n{REAL}\n{stream(bare).partition(chr(10))[2]}", request=REQUEST)
    assert read(made.text) == (bare, [("get_weather", {"city": "Rome"})])


def test_no_call_is_made_twice() -> None:
    real = '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_weather","arguments":"{\\"city\\": \\"Paris\\"}"}}]}'
    for text in (
        f"{stream(HERMES, end=real)}\n{{}} -> tool_calls\n[DONE]",
        f"{ROLE}\n{real}\n{stream(HERMES).partition(chr(10))[2]}",
    ):
        made = repaired(text, request=REQUEST)
        assert read(made.text) == ("", [("get_weather", {"city": "Paris"})])


def test_reasoning_in_between_shows_that_it_was_text() -> None:
    made = repaired(
        stream(HERMES[:40], end=f'{{"reasoning":"r"}}\n{{"content":"{"x"}"}}\n{{}} -> stop\n[DONE]'),
        request=REQUEST,
        conforming=False,
    )
    assert read(made.text) == (HERMES[:40] + "x", [])


def test_json_that_was_asked_for_is_text() -> None:
    request = {**REQUEST, "response_format": {"type": "json_object"}}
    stays(stream('{"name": "get_weather", "parameters": {"city": "Paris"}}'), request=request)


def test_an_endless_one_is_let_go() -> None:
    text = HERMES[:-20] + "x" * 9000
    made = repaired(stream(text, 1), request=REQUEST, conforming=False)
    assert read(made.text)[0] == text


def test_what_waits_is_not_lost_with_an_error() -> None:
    error = '! {"error":{"message":"It broke.","type":"InternalServerError","param":null,"code":500}}'
    made = repaired(stream("<tool_call>", 100, end=error), request=REQUEST, conforming=False)
    assert read(made.text)[0] == "<tool_call>"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The answer.\n</tool_call>", "The answer.\n"),
        ("</tool_call>\n", ""),
        ("The answer.</answer>", "The answer."),
        ("It. <|tool_call_end|>\n<|tool_calls_section_end|>\n", "It. "),
        ("It.<|close|>message<|sep|>", "It."),
        ("<b>It</b></tool_call>", None),
        ("<answer>It</answer>", None),
        ("It </tool_ca", None),
        ("It</answer> is.", None),
        ("It</tool_call>" + "</tool_call>" * 20, None),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 8, 1000])
def test_a_closing_marker_alone_goes_at_the_end(text: str, kept: str | None, size: int) -> None:
    """C20: its beginning was taken by the parser, or never came."""
    for end in ("{} -> stop\n[DONE]", "{} -> length\n[DONE]"):
        made = repaired(stream(text, size, end), request=REQUEST, conforming=kept is not None)
        assert read(made.text) == (text if kept is None else kept, [])
        assert made.repairs.get("call_texts", 0) == (kept is not None)
        assert repaired(made.made, request=REQUEST, conforming=kept is not None).made == made.made
    stays(stream(text, size), request=None)


def test_it_may_come_behind_a_call_and_with_the_finish() -> None:
    close = compact({"content": "\n</tool_call>"})
    made = repaired(f"{ROLE}\n{REAL}\n{close} -> tool_calls\n[DONE]", request=REQUEST)
    assert read(made.text) == ("\n", [("get_weather", {"city": "Rome"})])
    made = repaired(
        f"{ROLE}\n{close}\n{REAL}\n{close}\n{{}} -> tool_calls\n[DONE]", request=REQUEST, conforming=False
    )
    assert read(made.text)[0] == "\n</tool_call>\n</tool_call>"
