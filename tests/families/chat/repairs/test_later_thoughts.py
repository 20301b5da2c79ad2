"""Thoughts in the middle of the content."""

from __future__ import annotations

import json

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, Json, compact, repaired, stays, text_of, wire
from vllm_sse_proxy import BodyEnd, Plan, StreamNormalizer
from vllm_sse_proxy.families import CHAT
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

WHOLE = "\n\nPart A. <think>\nOther way.\n</think>\n\nPart B <b>."


def stream(*texts: tuple[str, str], end: str = "{} -> stop\n[DONE]") -> str:
    return "\n".join((ROLE, *(compact({name: text}) for name, text in texts), end))


def pieces(text: str, size: int) -> list[tuple[str, str]]:
    return [("content", text[at : at + size]) for at in range(0, len(text), size)]


def joined(text: str) -> dict[str, str]:
    found = {"content": "", "reasoning": ""}
    for line in text.split("\n"):
        if line.startswith("{"):
            delta: Json = json.loads(line.partition(" -> ")[0].partition(" + ")[0])
            for name in found:
                found[name] += delta.get(name) or ""
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 100])
def test_they_are_reasoning(size: int) -> None:
    made = repaired(stream(("reasoning", "One way."), *pieces(WHOLE, size)))
    assert joined(made.text) == {
        "reasoning": "One way.\nOther way.\n",
        "content": "\n\nPart A. \n\nPart B <b>.",
    }
    assert made.repairs["later_thoughts"]
    assert repaired(made.made).made == made.made


def test_several_of_them() -> None:
    text = "a <think>\nb\n</think> c <think> \r\nd\n  </think> e <think>\nf\n"
    for size in (1, 7, 100):
        made = repaired(stream(("reasoning", "r"), *pieces(text, size)), conforming=False)
        assert joined(made.text) == {"reasoning": "r\nb\n \r\nd\n  ", "content": "a  c  e <think>\nf\n"}
    end = compact({"content": text + "</think> g"}) + " -> stop\n[DONE]"
    made = repaired(stream(("reasoning", "r"), end=end))
    assert joined(made.text)["content"] == "a  c  e  g"


@pytest.mark.parametrize(
    "text",
    [
        "the tags <think> and </think>",
        "write `<think>\nso\n</think>`",
        "```\n<think>\nso\n</think>\n``` is <think>\nnever closed",
        "a <think>" + " " * 100 + "\n b",
        "a <b> [1] <thinking>\n",
        "x <think>\nso </think> on one line",
        "<think> about",
    ],
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_text_about_tags_stays(text: str, size: int) -> None:
    made = repaired(stream(("reasoning", "r"), ("content", "So "), *pieces(text, size)), conforming=False)
    assert made.text == stream(("reasoning", "r"), ("content", "So "), *pieces(text, size))
    assert not made.repairs


def test_a_choice_without_reasoning_is_left_alone() -> None:
    text = stream(*pieces(WHOLE, 4))
    assert repaired(text, conforming=False).text == text
    asked = {**REQUEST, "skip_special_tokens": False}
    text = stream(("reasoning", "r"), *pieces(WHOLE, 4))
    assert repaired(text, request=asked, conforming=False).text == text


def test_text_that_may_go_on_leaves_with_what_comes() -> None:
    stays(stream(("reasoning", "r"), ("content", "if a <"), ("content", " b"), ("content", "`x` [")))
    stays(stream(("reasoning", "r"), ("content", "a <th"), ("reasoning", "more")))
    error = '! {"error":{"message":"no","type":"InternalServerError","param":null,"code":500}}'
    for end in (f"{error}\n[DONE]", '{"refusal":"no"}\n{} -> stop\n[DONE]'):
        text = stream(("reasoning", "r"), ("content", "a <think>\nb"), end=end)
        made = repaired(text, conforming=False)
        assert made.text == text
        assert not made.repairs
    made = repaired(stream(("reasoning", "r"), ("content", "a <th"), end=""), end=BodyEnd.CUT)
    assert '"a <th"' in made.text


def test_text_leaves_although_the_end_of_what_comes_may_begin_a_tag_again() -> None:
    texts = [("reasoning", "r"), *(("content", text) for text in ("a <th", "en <th", "at <th"))]
    stays(stream(*texts))
    normalizer = StreamNormalizer(Plan.of(CHAT), CHAT.context("", None))
    made = text_of(normalizer.feed(wire(stream(*texts, end=""))))
    assert '"a <th"' in made
    assert '"at <th"' not in made, "the end waits"


def test_too_many_chunks_leave_as_they_came() -> None:
    texts = [("content", "a <think>\n"), *[("content", "x")] * (MAX_HELD_EVENTS + 1)]
    text = stream(("reasoning", "r"), *texts)
    assert repaired(text, conforming=False).text == text


def test_chunks_that_were_only_a_tag_keep_what_else_they_have() -> None:
    lines = [
        ROLE,
        '{"reasoning":"r"}',
        '{"content":"a <think>\\n"}',
        '{"content":"b\\n"}',
        '{"content":"</think>"} + {"token_ids":[5]}',
        "{} -> stop",
        "[DONE]",
    ]
    made = repaired("\n".join(lines))
    assert '{"content":""} + {"token_ids":[5]}' in made.text


def test_many_choices_are_looked_at_one_by_one() -> None:
    lines = [
        f'{index}: {{"role":"assistant","content":"","reasoning":"r"}}\n{index}: {{"content":"a"}}'
        for index in range(70)
    ]
    ends = [f"{index}: {{}} -> stop" for index in range(70)]
    made = repaired("\n".join([*lines, *ends, "[DONE]"]), conforming=False)
    assert made.text.count('"content":"a"') == len(lines)


def test_what_follows_thoughts_in_one_chunk_may_begin_others() -> None:
    texts = [("content", "a<think>\nb\n</think>c<thi"), ("content", "nk>\nd\n</think>e")]
    made = repaired(stream(("reasoning", "r"), *texts))
    assert joined(made.text) == {"reasoning": "r\nb\n\nd\n", "content": "ace"}
    end = compact({"content": texts[0][1]}) + " -> stop\n[DONE]"
    made = repaired(stream(("reasoning", "r"), end=end))
    assert joined(made.text) == {"reasoning": "r\nb\n", "content": "ac<thi"}


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_closing_tag_that_comes_twice_goes_twice(size: int) -> None:
    text = "a <think>\nb\n</think>\n</think>\nc"
    made = repaired(stream(("reasoning", "r"), *pieces(text, size)))
    assert joined(made.text) == {"reasoning": "r\nb\n", "content": "a \n\nc"}
    assert repaired(made.made).made == made.made
