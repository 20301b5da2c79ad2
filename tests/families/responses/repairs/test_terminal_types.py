"""The terminal event's type agrees with `response.status`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import message, response, whole
from vllm_sse_proxy.families.responses import Ending

LIFE, DONE = message(0, "Hi")
REASON = {"reason": "max_output_tokens"}


@pytest.mark.parametrize(
    ("type_", "status", "told", "told_status"),
    [
        ("completed", "incomplete", "incomplete", "incomplete"),
        ("completed", "failed", "failed", "failed"),
        ("completed", "cancelled", "failed", "cancelled"),
        ("incomplete", "completed", "completed", "completed"),
        ("completed", None, "completed", "completed"),
        ("completed", "in_progress", "completed", "completed"),
        ("incomplete", 7, "incomplete", "incomplete"),
        ("failed", "queued", "failed", "failed"),
    ],
)
def test_the_status_decides_where_it_can(type_: str, status: Any, told: str, told_status: str) -> None:
    made = repaired(opened({"type": f"response.{type_}", "response": response(status)}))
    assert made.events[-1]["type"] == f"response.{told}"
    assert made.events[-1]["response"]["status"] == told_status


@pytest.mark.parametrize(("status", "message_"), [("failed", "failed"), ("cancelled", "was cancelled")])
def test_a_failure_has_an_error(status: str, message_: str) -> None:
    made = repaired(opened({"type": "response.completed", "response": response(status)}))
    assert made.one("failed")["response"]["error"]["message"] == f"The response {message_}."
    assert made.ending is Ending.FAILED


@pytest.mark.parametrize("details", [None, {}, {"reason": None}, "x"])
def test_a_cut_response_has_a_reason(details: Any) -> None:
    made = repaired(opened(terminal(name="incomplete", incomplete_details=details)))
    assert made.one("incomplete")["response"]["incomplete_details"] == REASON


def test_upstreams_own_reason_stays() -> None:
    assert untouched(opened(terminal(name="incomplete", incomplete_details={"reason": "content_filter"})))


def test_an_item_that_was_cut_says_that_the_answer_is_not_whole() -> None:
    cut = {**DONE, "status": "incomplete"}
    made = repaired(opened(*LIFE[:5], {**LIFE[5], "item": cut}, terminal(cut)))
    assert made.one("incomplete")["response"]["status"] == "incomplete"
    assert made.ending is Ending.INCOMPLETE


def test_what_agrees_stays() -> None:
    assert untouched(whole(message(0, "Hi")))
    assert untouched(opened(terminal(name="failed", error={"code": "server_error", "message": "m"})))
