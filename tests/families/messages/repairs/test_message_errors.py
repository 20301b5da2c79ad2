"""A03, A18, C01, C31: errors in whatever shape upstream reports them."""

from __future__ import annotations

import json

import pytest

from tests.support.messages import passes, repaired, run, short, wire
from vllm_sse_proxy.families.messages.error_reports import failure_of
from vllm_sse_proxy.stream.ending import Ending

BEGUN = "start\ntext 0\ntext+ 0 Hi\n"
DUMP = (
    "4 validation errors for ChatCompletionStreamResponse\nmodel\n  Field required [type=missing, "
    "input_value={'error': {'message': 'En...r', 'code': CODE}}, input_type=dict]"
)


def data(body: object) -> str:
    return json.dumps(body)


@pytest.mark.parametrize("type_", ["api_error", "overloaded_error", "invalid_request_error"])
def test_readable_errors_pass(type_: str) -> None:
    passes(f"{BEGUN}error {type_} Words.")
    passes(f'{BEGUN}{{"type":"error","error":{{"type":"{type_}","message":"m","code":1}},"request_id":"r"}}')


@pytest.mark.parametrize(
    ("report", "type_", "message"),
    [
        # vLLM's own, with a type that is none of Anthropic's (A18)
        ({"type": "error", "error": {"type": "internal_error", "message": "m"}}, "api_error", "m"),
        ({"type": "error", "error": {"type": "BadRequestError", "message": "m"}}, "api_error", "m"),
        ({"type": "error", "error": {"type": "NotFoundError", "message": "m"}}, "not_found_error", "m"),
        ({"type": "error", "error": {"message": "m"}}, "api_error", "m"),
        (
            {"type": "error", "error": {"type": "api_error"}},
            "api_error",
            "The upstream server reported an error.",
        ),
        ({"type": "error", "error": None}, "api_error", "The upstream server reported an error."),
        ({"type": "error", "error": "m"}, "api_error", "m"),
        ({"type": "error", "message": "m"}, "api_error", "m"),
        # the chat code's (C01)
        (
            {"error": {"message": "m", "type": "InternalServerError", "param": None, "code": 500}},
            "api_error",
            "m",
        ),
        ({"error": {"message": "m", "type": "BadRequestError", "code": 400}}, "api_error", "m"),
        ({"error": {"message": "m", "code": "429"}}, "rate_limit_error", "m"),
        ({"error": {"message": "m", "code": 503}}, "overloaded_error", "m"),
        ({"error": {"message": "m", "code": 529}}, "overloaded_error", "m"),
        ({"error": {"message": "m", "code": 504}}, "timeout_error", "m"),
        ({"error": {"message": "m", "code": 418}}, "api_error", "m"),
        ({"error": {"message": "m", "type": "Rate Limit Error"}}, "rate_limit_error", "m"),
        ({"object": "error", "message": "m", "type": "InternalServerError", "code": 500}, "api_error", "m"),
        ({"error": "m"}, "api_error", "m"),
        ({"error": ["m", "n"]}, "api_error", "m"),
        ({"errors": [{"message": "m"}]}, "api_error", "m"),
        ({"error": {"error": {"type": "timeout_error", "message": "m"}}}, "timeout_error", "m"),
        ({"detail": "m"}, "api_error", "m"),
        ({"detail": [{"msg": "m"}]}, "api_error", '[{"msg":"m"}]'),
        # a failed validation (A03)
        (
            {"type": "error", "error": {"type": "internal_error", "message": DUMP.replace("CODE", "500")}},
            "api_error",
            "The upstream server reported an error.",
        ),
        (
            {"type": "error", "error": {"type": "internal_error", "message": DUMP.replace("CODE", "503")}},
            "overloaded_error",
            "The upstream server reported an error.",
        ),
        (
            {"type": "error", "error": {"type": "api_error", "message": "1 validation error for X\n"}},
            "api_error",
            "The upstream server reported an error.",
        ),
    ],
)
def test_errors_become_anthropics(report: dict[str, object], type_: str, message: str) -> None:
    lines, counts = repaired(f"{BEGUN}data: {data(report)}")
    assert lines == [*short(BEGUN), f"error {type_} {message}"]
    assert counts == {"message_errors": 1}


@pytest.mark.parametrize(
    "said", ["Internal Server Error", '"Internal Server Error"', '{"msg": "Internal Server Error"}']
)
def test_what_stands_below_a_line_that_names_an_error_is_one(said: str) -> None:
    lines, counts = repaired(f"{BEGUN}event: error¶data: {said}")
    assert lines == [*short(BEGUN), "error api_error Internal Server Error"]
    assert counts == {"message_errors": 1}


