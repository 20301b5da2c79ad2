"""The role of a choice."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import ROLE, becomes, stays


def test_a_stream_with_its_role_stays() -> None:
    stays(f'{ROLE}\n{{"content":"Hi"}}\n{{}} -> stop\n[DONE]')
    stays(f'{ROLE}\n1: {ROLE}\n{{"content":"Hi","role":null}}\n1: {{}} -> stop\n{{}} -> stop\n[DONE]')


@pytest.mark.parametrize("role", ["", '"role":null,', '"role":"",', '"role":"tool",'])
def test_a_first_delta_without_a_role_gets_one(role: str) -> None:
    made = becomes(
        f'{{{role}"content":"Hi"}}\n{{}} -> stop\n[DONE]',
        '{"role":"assistant","content":"Hi"}\n{} -> stop\n[DONE]'
        if role
        else '{"content":"Hi","role":"assistant"}\n{} -> stop\n[DONE]',
    )
    assert made.repairs == {"roles": 1}


def test_so_does_one_that_is_a_finish_or_a_call() -> None:
    becomes("{} -> stop\n[DONE]", '{"role":"assistant"} -> stop\n[DONE]')
    becomes(
        """
        {"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}
        {} -> tool_calls
        [DONE]
        """,
        """
        {"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}],"role":"assistant"}
        {} -> tool_calls
        [DONE]
        """,
    )


def test_a_role_in_every_delta_stays_in_the_first() -> None:
    becomes(
        f"""
        {ROLE}
        {{"role":"assistant"}}
        {{"role":"assistant","content":"Hi"}}
        {{"role":"assistant","content":"!"}} -> stop
        [DONE]
        """,
        f"""
        {ROLE}
        {{"content":"Hi"}}
        {{"content":"!"}} -> stop
        [DONE]
        """,
    )
