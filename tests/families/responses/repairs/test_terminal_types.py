"""The terminal event's type agrees with `response.status`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import message, response, whole
from vllm_sse_proxy import Ending

LIFE, DONE = message(0, "Hi")
REASON = {"reason": "max_output_tokens"}


@pytest.mark.parametrize(
    ("type_", "status", "emitted", "known_status"),
    [
        ("completed", "incomplete", "incomplete", "incomplete"),
        ("completed", "failed", "failed", "failed"),
        ("completed", "cancelled", "failed", "cancelled"),
        ("incomplete", "completed", "incomplete", "incomplete"),
        ("failed", "completed", "failed", "failed"),
        ("completed", "expired", "failed", "failed"),
        ("completed", "done", "completed", "completed"),
        ("completed", "who knows", "completed", "completed"),
        ("completed", None, "completed", "completed"),
        ("completed", "in_progress", "completed", "completed"),
        ("incomplete", 7, "incomplete", "incomplete"),
        ("failed", "queued", "failed", "failed"),
    ],
)
def test_of_type_and_status_the_lesser_claim_counts(
    type_: str, status: Any, emitted: str, known_status: str
) -> None:
    made = repaired(opened({"type": f"response.{type_}", "response": response(status)}))
    assert made.events[-1]["type"] == f"response.{emitted}"
    assert made.events[-1]["response"]["status"] == known_status


@pytest.mark.parametrize(
    ("status", "message_"),
    [("failed", "failed"), ("cancelled", "was cancelled"), ("expired", "ended as 'expired'")],
)
def test_a_failure_has_an_error(status: str, message_: str) -> None:
    made = repaired(opened({"type": "response.completed", "response": response(status)}))
    assert made.one("failed")["response"]["error"]["message"] == f"The response {message_}."
    assert made.ending is Ending.FAILED


@pytest.mark.parametrize("details", [None, {}, {"reason": None}, "x"])
def test_no_reason_is_made_up(details: Any) -> None:
    made = repaired(opened(terminal(name="incomplete", incomplete_details=details)))
    assert made.one("incomplete")["response"]["incomplete_details"] is None


def test_a_limit_that_was_reached_is_the_reason() -> None:
    usage = {"input_tokens": 1, "output_tokens": 5, "total_tokens": 6}
    made = repaired(
        opened(terminal(name="incomplete", incomplete_details=None, usage=usage, max_output_tokens=5))
    )
    assert made.one("incomplete")["response"]["incomplete_details"] == REASON


def test_upstreams_own_reason_stays() -> None:
    assert untouched(opened(terminal(name="incomplete", incomplete_details={"reason": "content_filter"})))


def test_an_item_that_was_cut_says_that_the_answer_is_not_whole() -> None:
    cut = {**DONE, "status": "incomplete"}
    made = repaired(opened(*LIFE[:5], {**LIFE[5], "item": cut}, terminal(cut)))
    assert made.one("incomplete")["response"]["status"] == "incomplete"
    assert made.ending is Ending.INCOMPLETE


def test_an_item_in_the_middle_that_was_not_finished_does_not_cut_the_response() -> None:
    """Issue 12, K3."""
    cut = {**DONE, "status": "incomplete"}
    life, done = message(1, "Ho")
    made = repaired(
        opened(*LIFE[:5], {**LIFE[5], "item": cut}, *life, terminal({**DONE, "status": None}, done))
    )
    assert made.events[-1]["type"] == "response.completed"
    assert [item["status"] for item in made.output] == ["incomplete", "completed"]


def test_what_agrees_stays() -> None:
    assert untouched(whole(message(0, "Hi")))
    assert untouched(opened(terminal(name="failed", error={"code": "server_error", "message": "m"})))
