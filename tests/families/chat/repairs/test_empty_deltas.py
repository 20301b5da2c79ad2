"""Chunks that say nothing."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, becomes, stays

HEAD = '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_time","arguments":""}}]}'


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        '{"content":null}',
        '{"tool_calls":[]}',
        '{"tool_calls":[{}]}',
        '{"tool_calls":[],"content":null}',
        '{"role":"assistant"}',
        '{} ++ {"system_fingerprint":"x"}',
        '! {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}',
        '! {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":null}',
    ],
)
def test_what_says_nothing_goes(line: str) -> None:
    made = becomes(f"{ROLE}\n{line}\n{{}} -> stop\n[DONE]", f"{ROLE}\n{{}} -> stop\n[DONE]", request=REQUEST)
    assert made.normalizer.tally.events_out == 2


def test_pieces_without_anything_go() -> None:
    becomes(
        f'{ROLE}\n{HEAD}\n{{"tool_calls":[{{"index":0,"function":{{"arguments":""}}}}]}}\n{{"tool_calls":[{{"index":0,"function":{{"arguments":"{{}}"}}}}]}}\n{{}} -> tool_calls\n[DONE]',
        f'{ROLE}\n{HEAD}\n{{"tool_calls":[{{"index":0,"function":{{"arguments":"{{}}"}}}}]}}\n{{}} -> tool_calls\n[DONE]',
        request=REQUEST,
    )


def test_an_empty_list_goes_from_beside_text_and_from_a_finish() -> None:
    becomes(
        f'{ROLE}\n{{"content":"Hi","tool_calls":[]}}\n{{"tool_calls":[]}} -> stop\n[DONE]',
        f'{ROLE}\n{{"content":"Hi"}}\n{{}} -> stop\n[DONE]',
        request=REQUEST,
    )


@pytest.mark.parametrize(
    "line",
    [
        '{"content":""}',
        '{} + {"token_ids":[5]}',
        '{} + {"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":null,"top_logprobs":[]}],"refusal":null}}',
        '{} ++ {"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}',
        '{"x_vendor":1}',
    ],
)
def test_what_carries_something_stays(line: str) -> None:
    stays(f"{ROLE}\n{line}\n{{}} -> stop\n[DONE]", request=REQUEST)
