"""Tags of thinking."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.chunk_streams import REQUEST, ROLE, Json, becomes, compact, repaired, stays
from vllm_sse_proxy import BodyEnd


def stream(*texts: tuple[str, str], end: str = "{} -> stop\n[DONE]") -> str:
    return "\n".join((ROLE, *(compact({name: text}) for name, text in texts), end))


def joined(text: str) -> dict[str, str]:
    """Return the texts of a stream, each in one."""
    found = {"content": "", "reasoning": ""}
    for line in text.split("\n"):
        if line.startswith("{"):
            delta: Json = json.loads(line.partition(" -> ")[0])
            for name in found:
                found[name] += delta.get(name) or ""
    return found


def test_texts_without_tags_stay() -> None:
    stays(stream(("reasoning", "I <think"), ("reasoning", "> so"), ("content", "a < b"), ("content", "[1]")))


@pytest.mark.parametrize("tag", ["<think>", "<mm:think>", "[THINK]"])
@pytest.mark.parametrize("pieces", [1, 2, 3, 20])
def test_reasoning_begins_without_its_tag(tag: str, pieces: int) -> None:
    text = f"\n{tag}\nThe answer"
    size = max(1, len(text) // pieces)
    parts = [("reasoning", text[at : at + size]) for at in range(0, len(text), size)]
    made = repaired(stream(*parts, ("content", "Hi")))
    texts = joined(made.text)
    assert (texts["reasoning"].lstrip(), texts["content"]) == ("The answer", "Hi")
    assert repaired(made.made).made == made.made


@pytest.mark.parametrize(
    "parts",
    [["<think>\n", "<think>\n", "I see"], ["<think> <think>\n\nI see"], ["<think><th", "ink>\n\nI see"]],
)
def test_a_tag_that_comes_twice_goes_twice(parts: list[str]) -> None:
    made = repaired(stream(*(("reasoning", part) for part in parts), ("content", "Hi")))
    assert joined(made.text) == {"reasoning": "\n\nI see", "content": "Hi"}
    assert repaired(made.made).made == made.made


@pytest.mark.parametrize(
    "text",
    ["<think> is a tag", "<think>, then", "\n<think>' it says", "[THINK]", "<think>", "<think> ", "<think>."],
)
def test_a_tag_that_is_written_about_stays(text: str) -> None:
    for size in (1, 3, 100):
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        stays(stream(*(("reasoning", part) for part in parts), ("content", "Hi")))
        asked = stream(("reasoning", "Hm."), *(("content", part) for part in parts))
        made = repaired(asked, conforming=False)
        assert (made.text, made.repairs) == (asked, {})


def test_half_a_tag_is_text() -> None:
    for after in (("content", "Hi"), ("reasoning", "er about it")):
        made = repaired(stream(("reasoning", "<thin"), after))
        assert made.text == stream(("reasoning", "<thin"), after)
        assert not made.repairs
    made = repaired(stream(end='{"reasoning":"<thin"} -> stop\n[DONE]'))
    assert made.text == stream(end='{"reasoning":"<thin"} -> stop\n[DONE]')
    assert "<thin" in repaired(stream(("reasoning", "<thin"))).text
    assert "<thin" in repaired(stream(end='{"reasoning":"<thin"}'), end=BodyEnd.CUT).text


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_content_that_begins_with_the_tag_is_reasoning_to_the_closing_one(size: int) -> None:
    text = "\n<think>More</ thoughts</think>\n\nThe answer </think> stays"
    parts = [("content", text[at : at + size]) for at in range(0, len(text), size)]
    made = repaired(stream(("reasoning", "r "), *parts), conforming=False)
    texts = joined(made.text)
    assert texts["reasoning"] == "r More</ thoughts"
    assert texts["content"].lstrip() == "The answer </think> stays"


def test_thoughts_that_never_end_are_reasoning() -> None:
    made = repaired(
        stream(("reasoning", "r"), ("content", "<think>and"), end='{"content":" on</th"} -> length\n[DONE]')
    )
    assert joined(made.text) == {"reasoning": "rand on</th", "content": ""}


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_closing_tag_on_its_own_line_goes_once(size: int) -> None:
    text = "up.\n</think>\n\nThe answer"
    parts = [("content", text[at : at + size]) for at in range(0, len(text), size)]
    made = repaired(stream(("reasoning", "r"), *parts))
    assert joined(made.text) == {"reasoning": "r", "content": "up.\n\n\nThe answer"}


@pytest.mark.parametrize(
    "text",
    ["`</think>` ends it", "a </think>", "a <think>b\n</think>", "x\n</thin", "a[0]", "<div>", "\n<thinker>"],
)
def test_other_content_stays(text: str) -> None:
    for size in (1, 100):
        parts = [("content", text[at : at + size]) for at in range(0, len(text), size)]
        made = repaired(stream(("reasoning", "r"), *parts), conforming=False)
        assert joined(made.text)["content"] == text
        assert not made.repairs


def test_without_reasoning_content_is_left_alone() -> None:
    stays(stream(("content", "<think>\nHm."), ("content", "\n</think>\n"), ("content", "Hi")))


def test_with_special_tokens_kept_all_stays() -> None:
    text = stream(("reasoning", "<think>r"), ("content", "<think>"))
    assert repaired(text, request={**REQUEST, "skip_special_tokens": False}, conforming=False).text == text


@pytest.mark.parametrize(
    "request_",
    [
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"chat_template_kwargs": {"thinking": False}},
        {"reasoning_effort": "none"},
    ],
)
def test_with_thinking_off_an_answer_that_came_as_reasoning_is_content(request_: Json) -> None:
    becomes(
        stream(("reasoning", "<think>The"), ("reasoning", " answer")),
        stream(
            ("reasoning", "The"),
            ("reasoning", " answer"),
            ("content", "The answer"),
            end="{} -> stop\n[DONE]",
        ).replace('{"content":"The answer"}\n{} -> stop', '{"content":"The answer"} -> stop'),
        request=request_,
    )
    becomes(
        stream(("reasoning", "The"), end='{"reasoning":" answer"} -> stop\n[DONE]'),
        stream(
            ("reasoning", "The"), ("reasoning", " answer"), end='{"content":"The answer"} -> stop\n[DONE]'
        ),
        request=request_,
    )
    stays(stream(("content", "Hi")), request=request_)


@pytest.mark.parametrize(
    "rest",
    [
        '{"content":"Hi"}\n{} -> stop',
        '{"content":"Hi"} -> stop',
        "{} -> length",
        '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_time","arguments":"{}"}}]}\n{} -> tool_calls',
        '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_time","arguments":"{}"}}]} -> tool_calls',
    ],
)
def test_a_model_that_thinks_all_the_same_is_left_alone(rest: str) -> None:
    request = {**REQUEST, "chat_template_kwargs": {"enable_thinking": False}}
    stays(stream(("reasoning", "r"), end=f"{rest}\n[DONE]"), request=request)


def test_with_it_on_there_is() -> None:
    stays(stream(("reasoning", "r")), request={"chat_template_kwargs": {"enable_thinking": True}})


def test_each_choice_has_its_own_texts() -> None:
    made = repaired(
        f'{ROLE}\n1: {ROLE}\n{{"reasoning":"<th"}}\n1: {{"reasoning":"<think>b"}}\n{{"reasoning":"ink>a"}}\n1: {{}} -> stop\n{{}} -> stop\n[DONE]'
    )
    assert (
        made.text
        == f'{ROLE}\n1: {ROLE}\n1: {{"reasoning":"b"}}\n{{"reasoning":"a"}}\n1: {{}} -> stop\n{{}} -> stop\n[DONE]'
    )


def test_log_probabilities_of_what_waited_stay() -> None:
    logprobs = '{"content":[{"token":"<","logprob":-1,"bytes":null,"top_logprobs":[]}],"refusal":null}'
    text = f'{ROLE}\n{{"reasoning":"r"}}\n{{"content":"<"}} + {{"logprobs":{logprobs}}}\n{{"content":" b"}}\n{{}} -> stop\n[DONE]'
    stays_text = repaired(text)
    assert stays_text.text == text
    assert not stays_text.repairs


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["content", "reasoning"]), st.text("<>/think[THINK] \nab", min_size=1, max_size=9)
        ),
        max_size=9,
    )
)
def test_nothing_but_tags_is_ever_lost(parts: list[tuple[str, str]]) -> None:
    made = joined(repaired(stream(*parts), conforming=False).text)
    before = "".join(text for _, text in parts)
    after = made["content"] + made["reasoning"]
    lost = len(before) - len(after)
    assert lost >= 0
    tags = sum(before.count(tag) * len(tag) for tag in ("<think>", "</think>", "[THINK]", "[/THINK]"))
    spaces = sum(map(str.isspace, before))
    assert lost <= tags + spaces + sum(len(tag) for tag in ("<think>", "[THINK]"))
