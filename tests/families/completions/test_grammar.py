"""The table of completions agrees with the types of the `openai` package."""

from typing import get_args

from openai.types.completion import Completion
from openai.types.completion_choice import CompletionChoice, Logprobs
from openai.types.completion_usage import CompletionTokensDetails, CompletionUsage, PromptTokensDetails

from tests.families.completions.test_conformance import REQUEST, perfect
from vllm_sse_proxy.families import chunk_judging
from vllm_sse_proxy.families.completions import grammar
from vllm_sse_proxy.families.completions.conformance import check_stream


def test_closed_lists() -> None:
    assert {*get_args(CompletionChoice.model_fields["finish_reason"].annotation)} == grammar.FINISH_REASONS
    assert {*get_args(Completion.model_fields["object"].annotation)} == {grammar.OBJECT}


def test_members() -> None:
    assert {*Logprobs.model_fields} == {*grammar.LOGPROB_LISTS}
    assert {*CompletionChoice.model_fields} == {"finish_reason", "index", "logprobs", "text"}


def test_counts_of_usage() -> None:
    counts = {name for name, field in CompletionUsage.model_fields.items() if field.annotation is int}
    assert counts == {*chunk_judging._COUNTS}
    assert {*CompletionUsage.model_fields} - counts == {*chunk_judging._DETAILS}
    details = {*CompletionTokensDetails.model_fields, *PromptTokensDetails.model_fields}
    assert details == {*chunk_judging._DETAIL_COUNTS}


def test_vllms_own_members_are_none_of_openais_and_pass() -> None:
    assert not {*grammar.VLLM_TOP_MEMBERS} & {*Completion.model_fields}
    assert not {*grammar.VLLM_CHOICE_MEMBERS} & {*CompletionChoice.model_fields}
    for value in (None, [1], {"a": 1}, "x", 1):
        case = perfect()
        case[2].update(dict.fromkeys((*grammar.VLLM_TOP_MEMBERS, "x_unknown"), value))
        case[2]["choices"][0].update(dict.fromkeys((*grammar.VLLM_CHOICE_MEMBERS, "x_unknown"), value))
        assert check_stream(case.encode(), request=REQUEST) == []
