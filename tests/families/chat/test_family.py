"""What the chat family is to the engine."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import ROLE, TOOLS, Json, compact, repaired, wire
from vllm_sse_proxy import Plan, RequestContext, StreamNormalizer
from vllm_sse_proxy.families import CHAT
from vllm_sse_proxy.families.chat.request import ChatRequest, Choice
from vllm_sse_proxy.families.chat.view import ChatView


def test_messages_are_not_remembered() -> None:
    context = CHAT.context("", {"messages": [{"role": "user", "content": "x" * 1000}], "n": 2})
    assert context.body == {"n": 2}
    assert CHAT.context("seed", None) == RequestContext(seed="seed")


def test_http_errors_have_upstreams_number_as_code() -> None:
    assert CHAT.error("No.", "BadRequestError", "400")["error"]["code"] == 400
    assert CHAT.error("No.", "server_error", "upstream_cut")["error"]["code"] == "upstream_cut"
    assert CHAT.error("No.", "server_error", "9" * 5000)["error"]["code"] == "9" * 5000


def test_a_request_in_any_shape_is_read() -> None:
    assert ChatRequest(None).choice is Choice.UNKNOWN
    assert ChatRequest({}).choice is Choice.NONE
    assert ChatRequest({"tools": TOOLS}).choice is Choice.AUTO
    assert ChatRequest({"tools": TOOLS, "tool_choice": "odd"}).choice is Choice.AUTO
    assert ChatRequest({"tools": TOOLS, "tool_choice": 5}).choice is Choice.AUTO
    assert ChatRequest({"tools": [5, {"function": 5}, {"function": {"name": 5}}], "n": "x"}).tools == {}
    assert ChatRequest({"tools": 5, "n": True, "response_format": 5, "chat_template_kwargs": 5}).n == 1
    named = ChatRequest({"tool_choice": {"function": {"name": "f"}}})
    assert (named.choice, named.named, named.only_name) == (Choice.NAMED, "f", "f")


def test_tools_are_known_by_what_they_require() -> None:
    request = ChatRequest({"tools": TOOLS})
    assert request.requires_arguments("get_weather")
    assert not request.requires_arguments("get_time")
    assert not request.requires_arguments("other")
    assert request.may_be_called_without_arguments("get_time")
    assert not request.may_be_called_without_arguments("get_weather")
    assert not request.may_be_called_without_arguments("other")


def test_the_view_takes_anything() -> None:
    """With repairs switched off, everything may reach it."""
    view = ChatView()
    odd = (
        {"choices": 5},
        {
            "choices": [
                5,
                {"index": "x", "delta": 5},
                {"delta": {"tool_calls": [5, {"index": "x", "function": 5}]}},
            ]
        },
        {"choices": [{"index": 0, "delta": {"content": 5, "tool_calls": 5}, "finish_reason": 5}]},
    )
    for body in odd:
        event = CHAT.read(b"{}", None).having(**body)
        event.type = "text"
        view.apply(event)
        view.text_of(event)
        view.words_of(event)
        event.type = "call"
        view.text_of(event)
        view.words_of(event)
    assert view.heard


def test_an_open_stream_says_how_much_it_remembers() -> None:
    made = repaired(f'{ROLE}\n{{"content":"12345"}}\n{{"reasoning":"123"}}\n{{}} -> stop\n[DONE]')
    assert made.normalizer._view.size == 508


def test_chunks_may_come_in_any_pieces() -> None:
    stream = wire(f'{ROLE}\n{{"content":"a"}}\n{{"content":"b"}}\n{{"content":"c"}}\n{{}} -> stop\n[DONE]')
    normalizer = StreamNormalizer(Plan.of(CHAT, strict=True))
    made = b"".join(normalizer.feed(stream[at : at + 1]) for at in range(len(stream)))
    assert made == stream
    assert normalizer.ended


@pytest.mark.parametrize(
    "first",
    [
        {"content": "["},
        {"content": "<tool_call>"},
        {"content": "E"},
        {"reasoning": "<think"},
        {
            "tool_calls": [
                {"index": 0, "id": "a", "type": "function", "function": {"name": "other", "arguments": ""}}
            ]
        },
    ],
)
def test_no_choice_begins_before_the_one_before_it(first: Json) -> None:
    """openai-python's helper numbers choices by their first appearance."""
    begun = compact({"role": "assistant", **first})
    lines = [
        begun,
        f"1: {ROLE}",
        '1: {"content":"b"}',
        '{"content":"a"}',
        "{} -> length",
        "1: {} -> stop",
        "[DONE]",
    ]
    request = {"n": 2, "stop": "END", "tools": TOOLS}
    made = repaired("\n".join(lines), request=request, conforming=False)
    assert made.text.split("\n")[0] == begun


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            ['{"content":"<tool_call>{\\"name\\": \\"get_time\\","}'],
            '{"content":" \\"arguments\\": {}}</tool_call>"}',
        ),
        (['{"content":"a E"}'], '{"content":"ND"}'),
        (['{"reasoning":"<th"}'], '{"reasoning":"ink>Hm"}'),
        (['{"reasoning":"r"}', '{"content":"a <think>\\nb"}'], '{"content":"\\n</think>c"}'),
    ],
)
def test_what_says_nothing_parts_nothing(before: list[str], after: str) -> None:
    request = {"tools": TOOLS, "stop": "END"}
    end = ['{} -> stop + {"stop_reason":"END"}', "[DONE]"]
    lines = [ROLE, *before, after, *end]
    expected = repaired("\n".join(lines), request=request)
    lines.insert(-3, "{}")
    assert expected.repairs
    assert repaired("\n".join(lines), request=request).text == expected.text
