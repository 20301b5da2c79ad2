"""Errors inside the stream become the one form that every client reads, and end it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, message, numbered, openais, response, wire
from vllm_sse_proxy import Ending

HELLO = message(0, "Hel")[0][:3]
ERROR = {"message": "Engine died", "type": "InternalServerError", "param": None, "code": 500}


@pytest.mark.parametrize(
    ("payload", "message_", "code"),
    [
        ({"error": ERROR}, "Engine died", "500"),
        ({"error": "Engine died"}, "Engine died", "server_error"),
        ({"object": "error", "message": "Engine died", "code": 400}, "Engine died", "400"),
        ({"detail": "Engine died"}, "Engine died", "server_error"),
        ({"error": {"message": 7}}, "The upstream server reported an error.", "server_error"),
        ({"error": {"message": "", "type": "x"}}, "The upstream server reported an error.", "server_error"),
        ({"error": {"code": ""}}, "The upstream server reported an error.", "server_error"),
        ({"type": "response.error", "error": ERROR}, "Engine died", "500"),
        ({"type": "response.error", "message": "Engine died"}, "Engine died", "server_error"),
        ({"object": "error", **ERROR, "type": "BadRequestError"}, "Engine died", "500"),
        ({"object": "error", "type": "whatever"}, "The upstream server reported an error.", "server_error"),
        ({"type": "BadRequestError", "message": "Engine died", "code": 400}, "Engine died", "400"),
        ({"detail": [{"loc": ["body"], "msg": "Engine died"}]}, "body: Engine died", "server_error"),
        ({"message": "Engine died", "code": 503}, "Engine died", "503"),
        (
            {"error": {"message": "Slow down", "code": "rate_limit_exceeded"}},
            "Slow down",
            "rate_limit_exceeded",
        ),
    ],
)
def test_every_private_form_is_emitted_as_error_and_failed(payload: Json, message_: str, code: str) -> None:
    made = repaired(opened(*HELLO, payload))
    assert made.body[-2:] == ["error", "failed"]
    error = made.one("error")
    assert (error["message"], error["code"]) == (message_, code)
    assert (error["error"]["message"], error["error"]["code"]) == (message_, code)
    known = code if code == "rate_limit_exceeded" else "server_error"
    assert made.one("failed")["response"]["error"] == {"code": known, "message": message_}
    assert made.one("output_item.done")["item"]["status"] == "incomplete"
    assert made.ending is Ending.UPSTREAM_ERROR
    assert made.stream.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "payload", [{"error": {}}, {"error": None}, {"detail": [{"loc": []}]}, {"object": "list"}]
)
def test_an_untyped_payload_that_reports_nothing_is_no_error(payload: Json) -> None:
    made = repaired(opened(*HELLO, payload, *message(0, "Hel")[0][3:], terminal(message(0, "Hel")[1])))
    assert "error_events" not in made.repairs
    assert made.body[-1] == "completed"


def test_the_protocols_own_flat_error_gets_its_nested_form_and_upstream_says_the_end_itself() -> None:
    failed = {
        "type": "response.failed",
        "response": response("failed", error={"code": "server_error", "message": "m"}),
    }
    flat = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down", "param": None}
    made = repaired(opened(flat, failed))
    assert made.body == ["error", "failed"]
    assert made.one("error")["error"] == {
        "type": "server_error",
        "code": "rate_limit_exceeded",
        "message": "Slow down",
        "param": None,
    }
    assert made.one("failed")["response"]["error"]["message"] == "m"


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        ({"error": {"type": "server_error", "message": "m"}}, ("server_error", "m", None, "server_error")),
        (
            {"error": {"type": "t", "message": "m", "code": "c", "param": "p"}},
            ("c", "m", "p", "t"),
        ),
        (
            {"error": {"type": "overloaded_error", "message": "m"}, "request_id": "r"},
            ("overloaded_error", "m", None, "overloaded_error"),
        ),
        ({"error": {"message": "m", "code": 429}}, ("429", "m", None, "server_error")),
        ({"error": "m"}, ("server_error", "m", None, "server_error")),
        ({"code": "c", "message": "m"}, ("c", "m", None, "server_error")),
        ({"code": 7, "message": "m", "param": 3, "error": {"message": "m"}}, ("7", "m", "3", "server_error")),
        ({"detail": "m"}, ("server_error", "m", None, "server_error")),
        ({}, ("server_error", "The upstream server reported an error.", None, "server_error")),
    ],
)
def test_the_protocols_own_error_says_all_twice(payload: Json, fields: tuple[Any, ...]) -> None:
    made = repaired(opened({"type": "error", **payload}))
    code, message_, param, type_ = fields
    assert made.body == ["error", "failed"]
    assert made.one("error") == {
        "type": "error",
        "code": code,
        "message": message_,
        "param": param,
        "error": {"type": type_, "code": code, "message": message_, "param": param},
        "sequence_number": 2,
    }
    assert made.one("failed")["response"]["error"]["message"] == message_


def test_an_error_of_openais_own_api_stays_nested() -> None:
    nested = {
        "type": "error",
        "error": {"type": "t", "code": "insufficient_quota", "message": "m", "param": None},
    }
    error = {"code": "insufficient_quota", "message": "m"}
    events = [
        {"type": "response.created", "response": openais()},
        {"type": "response.in_progress", "response": openais()},
        nested,
        {"type": "response.failed", "response": openais("failed", error=error)},
    ]
    made = repaired(events, conforming=False)
    assert made.events == numbered(events)
    assert not made.repairs
    words = repaired([*events[:2], {"type": "error", "error": "m"}])
    assert words.one("error")["message"] == "m"


def test_an_error_of_one_item_is_not_the_responses() -> None:
    event = {"type": "vendor:tool_error", "item_id": "msg_0", "message": "no such file"}
    made = repaired(opened(*HELLO, event, *message(0, "Hel")[0][3:], terminal()))
    assert made.body[-1] == "completed"
    assert "error_events" not in made.repairs


def test_an_error_that_all_clients_read_is_left_alone() -> None:
    nested: dict[str, Any] = {"type": "server_error", "code": "x", "message": "m", "param": None}
    both = {"type": "error", "code": "x", "message": "m", "param": None, "error": nested}
    failed = {
        "type": "response.failed",
        "response": response("failed", error={"code": "server_error", "message": "m"}),
    }
    assert untouched(opened(both, failed))


@pytest.mark.parametrize("name", ["error", "response.error", "BadRequestError", "InternalServerError"])
@pytest.mark.parametrize(
    ("data", "message_"),
    [
        ('{"note": "Engine died"}', "The upstream server reported an error."),
        ('{"message": "Engine died"}', "Engine died"),
        ('{"type": "server_fault", "message": "Engine died"}', "Engine died"),
        ("Engine died", "Engine died"),
    ],
)
def test_a_payload_under_an_errors_name_is_one(name: str, data: str, message_: str) -> None:
    frame = f"event: {name}\ndata: {data}\n\n".encode()
    made = repaired(wire(numbered(opened(*HELLO)), done=False) + frame)
    assert made.body[-2:] == ["error", "failed"]
    assert made.one("error")["message"] == message_
