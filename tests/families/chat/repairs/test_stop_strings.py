"""Stop strings in the texts that they ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.chunk_streams import ROLE, Json, becomes, compact, repaired, stays
from vllm_sse_proxy import BodyEnd

ASKED: Json = {"model": "m", "stream": True, "messages": [], "stop": ["END", "zz"]}


def stream(*deltas: Any, end: str) -> str:
    return "\n".join((ROLE, *(compact(delta) for delta in deltas), end, "[DONE]"))


def hit(delta: Any = None, stop: Any = "END") -> str:
    return f"{compact({} if delta is None else delta)} -> stop + {compact({'stop_reason': stop})}"


def said(text: str, name: str) -> str:
    """Return the joined words of a stream."""
    deltas = [json.loads(line.partition(" -> ")[0].partition(" + ")[0]) for line in text.split("\n")[:-1]]
    return "".join(delta.get(name) or "" for delta in deltas)


@pytest.mark.parametrize("name", ["content", "reasoning"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 40])
def test_a_text_ends_before_the_string(name: str, size: int) -> None:
    whole = "The answer. END"
    parts = [{name: whole[at : at + size]} for at in range(0, len(whole), size)]
    made = repaired(stream(*parts, end=hit()), request=ASKED)
    assert said(made.text, name) == "The answer. "
    assert made.repairs["stop_strings"] == 1
    made = repaired(
        stream(*parts[:-1], end=hit({name: parts[-1][name] + ", and more of its step"})), request=ASKED
    )
    assert said(made.text, name) == "The answer. "


def test_what_is_left_is_as_it_came() -> None:
    becomes(
        stream(
            {"content": "One E"}, {"content": "N two "}, {"content": "three EN"}, end=hit({"content": "D!"})
        ),
        stream({"content": "One E"}, {"content": "N two "}, {"content": "three "}, end=hit()),
        request=ASKED,
    )
    becomes(
        stream({"reasoning": "r"}, {"content": "one END"}, end=hit()),
        stream({"reasoning": "r"}, {"content": "one "}, end=hit()),
        request=ASKED,
    )


def test_chunks_with_log_probabilities_stay_without_words() -> None:
    token = compact({"logprobs": {"content": [], "refusal": None}, "token_ids": [1]})
    made = repaired(
        f'{ROLE}\n{{"content":"one E"}}\n{{"content":"ND"}} + {token}\n{hit()}\n[DONE]', request=ASKED
    )
    assert '{"content":""} + ' in made.text
    assert '"one "' in made.text


@pytest.mark.parametrize(
    "asked", [{**ASKED, "include_stop_str_in_output": True}, {**ASKED, "stop": None}, {}]
)
def test_nothing_is_looked_for_unless_it_was_asked_for(asked: Json) -> None:
    text = stream({"content": "one END"}, end=hit())
    assert repaired(text, request=asked, conforming=False).text == text


@pytest.mark.parametrize(
    "text",
    [
        stream({"content": "one END"}, {"content": " goes on"}, end="{} -> stop"),  # min_tokens
        stream({"content": "one END"}, {"content": " two EN"}, end='{"content":"D"} -> length'),
        stream({"content": "one END"}, end=hit(stop=7)),
        stream({"content": "one END"}, end=hit(stop="other")),
        stream({"content": "one "}, end=hit()),
        stream({"content": "one E"}, {"reasoning": "N"}, {"content": "D"}, end="{} -> stop"),
        stream({"content": "one E"}, {"refusal": "no"}, end="{} -> stop"),
        stream({"content": "one E"}, {"reasoning": "E"}, end='{"content":"x"} -> stop'),
        stream(
            {"content": "one EE"}, {"content": "z"}, {"content": "z"}, {"content": "top"}, end="{} -> stop"
        ),
    ],
)
def test_other_streams_stay(text: str) -> None:
    made = repaired(text, request=ASKED, conforming=False)
    assert made.text == text
    assert not made.repairs


def test_a_stream_without_any_stays_byte_for_byte() -> None:
    stays(stream({"content": "E"}, {"content": "a zebra E"}, {"content": "x"}, end=hit()), request=ASKED)


def test_what_is_held_leaves_with_an_error_and_at_the_end() -> None:
    error = '! {"error":{"message":"no","type":"InternalServerError","param":null,"code":500}}'
    stays(f'{ROLE}\n{{"content":"one E"}}\n{error}\n[DONE]', request=ASKED)
    made = repaired(f'{ROLE}\n{{"content":"one END"}}', request=ASKED, end=BodyEnd.CUT, conforming=False)
    assert '"one END"' in made.text


def test_choices_have_their_own_texts() -> None:
    text = (
        f'{ROLE}\n1: {ROLE}\n{{"content":"a E"}}\n1: {{"content":"b END"}}\n{{"content":"N"}}\n'
        f"1: {hit()}\n{{}} -> stop\n[DONE]"
    )
    made = repaired(text, request={**ASKED, "n": 2}).text
    assert '1: {"content":"b "}' in made
    assert '{"content":"a E"}\n{"content":"N"}' in made
