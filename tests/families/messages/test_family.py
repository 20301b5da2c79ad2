"""The family as the shell and the engine know it."""

from __future__ import annotations

import json

import pytest

from tests.support.messages import REQUEST, run, wire
from tests.support.replay import normalize
from vllm_sse_proxy import BodyEnd, Plan
from vllm_sse_proxy.families import MESSAGES
from vllm_sse_proxy.families.messages.grammar import ERROR_TYPES
from vllm_sse_proxy.server.errors import BODY_TOO_LARGE, CONNECT, FIRST_BYTE_TIMEOUT, OVERLOADED, Problem


def test_its_endpoints() -> None:
    assert [(one.method, one.path) for one in MESSAGES.endpoints] == [
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
    ]


@pytest.mark.parametrize(
    ("problem", "type_"),
    [
        (CONNECT, "api_error"),
        (FIRST_BYTE_TIMEOUT, "timeout_error"),
        (BODY_TOO_LARGE, "request_too_large"),
        (OVERLOADED, "overloaded_error"),
        (
            Problem(status=400, code="upstream_error", message="m", type="invalid_request_error"),
            "invalid_request_error",
        ),
        (Problem(status=500, code="internal_error", message="m"), "api_error"),
    ],
)
def test_errors_of_http_have_anthropics_form(problem: Problem, type_: str) -> None:
    body = MESSAGES.error(problem.message, problem.type, problem.code)
    assert body == {"type": "error", "error": {"type": type_, "message": problem.message}}
    assert type_ in ERROR_TYPES


def test_a_keepalive_is_a_ping() -> None:
    assert MESSAGES.keepalive(0) == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_what_is_kept_of_a_request() -> None:
    number = {"type": "object", "properties": {"b": {"type": "integer", "description": "long"}}}
    tools = [REQUEST["tools"][0], {"name": "list", "input_schema": number}]
    request = {**REQUEST, "tools": tools, "stop_sequences": ["a"], "system": "long", "max_tokens": 5}
    kept = MESSAGES.context("", request).body
    assert kept == {
        "model": "m",
        "max_tokens": 5,
        "stop_sequences": ["a"],
        "tools": [
            {"name": "look", "input_schema": {"required": ["a"], "properties": {}}},
            {"name": "list", "input_schema": {"required": [], "properties": {"b": {"type": ["integer"]}}}},
        ],
    }
    assert MESSAGES.context("", None).body is None
    assert MESSAGES.context("", {"tools": 3, "model": 7}).body == {"model": 7}


def test_deltas_are_rewritten_from_the_second_on() -> None:
    """Nine of ten events: they are neither parsed nor walked."""
    text = "start\ntext 0\n" + "text+ 0 word\n" * 50 + "stop 0\nend end_turn\nover"
    made, normalizer = run(wire(text))
    assert made == wire(text)
    engine = normalizer._engine
    assert engine._walks == 5 + 1


def test_inputs_are_walked() -> None:
    text = (
        'start\ncall 0 x look\ninput+ 0 {"a":"\n'
        + "input+ 0 word\n" * 50
        + 'input+ 0 "}\nstop 0\nend tool_use\nover'
    )
    made, normalizer = run(wire(text))
    assert made == wire(text)
    assert normalizer._engine._walks == 57


def test_a_message_has_no_id_to_ask_for() -> None:
    assert run(wire("start"))[1].response_id is None


def test_the_text_is_bounded() -> None:
    text = "start\ntext 0\n" + "text+ 0 word\n" * 10
    plan = Plan.of(MESSAGES, strict=True, max_text_bytes=270)
    made, normalizer = normalize([wire(text)], BodyEnd.EOF, plan=plan)
    assert normalizer.limit == "max_text_bytes"
    assert json.loads(made.splitlines()[-2][6:])["error"]["type"] == "api_error"
