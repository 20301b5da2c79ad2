"""Choices and their deltas have their shapes."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import ROLE, becomes, repaired, stays, wire
from vllm_sse_proxy import Plan, StreamNormalizer
from vllm_sse_proxy.families import CHAT

HEAD = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"'


def chunk(choices: str) -> str:
    return f'! {{{HEAD},"choices":{choices}}}'


@pytest.mark.parametrize(
    ("choice", "shaped"),
    [
        ('{"index":0,"delta":null,"finish_reason":"stop"}', "{} -> stop"),
        ('{"index":0,"finish_reason":"stop"}', "{} -> stop"),
        ('{"delta":{},"finish_reason":"stop"}', "{} -> stop"),
        ('{"index":"0","delta":{},"finish_reason":"stop"}', "{} -> stop"),
        ('{"index":0.0,"delta":{},"finish_reason":"stop"}', "{} -> stop"),
        ('{"index":-1,"delta":{},"finish_reason":"stop"}', "{} -> stop"),
        ('{"index":true,"delta":{},"finish_reason":"stop"}', "{} -> stop"),
        ('{"index":0,"delta":{"content":["a",{"type":"text","text":"b"}]},"finish_reason":"stop"}', '{"content":"ab"} -> stop'),
        ('{"index":0,"delta":{"content":{"text":"b"}},"finish_reason":"stop"}', '{"content":"b"} -> stop'),
        ('{"index":0,"delta":{"content":5},"finish_reason":"stop"}', '{"content":"5"} -> stop'),
        ('{"index":0,"delta":{"content":true},"finish_reason":"stop"}', '{"content":null} -> stop'),
        ('{"index":0,"delta":{"content":{"x":1},"audio":5},"finish_reason":"stop"}', '{"content":null,"audio":null} -> stop'),
        ('{"index":0,"message":{"role":"assistant","content":"b"},"finish_reason":"stop"}', '{"content":"b"} -> stop + {"message":{"role":"assistant","content":"b"}}'),
        ('{"index":0,"delta":{"content":"b"},"logprobs":5,"finish_reason":"stop"}', '{"content":"b"} -> stop'),
        ('{"index":0,"delta":{"content":"b"},"logprobs":{},"finish_reason":"stop"}', '{"content":"b"} -> stop'),
        ('{"index":0,"delta":{"content":"b"},"logprobs":{"content":[]},"finish_reason":"stop"}', '{"content":"b"} -> stop + {"logprobs":{"content":[],"refusal":null}}'),
        ('{"index":0,"delta":{"tool_calls":5},"finish_reason":"stop"}', '{"tool_calls":null} -> stop'),
    ],
)  # fmt: skip
def test_a_choice_gets_its_shape(choice: str, shaped: str) -> None:
    becomes(f"{ROLE}\n{chunk(f'[{choice}]')}\n[DONE]", f"{ROLE}\n{shaped}\n[DONE]")


@pytest.mark.parametrize("empty", ['""', "false", "0", "[]"])
def test_an_empty_reason_is_none(empty: str) -> None:
    broken = chunk(f'[{{"index":0,"delta":{{"content":"b"}},"finish_reason":{empty}}}]')
    becomes(f"{ROLE}\n{broken}\n{{}} -> stop\n[DONE]", f'{ROLE}\n{{"content":"b"}}\n{{}} -> stop\n[DONE]')


def test_pieces_of_calls_get_their_shape() -> None:
    becomes(
        f"""
        {ROLE}
        {chunk('[{"index":0,"delta":{"tool_calls":{"index":0,"id":5,"type":"function","function":{"name":["f"],"arguments":"{}"}}}}]')}
        {chunk('[{"index":0,"delta":{"tool_calls":[7,{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]}}]')}
        {chunk('[{"index":0,"delta":{"tool_calls":[{"index":1,"function":"x"}]}}]')}
        {{}} -> tool_calls
        [DONE]
        """,
        f"""
        {ROLE}
        {{"tool_calls":[{{"index":0,"id":"5","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}}
        {{"tool_calls":[{{"index":1,"id":"b","type":"function","function":{{"name":"g","arguments":"{{}}"}}}}]}}
        {{}} -> tool_calls
        [DONE]
        """,
    )


def test_what_is_no_choice_goes() -> None:
    becomes(f"{ROLE}\n{chunk('[5]')}\n{{}} -> stop\n[DONE]", f"{ROLE}\n{{}} -> stop\n[DONE]")


TWO = f"""
{chunk('[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null},{"index":1,"delta":{"role":"assistant","content":"b"},"finish_reason":null}]')}
{chunk('[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{},"finish_reason":"stop"}]')}
[DONE]
"""


def test_several_choices_in_a_chunk_leave_as_they_came() -> None:
    stays(TWO)


def test_they_are_taken_apart_if_one_is_wrong() -> None:
    becomes(
        TWO.replace(
            '{"index":1,"delta":{},"finish_reason":"stop"}', '{"index":1,"delta":null,"finish_reason":"stop"}'
        ),
        f"""
        {TWO.strip().split(chr(10))[0]}
        {{}} -> stop
        1: {{}} -> stop
        [DONE]
        """,
    )
    broken = TWO.replace('"role":"assistant","content":"b"', '"content":"b"')
    becomes(
        broken,
        f"""
        {{"role":"assistant","content":"a"}}
        1: {{"content":"b","role":"assistant"}}
        {TWO.strip().split(chr(10))[1]}
        [DONE]
        """,
    )


def test_one_choice_twice_in_a_chunk_is_two_chunks() -> None:
    becomes(
        f"""
        {ROLE}
        {chunk('[{"index":0,"delta":{"content":"a"},"finish_reason":null},{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]')}
        [DONE]
        """,
        f"""
        {ROLE}
        {{"content":"a"}}
        {{"content":"b"}} -> stop
        [DONE]
        """,
    )


def test_parts_of_which_one_is_dropped_or_delayed_leave_apart() -> None:
    broken = chunk(
        '[{"index":0,"delta":{"content":"a"},"finish_reason":null},{"index":1,"delta":{},"finish_reason":null},{"index":2,"delta":{"content":"c"},"finish_reason":null}]'
    )
    made = repaired(
        f"{ROLE}\n1: {ROLE}\n2: {ROLE}\n{broken}\n{{}} -> stop\n1: {{}} -> stop\n2: {{}} -> stop\n[DONE]"
    )
    assert made.text.split("\n")[3:5] == ['{"content":"a"}', '2: {"content":"c"}']


def test_parts_that_wait_leave_with_a_comment() -> None:
    """Which can only come between chunks, so there are none; but the engine asks."""
    normalizer = StreamNormalizer(Plan.of(CHAT, strict=True))
    assert normalizer.feed(wire(TWO.strip().split("\n")[0]) + b": ping\n\n").endswith(b": ping\n\n")


def test_it_cannot_be_switched_off() -> None:
    assert {repair.name for repair in CHAT.repairs if repair.needed} == {"choice_shapes", "split_deltas"}


def test_choices_that_are_no_list_are_left_to_chunk_fields() -> None:
    stream = wire(f"{ROLE}\n{chunk('7')}\n{{}} -> stop\n[DONE]")
    assert repaired(stream, disabled=["chunk_fields"], conforming=False).made == stream


def test_where_one_choice_was_asked_for_it_is_the_first() -> None:
    becomes(
        f'1: {ROLE}\n1: {{"content":"a"}}\n1: {{"content":"b"}}\n1: {{}} -> stop\n[DONE]',
        f'{ROLE}\n{{"content":"a"}}\n{{"content":"b"}}\n{{}} -> stop\n[DONE]',
        request={"n": 1},
    )
