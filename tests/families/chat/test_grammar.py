"""The table of chat completions agrees with the types of the `openai` package."""

from typing import Any, Literal, get_args, get_origin

from openai.types.chat import chat_completion_chunk as types
from openai.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob

from tests.families.chat.test_conformance import REQUEST, perfect
from vllm_sse_proxy.families.chat import grammar
from vllm_sse_proxy.families.chat.conformance import check_stream
from vllm_sse_proxy.families.chunk_judging import SERVICE_TIERS


def literals(annotation: Any) -> set[Any]:
    """Return the values that a type lists, those of its union too."""
    if get_origin(annotation) is Literal:
        return {*get_args(annotation)}
    return {value for each in get_args(annotation) for value in literals(each)}


def of_type(model: Any, *kinds: type) -> set[str]:
    """Return the members of a model that may be one of some types."""
    return {name for name, field in model.model_fields.items() if {*kinds} & {*get_args(field.annotation)}}


def test_closed_lists() -> None:
    assert literals(types.Choice.model_fields["finish_reason"].annotation) == grammar.FINISH_REASONS
    assert literals(types.ChatCompletionChunk.model_fields["object"].annotation) == {grammar.OBJECT}
    assert literals(types.ChatCompletionChunk.model_fields["service_tier"].annotation) == SERVICE_TIERS
    assert literals(types.ChoiceDeltaToolCall.model_fields["type"].annotation) == {grammar.FUNCTION}
    assert grammar.ROLE in literals(types.ChoiceDelta.model_fields["role"].annotation)
    assert grammar.CUT_REASONS < grammar.FINISH_REASONS


def test_members_of_a_delta() -> None:
    assert of_type(types.ChoiceDelta, str) == {*grammar.TEXT_MEMBERS} - {*grammar.REASONING_NAMES}
    assert {*types.ChoiceDelta.model_fields} - {"role", "tool_calls"} == {
        *grammar.TEXT_MEMBERS,
        *grammar.OBJECT_MEMBERS,
    } - {*grammar.REASONING_NAMES}
    assert {*grammar.OBJECT_MEMBERS["function_call"]} == of_type(types.ChoiceDeltaFunctionCall, str)
    assert {*grammar.OBJECT_MEMBERS["audio"]} == of_type(types.ChoiceDeltaAudio, str, int)
    assert {*types.ChoiceDeltaToolCall.model_fields} == {"index", "id", "type", "function"}
    assert {*types.ChoiceDeltaToolCallFunction.model_fields} == {"name", "arguments"}


def test_members_of_log_probabilities() -> None:
    assert {*types.ChoiceLogprobs.model_fields} == {*grammar.LOGPROB_LISTS}
    assert {*ChatCompletionTokenLogprob.model_fields} == {"token", "bytes", "logprob", "top_logprobs"}


def test_vllms_own_members_are_none_of_openais_and_pass() -> None:
    assert not {*grammar.VLLM_TOP_MEMBERS} & {*types.ChatCompletionChunk.model_fields}
    assert not {*grammar.VLLM_CHOICE_MEMBERS} & {*types.Choice.model_fields}
    for value in (None, [1], {"a": 1}, "x", 1):
        case = perfect()
        case[3].update(dict.fromkeys((*grammar.VLLM_TOP_MEMBERS, "x_unknown"), value))
        case[3]["choices"][0].update(dict.fromkeys((*grammar.VLLM_CHOICE_MEMBERS, "x_unknown"), value))
        case[3]["choices"][0]["delta"]["x_unknown"] = value
        assert check_stream(case.encode(), request=REQUEST) == []
