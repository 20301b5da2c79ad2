"""The table of messages agrees with the types of the `anthropic` package."""

from typing import Any, get_args

import pytest
from anthropic import types
from anthropic.types import raw_content_block_start_event, raw_message_stream_event
from anthropic.types.shared import ErrorObject

from tests.families.messages.test_conformance import REQUEST, perfect
from vllm_sse_proxy.families.messages import grammar
from vllm_sse_proxy.families.messages.conformance import check_stream


def members(union: Any) -> dict[str, Any]:
    """Return the models of a union by the type that each names."""
    models = get_args(get_args(union)[0])
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in models}


BLOCKS = members(raw_content_block_start_event.ContentBlock)
DELTAS = members(types.RawContentBlockDelta)


def test_closed_lists() -> None:
    assert {*members(raw_message_stream_event.RawMessageStreamEvent)} == grammar.EVENTS - {
        grammar.PING,
        grammar.ERROR,
    }
    assert {*get_args(types.StopReason)} == grammar.STOP_REASONS
    assert {*members(ErrorObject)} == grammar.ERROR_TYPES - {"request_too_large"}
    assert grammar.CUT_REASONS < grammar.STOP_REASONS


def test_blocks() -> None:
    assert {*BLOCKS} == {*grammar.BLOCKS}
    assert {*DELTAS} == {delta for kind in grammar.BLOCKS.values() for delta in kind.deltas}


@pytest.mark.parametrize("name", ["text", "thinking", "tool_use", "server_tool_use", "redacted_thinking"])
def test_members_of_blocks(name: str) -> None:
    kind, fields = grammar.BLOCKS[name], BLOCKS[name].model_fields
    wanted = {key for key, field in fields.items() if field.is_required()} - {"type"}
    signature = {"signature"} if name == grammar.THINKING else set()
    assert {*kind.strings, *(("input",) if kind.inputs else ())} == wanted - signature


@pytest.mark.parametrize("name", grammar.DELTA_MEMBERS)
def test_members_of_deltas(name: str) -> None:
    fields = {key for key, field in DELTAS[name].model_fields.items() if field.annotation is str}
    assert fields == {grammar.DELTA_MEMBERS[name]}


def test_unknown_members_pass() -> None:
    case = perfect()
    for event in case.events:
        if isinstance(event, dict):
            event["x_unknown"] = {}
            for key in ("message", "delta", "content_block", "usage"):
                if key in event:
                    event[key]["x_unknown"] = None
    assert check_stream(case.encode(), request=REQUEST) == []
