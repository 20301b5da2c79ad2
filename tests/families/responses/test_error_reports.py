"""What says that an event is an error, and the words that it has, in every shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from vllm_sse_proxy.families.responses.error_reports import read_report, report_in
from vllm_sse_proxy.families.responses.events import parse_event

if TYPE_CHECKING:
    from tests.support.streams import Json

BOOM = "Engine died"


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (
            {"message": BOOM, "type": "x", "param": "p", "code": 500},
            {"message": BOOM, "type": "x", "param": "p", "code": "500"},
        ),
        ({"error": {"message": BOOM}}, {"message": BOOM}),
        ({"error": {"error": {"message": BOOM}, "code": 3}}, {"message": BOOM, "code": "3"}),
        ({"error": BOOM}, {"message": BOOM}),
        (BOOM, {"message": BOOM}),
        (f" {BOOM}\n", {"message": BOOM}),
        ({"error": [BOOM, {"message": "And more", "code": "c"}]}, {"message": f"{BOOM}; And more", "code": "c"}),
        ({"errors": [{"message": BOOM, "type": "t"}]}, {"message": BOOM, "type": "t"}),
        ({"detail": BOOM}, {"message": BOOM}),
        ({"detail": {"error": {"message": BOOM}}}, {"message": BOOM}),
        (
            {"detail": [{"loc": ["body", "input", 0], "msg": "Field required", "type": "missing"}, {"msg": "Bad"}]},
            {"message": "body.input.0: Field required; Bad"},
        ),
        ({"message": [BOOM], "error": "Bad Request", "statusCode": 400}, {"message": f"Bad Request: {BOOM}", "code": "400"}),
        ({"message": f"Bad Request: {BOOM}", "error": "Bad Request"}, {"message": f"Bad Request: {BOOM}"}),
        ({"error": "invalid_request", "error_description": BOOM}, {"message": BOOM, "code": "invalid_request"}),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": BOOM}},
            {"message": BOOM, "type": "overloaded_error", "code": "overloaded_error"},
        ),
        ({"type": "about:blank", "title": "Oops", "status": 500, "detail": BOOM}, {"message": BOOM, "code": "500"}),
        ({"title": BOOM, "status": "UNAVAILABLE"}, {"message": BOOM}),
        ({"message": BOOM, "code": 500.0}, {"message": BOOM, "code": "500"}),
        ({"message": BOOM, "code": True}, {"message": BOOM}),
        ({"message": BOOM, "code": 1.5}, {"message": BOOM}),
        ({"message": BOOM, "param": ["a"]}, {"message": BOOM, "param": '["a"]'}),
        ({"message": "", "error": None}, {}),
        ({"message": 7, "type": 7}, {}),
        (None, {}),
        ([], {}),
        ({"error": {"error": {"error": {"error": {"error": {"message": "too deep"}}}}}}, {}),
    ],
)  # fmt: skip
def test_the_words_of_a_report(report: Any, words: Json) -> None:
    assert read_report(report) == words


def test_no_more_than_some_entries_of_a_list_are_read() -> None:
    message = read_report({"detail": [{"msg": f"m{number}"} for number in range(1000)]})["message"]
    assert message.startswith("m0; m1; ")
    assert len(message) < 200


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "error"},
        {"type": "response.error", "item_id": "x"},
        {"object": "error", "message": BOOM, "type": "BadRequestError"},
        {"object": "error", "type": "whatever"},
        {"error": {"message": BOOM}},
        {"error": {"code": ""}},
        {"error": BOOM},
        {"error": [BOOM]},
        {"error": True, "message": BOOM},
        {"errors": [{"message": BOOM}]},
        {"detail": BOOM},
        {"detail": [{"loc": ["body"], "msg": BOOM}]},
        {"message": BOOM, "code": 500},
        {"message": BOOM, "code": "503"},
        {"message": BOOM, "status": "error"},
        {"type": "about:blank", "status": 500, "detail": BOOM},
        {"type": "BadRequestError", "message": BOOM},
        {"type": "response.stream_error", "message": BOOM},
        {"type": "server_error", "error": {"message": BOOM}},
        {"type": "vllm", "error": {"message": BOOM}},
    ],
)
def test_an_event_that_is_an_error(payload: Json) -> None:
    assert report_in(parse_event(json.dumps(payload).encode())) == payload


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "response.completed", "error": {"message": BOOM}},
        {"type": "response.output_text.delta", "object": "error", "message": BOOM},
        {"type": "tool_error", "message": BOOM, "item_id": "fc_1"},
        {"type": "tool_error", "message": BOOM, "output_index": 0},
        {"type": "tool_error", "message": BOOM, "tool": "f"},
        {"type": "vendor:note", "error": "not found", "tool": "f"},
        {"type": "vendor:note", "message": BOOM},
        {"type": "BadRequestError"},
        {"type": "server_error", "error": {}},
        {"message": BOOM},
        {"message": BOOM, "code": 0},
        {"message": BOOM, "code": "x"},
        {"message": BOOM, "code": "200"},
        {"detail": BOOM, "status": 200},
        {"detail": [{"loc": ["body"]}]},
        {"error": None, "code": 500},
        {"error": False, "message": BOOM},
        {"error": {}},
        {},
    ],
)
def test_an_event_that_is_none(payload: Json) -> None:
    assert report_in(parse_event(json.dumps(payload).encode())) is None


@pytest.mark.parametrize(
    "name", ["error", "response.error", "BadRequestError", "http.exception", "stream_errors"]
)
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"message": "Engine died", "code": 7}', {"message": BOOM, "code": "7"}),
        (b'{"type": "x_y", "message": "Engine died"}', {"message": BOOM, "type": "x_y", "code": "x_y"}),
        (b"Engine died", {"message": BOOM}),
        (b'"Engine died"', {"message": BOOM}),
        (b'["Engine died"]', {"message": BOOM}),
        (b"Engine died: \xe9 \xed\xa0\x80", {"message": "Engine died: \ufffd \ufffd\ufffd\ufffd"}),
        (b"Engine died \xed\xa0\x80", {"message": "Engine died \ufffd"}),
        (b"{}", {}),
        (b"7", {}),
        (b"", {}),
    ],
)  # fmt: skip
def test_the_event_line_may_name_the_error(name: str, data: bytes, words: Json) -> None:
    report = report_in(parse_event(data, name))
    assert report is not None
    assert read_report(report) == words


@pytest.mark.parametrize("name", [None, "message", "response.output_text.delta", "errored"])
def test_other_event_lines_name_none(name: str | None) -> None:
    for data in (b"Engine died", b'{"message": "Engine died"}', b"{}"):
        assert report_in(parse_event(data, name)) is None


@pytest.mark.parametrize(
    ("payload", "is_one"),
    [
        ({"message": BOOM}, True),
        ({"title": BOOM}, True),
        ({"message": BOOM, "code": 200}, True),
        ({"x": BOOM}, False),
        ({"type": "vendor:note", "message": BOOM, "tool": "f"}, False),
        ({"type": "response.completed", "message": BOOM}, False),
    ],
)
def test_of_what_stands_alone_at_the_end_every_message_is_one(payload: Json, is_one: bool) -> None:  # noqa: FBT001 - a case
    event = parse_event(json.dumps(payload).encode())
    assert (report_in(event, bare=True) is not None) is is_one
