"""The usage chunk."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, becomes, repaired, stays

HEAD = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"'
ASKED = {**REQUEST, "stream_options": {"include_usage": True}}


def usage(prompt: object = 1, completion: object = 2, total: object = 3) -> str:
    counts = f'"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}'
    return f'! {{{HEAD},"choices":[],"usage":{{{counts}}}}}'


def test_one_behind_the_last_finish_stays() -> None:
    stays(f"{ROLE}\n{{}} -> stop\n{usage()}\n[DONE]", request=ASKED)
    stays(f"{ROLE}\n{{}} -> stop\n{usage()}\n[DONE]", request=REQUEST)


def test_a_second_one_goes() -> None:
    becomes(
        f"{ROLE}\n{{}} -> stop\n{usage()}\n{usage(5)}\n[DONE]",
        f"{ROLE}\n{{}} -> stop\n{usage()}\n[DONE]",
        request=ASKED,
    )


def test_one_that_comes_too_early_waits() -> None:
    becomes(
        f'{ROLE}\n{usage()}\n{{"content":"Hi"}}\n{{}} -> stop\n[DONE]',
        f'{ROLE}\n{{"content":"Hi"}}\n{{}} -> stop\n{usage()}\n[DONE]',
        request=ASKED,
    )
    becomes(
        f"{ROLE}\n1: {ROLE}\n{{}} -> stop\n{usage()}\n1: {{}} -> stop\n[DONE]",
        f"{ROLE}\n1: {ROLE}\n{{}} -> stop\n1: {{}} -> stop\n{usage()}\n[DONE]",
        request={**ASKED, "n": 2},
    )


def test_of_several_early_ones_the_last_counts() -> None:
    becomes(
        f"{ROLE}\n{usage()}\n{usage(2, 2, 4)}\n{{}} -> stop\n[DONE]",
        f"{ROLE}\n{{}} -> stop\n{usage(2, 2, 4)}\n[DONE]",
        request=ASKED,
    )


def test_without_a_finish_there_is_none() -> None:
    made = repaired(f"{ROLE}\n{usage()}\n[DONE]", request=ASKED)
    assert "usage" not in made.text


@pytest.mark.parametrize("total", ["4", "null", '"3"', "true"])
def test_a_total_that_is_not_the_sum_is_made_so(total: str) -> None:
    becomes(
        f"{ROLE}\n{{}} -> stop\n{usage(total=total)}\n[DONE]",
        f"{ROLE}\n{{}} -> stop\n{usage()}\n[DONE]",
        request=ASKED,
    )
    wrong = f'"prompt_tokens":1,"completion_tokens":2,"total_tokens":{total}'
    becomes(
        f'{ROLE} ++ {{"usage":{{{wrong}}}}}\n{{}} -> stop\n[DONE]',
        f'{ROLE} ++ {{"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}\n{{}} -> stop\n[DONE]',
    )


@pytest.mark.parametrize("counts", [("null", 2, 3), (1, '"2"', 3), (-1, 4, 5)])
def test_numbers_are_never_made_up(counts: tuple[object, ...]) -> None:
    made = repaired(f"{ROLE}\n{{}} -> stop\n{usage(*counts)}\n[DONE]", request=ASKED, conforming=False)
    assert not made.repairs


def test_usage_without_choices_is_a_usage_chunk() -> None:
    bare = usage().replace('"choices":[],', "")
    made = repaired(f"{ROLE}\n{{}} -> stop\n{bare}\n[DONE]", request=ASKED)
    assert made.repairs == {"chunk_fields": 1}


def test_it_waits_for_a_choice_that_is_all_in_one_chunk() -> None:
    becomes(
        f'{usage()}\n{{"role":"assistant","content":"Hi"}} -> stop\n[DONE]',
        f'{{"role":"assistant","content":"Hi"}} -> stop\n{usage()}\n[DONE]',
        request=ASKED,
    )