def test_a_nameless_error_gets_its_name() -> None:
    """The Python SDK skips a frame without an `event:` line, and ends as if all was well."""
    lines, counts = repaired(f'{BEGUN}data: {{"type":"error","error":{{"type":"api_error","message":"m"}}}}')
    assert lines[3:] == ["error api_error m"]
    assert counts == {"event_names": 1}


@pytest.mark.parametrize(
    ("blocks", "type_"),
    [("start\n", "invalid_request_error"), (BEGUN, "api_error"), ("", "invalid_request_error")],
)
def test_a_request_that_was_answered_in_part_was_not_invalid(blocks: str, type_: str) -> None:
    """C31, C51."""
    made, normalizer = run(
        wire(f'{blocks}data: {{"error":{{"message":"m","type":"BadRequestError","code":400}}}}')
    )
    assert f'"type":"{type_}"'.encode() in made
    assert normalizer.ending is Ending.UPSTREAM_ERROR
    assert normalizer.committed == bool(blocks)
    assert normalizer.failure is not None
    assert normalizer.failure.status == (400 if type_.startswith("invalid") else 500)


@pytest.mark.parametrize(
    "event",
    [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "x"},
            "error": {"a": 1},
        },
        {"type": "vendor.event", "error": {"message": "m"}},
        {"type": "ping", "detail": "m"},
    ],
)
def test_other_events_are_no_errors(event: dict[str, object]) -> None:
    made, normalizer = run(wire(f"{BEGUN}{json.dumps(event)}"), disabled=["message_closings"])
    assert b"event: error" not in made
    assert normalizer.tally.repairs == {}


@pytest.mark.parametrize(
    "body", [{}, {"error": None}, {"error": ""}, {"detail": ""}, {"detail": "m", "x": 1}]
)
def test_what_says_nothing_is_no_error(body: dict[str, object]) -> None:
    _, normalizer = run(wire(f"{BEGUN}data: {json.dumps(body)}\nstop 0\nend end_turn\nover"))
    assert normalizer.ending is Ending.COMPLETED


def test_an_error_is_the_last_event() -> None:
    lines, _ = repaired(f"{BEGUN}data: {data({'error': 'm'})}\nstop 0\nend end_turn\nover")
    assert lines == [*short(BEGUN), "error api_error m"]


def test_an_error_outside_of_all_frames_is_one() -> None:
    """FastAPI answers 200 and then cannot change that; a gateway writes JSON behind the stream."""
    stream = wire(BEGUN) + b'{"error": {"message": "CUDA out of memory", "code": 500}}'
    made, normalizer = run(stream)
    assert made.endswith(b'"error":{"type":"api_error","message":"CUDA out of memory"}}\n\n')
    assert normalizer.ending is Ending.UPSTREAM_ERROR
    for stray in (b'{"vendor": 1}', b'{"type": "ping", "detail": "m"}'):
        made, normalizer = run(wire(BEGUN) + stray)
        assert normalizer.ending is Ending.TRUNCATED


def test_switched_off_it_passes() -> None:
    text = '{"type":"error","error":{"type":"internal_error","message":"m"}}'
    lines, counts = repaired(BEGUN + text, disabled=["message_errors"])
    assert lines[3] == "error internal_error m"
    assert counts == {}


@pytest.mark.parametrize(
    ("error", "status", "type_"),
    [
        ({"type": "rate_limit_error", "message": "m"}, 429, "rate_limit_error"),
        ({"type": "overloaded_error", "message": "m"}, 503, "overloaded_error"),
        ({"type": "request_too_large", "message": "m"}, 413, "request_too_large"),
        ({"type": "strange", "message": "m"}, 502, "api_error"),
        ({"type": 3, "message": ""}, 502, "api_error"),
        (None, 502, "api_error"),
    ],
)
def test_failures_have_the_status_of_their_type(error: object, status: int, type_: str) -> None:
    failure = failure_of(error)
    assert (failure.status, failure.type) == (status, type_)
    assert failure.message


@pytest.mark.parametrize("name", ["", "event: error¶", "event: messag¶", "event: ping¶"])
@pytest.mark.parametrize("oddity", ["\x00", "\t"])
def test_one_that_only_a_lenient_reader_reads_is_an_error_too(name: str, oddity: str) -> None:
    """Whatever its frame is called: the object says what it is."""
    report = f'data: {{"type":"error","error":{{"type":"internal_error","message":"b{oddity}m"}}}}'
    lines, counts = repaired(f"{BEGUN}{name}{report}")
    assert lines[:-1] == short(BEGUN)
    body = {"type": "error", "error": {"type": "api_error", "message": f"b{oddity}m"}}
    assert lines[-1] in (f"error api_error b{oddity}m", json.dumps(body, separators=(",", ":")))
    assert counts["message_errors"] == 1
