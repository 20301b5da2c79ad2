"""Finish reasons."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, Json, becomes, compact, repaired, stays
from vllm_sse_proxy import Ending

NAMED = {**REQUEST, "tool_choice": {"type": "function", "function": {"name": "get_weather"}}}
REQUIRED = {**REQUEST, "tool_choice": "required"}


def call(arguments: str, name: str = "get_weather", number: int = 0) -> str:
    function = {"name": name, "arguments": arguments}
    return compact(
        {"tool_calls": [{"index": number, "id": f"i{number}", "type": "function", "function": function}]}
    )


def ends(*each: str, reason: str, request: Json | None = None, conforming: bool = True) -> str:
    made = repaired(
        "\n".join((ROLE, *each, f"{{}} -> {reason}", "[DONE]")), request=request, conforming=conforming
    )
    return made.text.split("\n")[-2]


WHOLE = call('{"city": "Paris"}')
CUT = call('{"city": "Par')


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "function_call"])
def test_true_reasons_stay(reason: str) -> None:
    stays(f'{ROLE}\n{{"content":"Hi"}}\n{{}} -> {reason} + {{"stop_reason":null}}\n[DONE]', request=REQUEST)


def test_calls_have_tool_calls() -> None:
    stays(f"{ROLE}\n{WHOLE}\n{{}} -> tool_calls\n[DONE]", request=REQUEST)
    assert ends(WHOLE, reason="stop", request=REQUEST) == "{} -> tool_calls"
    assert ends(WHOLE, reason="stop", request=REQUIRED) == "{} -> tool_calls"
    assert (
        ends(WHOLE, reason="stop", request={**REQUEST, "tool_choice": {"type": "allowed_tools"}})
        == "{} -> tool_calls"
    )


def test_a_named_choice_stops() -> None:
    assert ends(WHOLE, reason="tool_calls", request=NAMED) == "{} -> stop"
    stays(f"{ROLE}\n{WHOLE}\n{{}} -> stop\n[DONE]", request=NAMED)


def test_without_the_request_nobody_knows() -> None:
    assert ends(WHOLE, reason="stop") == "{} -> stop"
    assert ends(WHOLE, reason="tool_calls") == "{} -> tool_calls"
    none = {**REQUEST, "tool_choice": "none"}
    assert ends(WHOLE, reason="stop", request=none, conforming=False) == "{} -> stop"


@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
@pytest.mark.parametrize("request_", [REQUEST, REQUIRED, NAMED, None])
@pytest.mark.parametrize(
    "arguments", ["{", '{"city": ', '{"city": "Par', '{"city": "Paris"', '{"city": [1', '{"a":1', "", "  "]
)
def test_a_cut_call_is_never_called_complete(arguments: str, request_: Json | None, reason: str) -> None:
    assert ends(call(arguments), reason=reason, request=request_, conforming=False) == "{} -> length"
    if arguments:
        with_finish = f"{ROLE}\n{call(arguments)} -> {reason}\n[DONE]"
        assert repaired(with_finish, request=request_, conforming=False).text.endswith("-> length\n[DONE]")


def test_nor_is_one_whose_last_piece_came_with_the_finish() -> None:
    piece = compact({"tool_calls": [{"index": 0, "function": {"arguments": "ris"}}]})
    end = compact({"tool_calls": [{"index": 0, "function": {"arguments": 'ris"}'}}]})
    for last, reason in ((piece, "length"), (end, "tool_calls")):
        made = repaired(f"{ROLE}\n{CUT}\n{last} -> tool_calls\n[DONE]", request=REQUEST, conforming=False)
        assert made.text.endswith(f"{last} -> {reason}\n[DONE]")


def test_one_that_is_cut_is_enough() -> None:
    assert (
        ends(CUT, call('{"city":1}', number=1), reason="tool_calls", request=REQUEST, conforming=False)
        == "{} -> length"
    )


def test_an_empty_object_where_something_is_required_is_no_call() -> None:
    assert ends(call("{ }"), reason="tool_calls", request=REQUEST) == "{} -> length"
    assert ends(call("{}", "get_time"), reason="tool_calls", request=REQUEST) == "{} -> tool_calls"
    assert (
        ends(call("{}", "other"), reason="tool_calls", request=REQUEST, conforming=False)
        == "{} -> tool_calls"
    )


def test_a_limit_stays_a_limit() -> None:
    for reason in ("length", "content_filter"):
        assert ends(CUT, reason=reason, request=REQUEST) == f"{{}} -> {reason}"


def test_broken_arguments_stay_the_clients_business() -> None:
    assert (
        ends(call("{city: Paris}"), reason="tool_calls", request=REQUEST, conforming=False)
        == "{} -> tool_calls"
    )


def test_calls_that_were_lost() -> None:
    assert ends('{"content":"Hi"}', reason="tool_calls", request=REQUEST) == "{} -> stop"
    assert ends('{"refusal":"No"}', reason="tool_calls", request=REQUEST) == "{} -> stop"
    made = repaired(f'{ROLE}\n{{"content":"Hi"}} -> tool_calls\n[DONE]', request=REQUEST)
    assert made.text == f'{ROLE}\n{{"content":"Hi"}} -> stop\n[DONE]'
    for before in ((), ('{"reasoning":"r"}',), ('{"content":"\\n\\n"}',)):
        made = repaired("\n".join((ROLE, *before, "{} -> tool_calls\n[DONE]")), request=REQUEST)
        assert '! {"error":{"message":"The upstream server reported tool calls, and sent none."' in made.text
        assert made.text.endswith('"code":502}}\n[DONE]')
        assert made.ending is Ending.UPSTREAM_ERROR


@pytest.mark.parametrize(
    ("reason", "message", "code"),
    [
        ("abort", "The upstream server aborted the request.", 503),
        ("error", "The upstream server could not finish the answer.", 500),
        ("cancelled", "The upstream server ended the answer for an unknown reason: cancelled", 502),
    ],
)
def test_what_is_no_end_of_an_answer_is_an_error(reason: str, message: str, code: int) -> None:
    type_ = "ServiceUnavailableError" if code == 503 else "InternalServerError"
    error = f'! {{"error":{{"message":"{message}","type":"{type_}","param":null,"code":{code}}}}}'
    made = becomes(
        f'{ROLE}\n{{"content":"Hi"}} -> {reason} + {{"stop_reason":null}}\n[DONE]',
        f'{ROLE}\n{{"content":"Hi"}}\n{error}\n[DONE]',
        request=REQUEST,
    )
    assert made.ending is Ending.UPSTREAM_ERROR
    becomes(f"{ROLE}\n{{}} -> {reason}\n[DONE]", f"{ROLE}\n{error}\n[DONE]", request=REQUEST)


def test_a_reason_that_is_no_text() -> None:
    head = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"'
    made = repaired(
        f'{ROLE}\n! {{{head},"choices":[{{"index":0,"delta":{{}},"finish_reason":{{"a":1}}}}]}}\n[DONE]'
    )
    assert 'unknown reason: {\\"a\\":1}' in made.text


def test_one_aborted_choice_ends_them_all() -> None:
    made = repaired(f"{ROLE}\n1: {ROLE}\n{{}} -> abort\n1: {{}} -> stop\n[DONE]", request={**REQUEST, "n": 2})
    assert made.text.split("\n")[2].startswith("! ")
    assert made.text.endswith("\n[DONE]")


@pytest.mark.parametrize(
    ("reason", "same"),
    [
        ("repetition", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
    ],
)
def test_other_words_for_the_same(reason: str, same: str) -> None:
    before = WHOLE if same == "tool_calls" else '{"content":"Hi"}'
    made = becomes(
        f'{ROLE}\n{before}\n{{}} -> {reason} + {{"stop_reason":"x"}}\n[DONE]',
        f'{ROLE}\n{before}\n{{}} -> {same} + {{"stop_reason":"x"}}\n[DONE]',
        request=REQUEST,
    )
    assert made.repairs == {"finish_reasons": 1}


def test_before_anything_else_an_abort_is_for_an_http_error() -> None:
    made = repaired("{} -> abort\n[DONE]")
    assert not made.normalizer.committed
    failure = made.normalizer.failure
    assert failure is not None
    assert failure.status == 503


def test_a_second_reason_is_not_looked_at() -> None:
    stream = f"{ROLE}\n{{}} -> stop\n{{}} -> abort\n[DONE]"
    assert repaired(stream, disabled=["late_chunks"], conforming=False).text == stream
