"""The names of reasoning."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import ROLE, becomes, repaired, stays, text_of, wire
from vllm_sse_proxy.families.chat.settings import ChatReasoning

OLD = f'{ROLE}\n{{"reasoning_content":"a"}}\n{{"reasoning_content":"b"}}\n{{"content":"c"}}\n{{}} -> stop\n[DONE]'
NEW = OLD.replace("reasoning_content", "reasoning")
BOTH = f'{ROLE}\n{{"reasoning":"a","reasoning_content":"a"}}\n{{"reasoning":"b","reasoning_content":"b"}}\n{{"content":"c"}}\n{{}} -> stop\n[DONE]'


@pytest.mark.parametrize("stream", [OLD, NEW, BOTH])
@pytest.mark.parametrize(
    ("setting", "expected"),
    [(ChatReasoning.BOTH, BOTH), (ChatReasoning.REASONING, NEW), (ChatReasoning.REASONING_CONTENT, OLD)],
)
def test_reasoning_leaves_by_the_names_that_are_wanted(
    stream: str, setting: ChatReasoning, expected: str
) -> None:
    made = becomes(stream, expected, chat_reasoning=setting)
    assert made.repairs == ({} if stream == expected else {"reasoning_names": 2})


@pytest.mark.parametrize("stream", [OLD, NEW, BOTH])
def test_upstreams_names_can_stay(stream: str) -> None:
    stays(stream, chat_reasoning=ChatReasoning.UPSTREAM)


def test_by_default_it_has_both() -> None:
    assert repaired(NEW, chat_reasoning=ChatReasoning.BOTH).text == BOTH


def test_empty_and_absent_reasoning() -> None:
    stream = f'{ROLE}\n{{"reasoning":"","content":"c"}}\n{{"reasoning":null,"content":"d"}}\n{{"reasoning":"","reasoning_content":"r"}}\n{{}} -> stop\n[DONE]'
    made = repaired(stream, chat_reasoning=ChatReasoning.BOTH)
    assert made.text.split("\n")[1:4] == [
        '{"content":"c","reasoning":"","reasoning_content":""}',
        '{"reasoning":null,"content":"d"}',
        '{"reasoning":"r","reasoning_content":"r"}',
    ]


def test_two_texts_stay_two() -> None:
    stream = f'{ROLE}\n{{"reasoning":"a","reasoning_content":"b"}}\n{{}} -> stop\n[DONE]'
    made = repaired(stream, chat_reasoning=ChatReasoning.BOTH, conforming=False)
    assert made.text == text_of(wire(stream))
