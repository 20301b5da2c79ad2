"""`response.created`, then `response.in_progress`, once each, first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import message, response, whole
from vllm_sse_proxy import RequestContext

LIFE, DONE = message(0, "Hi")
CREATED, IN_PROGRESS = opened()
QUEUED = {"type": "response.queued", "response": response("queued")}


def test_a_stream_that_begins_with_content_is_opened() -> None:
    made = repaired([*LIFE, terminal(DONE)], request=RequestContext(seed="s", body={"model": "m"}))
    assert made.names[:3] == ["created", "in_progress", "output_item.added"]
    assert made.one("created")["response"]["model"] == "m"
    assert made.repairs["response_openings"] == 1


def test_the_id_comes_from_wherever_upstream_says_it() -> None:
    made = repaired([{**LIFE[0], "response": {"id": "resp_7"}}, *LIFE[1:]])
    assert made.normalizer.response_id == "resp_7"
    made = repaired([{**LIFE[0], "response": {"id": ""}}], request=RequestContext(seed="a"))
    other = repaired([LIFE[0]], request=RequestContext(seed="b"))
    assert made.normalizer.response_id != other.normalizer.response_id


def test_what_is_missing_of_the_two_is_emitted() -> None:
    assert repaired([CREATED, *LIFE, terminal(DONE)]).names[:3] == [
        "created",
        "in_progress",
        "output_item.added",
    ]
    assert repaired([IN_PROGRESS, *LIFE, terminal(DONE)]).names[:3] == [
        "created",
        "in_progress",
        "output_item.added",
    ]
    assert repaired([QUEUED, IN_PROGRESS, terminal()]).names == [
        "created",
        "queued",
        "in_progress",
        "completed",
    ]


@pytest.mark.parametrize(
    "events",
    [
        [CREATED, CREATED, IN_PROGRESS],
        [CREATED, IN_PROGRESS, CREATED, IN_PROGRESS],
        [CREATED, QUEUED, QUEUED],
    ],
)
def test_openings_that_come_again_are_dropped(events: list[Any]) -> None:
    names = repaired([*events, *LIFE, terminal(DONE)]).names
    assert [names.count(name) for name in ("created", "in_progress")] == [1, 1]
    assert names.count("queued") <= 1


def test_an_opening_has_no_output_yet() -> None:
    late = {"type": "response.created", "response": response("completed", [DONE])}
    emitted = repaired([late, IN_PROGRESS, *LIFE, terminal(DONE)]).one("created")["response"]
    assert (emitted["status"], emitted["output"]) == ("in_progress", [])
    queued = {"type": "response.queued", "response": response("in_progress")}
    assert (
        repaired([CREATED, queued, IN_PROGRESS, terminal()]).one("queued")["response"]["status"] == "queued"
    )
    odd = {"type": "response.in_progress", "response": response(status="in_progress", output=[DONE])}
    assert repaired([CREATED, odd, terminal()]).one("in_progress")["response"]["output"] == []


def test_a_terminal_event_alone_is_opened_without_what_only_the_end_has() -> None:
    made = repaired(
        [terminal(usage={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2})], conforming=False
    )
    emitted = made.one("created")["response"]
    assert (emitted["status"], emitted["output"], emitted["usage"]) == ("in_progress", [], None)


def test_right_openings_stay() -> None:
    assert untouched(whole(message(0, "Hi")))
    assert untouched([{**CREATED, "response": response("queued")}, QUEUED, IN_PROGRESS, terminal()])
