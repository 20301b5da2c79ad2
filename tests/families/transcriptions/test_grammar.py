"""The table of transcriptions agrees with the types of the `openai` package."""

from typing import get_args

import pytest
from openai.types.audio import TranscriptionStreamEvent
from openai.types.audio.transcription_text_done_event import Usage

from vllm_sse_proxy.families.transcriptions import grammar

EVENTS = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(TranscriptionStreamEvent)[0])
}


def test_events() -> None:
    assert {*EVENTS} == {*grammar.STRINGS} == {*grammar.NUMBERS}


@pytest.mark.parametrize("name", EVENTS)
def test_members(name: str) -> None:
    wanted = {
        key: field.annotation for key, field in EVENTS[name].model_fields.items() if field.is_required()
    }
    assert {key for key, type_ in wanted.items() if type_ is str} == {*grammar.STRINGS[name]}
    assert {key for key, type_ in wanted.items() if type_ is float} == {*grammar.NUMBERS[name]}


def test_usage() -> None:
    assert {key for key, field in Usage.model_fields.items() if field.annotation is int} == {
        *grammar.TOKEN_COUNTS
    }
