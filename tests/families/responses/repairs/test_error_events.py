"""Errors inside the stream become the one form that every client reads, and end it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, message, numbered, response, wire
from vllm_sse_proxy.families.responses import Ending

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
    ],
)
def test_every_private_form_is_told_as_error_and_failed(payload: Json, message_: str, code: str) -> None:
    made = repaired(opened(*HELLO, payload))
    assert made.body[-2:] == ["error", "failed"]
    error = made.one("error")
    assert (error["message"], error["code"]) == (message_, code)
    assert (error["error"]["message"], error["error"]["code"]) == (message_, code)
    assert made.one("failed")["response"]["error"] == {"code": "server_error", "message": message_}
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


def test_the_protocols_own_flat_error_gets_its_nested_form_and_upstream_tells_the_end_itself() -> None:
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


def test_an_error_that_all_clients_read_is_left_alone() -> None:
    nested: dict[str, Any] = {"type": "server_error", "code": "x", "message": "m", "param": None}
    both = {"type": "error", "code": "x", "message": "m", "param": None, "error": nested}
    failed = {
        "type": "response.failed",
        "response": response("failed", error={"code": "server_error", "message": "m"}),
    }
    assert untouched(opened(both, failed))


@pytest.mark.parametrize("name", ["error", "response.error"])
def test_an_untyped_payload_under_an_errors_name_is_one(name: str) -> None:
    frame = f'event: {name}\ndata: {{"note": "Engine died"}}\n\n'.encode()
    made = repaired(wire(numbered(opened(*HELLO)), done=False) + frame)
    assert made.body[-2:] == ["error", "failed"]
    assert made.one("error")["message"] == "The upstream server reported an error."
