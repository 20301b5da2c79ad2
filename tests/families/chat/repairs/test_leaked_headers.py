"""Headers of gpt-oss in the content."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, becomes, compact, repaired
from vllm_sse_proxy import BodyEnd

HEADERS = [
    "<|start|>",
    "<|start|>assistant",
    "<|channel|>",
    "<|start|>assistant<|channel|>commentary to=functions.lookup_order <|constrain|>json",
    "<|start|>assistant<|channel|>commentary to=functions.lookup_order <|constrain|>json<|message|>",
    "<|channel|>final<|message|>",
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("before", ["", '{"reasoning":"r"}\n', '{"content":"Hi"}\n'])
def test_a_header_that_is_cut_goes(header: str, before: str) -> None:
    text = compact({"content": header})
    expected = f"{ROLE}\n{before}{{}} -> length\n[DONE]"
    becomes(f"{ROLE}\n{before}{text} -> length\n[DONE]", expected)
    becomes(f"{ROLE}\n{before}{text}\n{{}} -> length\n[DONE]", expected)
    half = len(header) // 2
    if "<|" in header[:half] and header[:half] in ("<|start|>assistant", "<|start|>"):
        becomes(
            f"{ROLE}\n{before}{compact({'content': header[:half]})}\n{compact({'content': header[half:]})} -> length\n[DONE]",
            expected,
        )


def test_a_header_in_two_chunks() -> None:
    becomes(
        f'{ROLE}\n{{"content":"<|start|>assistant"}}\n{{"content":"<|channel|>comm"}}\n{{}} -> length\n[DONE]'.replace(
            "comm", "commentary"
        ),
        f"{ROLE}\n{{}} -> length\n[DONE]",
    )


@pytest.mark.parametrize("token", ["<|return|>", "<|end|>", "<|call|>"])
def test_so_does_an_end_token_alone(token: str) -> None:
    becomes(f"{ROLE}\n{compact({'content': token})} -> stop\n[DONE]", f"{ROLE}\n{{}} -> stop\n[DONE]")


@pytest.mark.parametrize(
    "texts",
    [
        ["<|channel|>", "analysis is what I did"],
        ["<|channel|>analysis"],
        ["<|not a token"],
        ["a <|channel|>"],
        ["<|return|>", "x"],
    ],
)
def test_other_texts_stay(texts: list[str]) -> None:
    stream = "\n".join((ROLE, *(compact({"content": text}) for text in texts), "{} -> stop", "[DONE]"))
    made = repaired(stream, conforming=False)
    assert made.text == stream
    assert not made.repairs


def test_with_special_tokens_kept_all_stays() -> None:
    stream = f'{ROLE}\n{{"content":"<|return|>"}} -> stop\n[DONE]'
    assert repaired(stream, request={**REQUEST, "skip_special_tokens": False}).text == stream


def test_what_waits_is_not_lost_with_the_connection() -> None:
    made = repaired(f'{ROLE}\n{{"content":"<|channel|>"}}', end=BodyEnd.CUT)
    assert made.text.startswith(f'{ROLE}\n{{"content":"<|channel|>"}}\n! ')
    assert repaired(f"{ROLE}", end=BodyEnd.CUT).text.startswith(f"{ROLE}\n! ")


def test_so_does_one_that_comes_twice() -> None:
    token = compact({"content": "<|return|>"})
    becomes(f"{ROLE}\n{token}\n{token} -> stop\n[DONE]", f"{ROLE}\n{{}} -> stop\n[DONE]")
    becomes(f"{ROLE}\n{token}\n{token}\n{{}} -> stop\n[DONE]", f"{ROLE}\n{{}} -> stop\n[DONE]")
    many = compact({"content": "<|end|>" * 99})
    stream = f"{ROLE}\n{many} -> stop\n[DONE]"
    assert repaired(stream, conforming=False).text == stream


def test_a_chunk_that_says_nothing_does_not_part_a_header() -> None:
    nothing = '{"content":""}'
    start, end = (compact({"content": text}) for text in ("<|start|>assistant", "<|channel|>commentary"))
    becomes(
        f"{ROLE}\n{start}\n{nothing}\n{end}\n{nothing}\n{{}} -> length\n[DONE]",
        f"{ROLE}\n{{}} -> length\n[DONE]",
    )
    text = f"{ROLE}\n{start}\n{nothing}\n{compact({'content': 's'})}\n{{}} -> stop\n[DONE]"
    made = repaired(text, conforming=False)
    assert made.text == text, "what waits leaves in its order"
    assert not made.repairs


def test_other_choices_do_not_wait_for_a_header() -> None:
    header, other = '{"content":"<|channel|>"}', '1: {"content":"Hi"}'
    made = becomes(
        f"{ROLE}\n{header}\n1: {ROLE}\n{other}\n{{}} -> length\n1: {{}} -> stop\n[DONE]",
        f"{ROLE}\n1: {ROLE}\n{other}\n{{}} -> length\n1: {{}} -> stop\n[DONE]",
        request={**REQUEST, "n": 2},
    )
    assert made.repairs == {"leaked_headers": 1}
    made = repaired(
        f"{ROLE}\n{header}\n1: {ROLE}\n{other}",
        request={**REQUEST, "n": 2},
        end=BodyEnd.CUT,
        conforming=False,
    )
    assert made.text.startswith(f"{ROLE}\n1: {ROLE}\n{other}\n{header}\n! ")
