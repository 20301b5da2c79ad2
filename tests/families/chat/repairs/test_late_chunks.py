"""What comes after a finish reason."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import ROLE, becomes, stays


@pytest.mark.parametrize(
    "late",
    [
        '{"content":"more"}',
        "{} -> stop",
        "{} -> abort",
        '{"role":"assistant"}',
        '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}',
        '{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}',
    ],
)
def test_nothing_of_a_choice_follows_its_finish(late: str) -> None:
    made = becomes(
        f'{ROLE}\n{{"content":"Hi"}}\n{{}} -> stop\n{late}\n[DONE]',
        f'{ROLE}\n{{"content":"Hi"}}\n{{}} -> stop\n[DONE]',
    )
    assert made.repairs == {"late_chunks": 1}


def test_other_choices_go_on() -> None:
    stays(f'{ROLE}\n1: {ROLE}\n{{}} -> stop\n1: {{"content":"Hi"}}\n1: {{}} -> stop\n[DONE]')
