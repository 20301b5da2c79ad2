"""Private names of events become the protocol's."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, message, reasoning, response, whole
from vllm_sse_proxy.families.responses import Dialect, Ending
from vllm_sse_proxy.families.responses.grammar import ALIASES

LIFE, DONE = reasoning(0, "Hm")


@pytest.mark.parametrize("name", ["response.reasoning.delta", "response.thinking.delta"])
def test_a_delta_gets_the_protocols_name(name: str) -> None:
    made = repaired(opened(*LIFE[:2], {**LIFE[2], "type": name}, *LIFE[3:], terminal(DONE)))
    assert made.repairs == {"private_names": 1}
    assert [event["type"] for event in made.events[2:8]] == [event["type"] for event in LIFE]


def test_the_event_line_says_the_same_as_the_type() -> None:
    made = repaired(opened(LIFE[0], {**LIFE[1], "type": "response.reasoning_part.added"}, terminal()))
    assert b"event: response.content_part.added\n" in made.stream
    assert b"reasoning_part" not in made.stream


def test_no_private_name_leaves() -> None:
    for name in ALIASES:
        made = repaired(opened({"type": name}), conforming=False)
        assert name not in {event["type"] for event in made.events}


@pytest.mark.parametrize("name", ["response.rate_limits.updated", "response.additional_context"])
def test_private_notices_are_dropped(name: str) -> None:
    made = repaired(opened({"type": name}, terminal()))
    assert made.body == ["completed"]
    assert made.repairs["private_names"] == 1


def test_the_protocols_names_stay() -> None:
    assert untouched(whole(reasoning(0, "Hm"), message(1, "Hi")))


def test_dialect_upstream_keeps_them() -> None:
    private = {**LIFE[2], "type": "response.reasoning.delta"}
    made = repaired(opened(*LIFE[:2], private, terminal()), dialect=Dialect.UPSTREAM)
    assert "private_names" not in made.repairs
    assert made.values("reasoning.delta", "delta") == ["Hm"]


def test_the_names_of_open_responses_are_its_dialects_own() -> None:
    own = {**LIFE[2], "type": "response.reasoning.delta"}
    made = repaired(opened(*LIFE[:2], own, terminal()), dialect=Dialect.OPEN_RESPONSES)
    assert "private_names" not in made.repairs
    assert made.values("reasoning.delta", "delta") == ["Hm"]


@pytest.mark.parametrize("word", ["cancelled", "canceled", "aborted", "errored", "timeout", "expired"])
@pytest.mark.parametrize(
    "fields", [{}, {"response": None}, {"response": {}}, {"response": response("in_progress")}]
)
def test_a_private_end_is_a_failure_by_its_name(word: str, fields: Json) -> None:
    """Issue 12, K1."""
    made = repaired(opened(*LIFE, {"type": f"response.{word}", **fields}))
    failed = made.one("failed")["response"]
    assert failed["error"]["message"] in (f"The response ended as {word!r}.", "The response was cancelled.")
    assert made.ending is Ending.FAILED


@pytest.mark.parametrize(
    ("name", "status", "end"),
    [
        ("finished", "completed", "completed"),
        ("done", "completed", "completed"),
        ("done", "failed", "failed"),
        ("finished", "incomplete", "incomplete"),
        ("stopped", "cancelled", "failed"),
        ("whatever", "aborted", "failed"),
        ("complete", "success", "completed"),
    ],
)
def test_an_unknown_event_with_a_response_that_is_over_ends_it(name: str, status: str, end: str) -> None:
    made = repaired(opened(*LIFE, {"type": f"response.{name}", "response": response(status, [DONE])}))
    assert made.body[-1] == end


@pytest.mark.parametrize("status", ["in_progress", "completed", None, 7])
def test_an_unknown_event_of_a_response_that_goes_on_ends_nothing(status: object) -> None:
    vendor = {"type": "response.metadata", "response": {"status": status}}
    made = repaired(opened(*LIFE[:3], vendor, *LIFE[3:], terminal(DONE)))
    assert made.body[-1] == "completed"
    assert "metadata" in made.names


def test_a_private_end_says_itself_what_it_is() -> None:
    made = repaired(opened({"type": "response.cancelled", "response": response("failed")}))
    assert made.one("failed")["response"]["error"]["message"] == "The response failed."
