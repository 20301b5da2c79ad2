"""A stream without a terminal event gets the one that its ending proves."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import message, numbered, whole, wire
from vllm_sse_proxy.families.responses import BodyEnd, Ending

LIFE, DONE = message(0, "Hi")


@pytest.mark.parametrize(
    ("end", "code", "ending"),
    [
        (BodyEnd.EOF, "upstream_truncated", Ending.TRUNCATED),
        (BodyEnd.CUT, "upstream_cut", Ending.CUT),
        (BodyEnd.RESET, "upstream_reset", Ending.RESET),
        (BodyEnd.IDLE_TIMEOUT, "upstream_idle_timeout", Ending.IDLE_TIMEOUT),
        (BodyEnd.SHUTDOWN, "proxy_shutdown", Ending.SHUTDOWN),
        (BodyEnd.LIMIT, "upstream_limit", Ending.LIMIT),
    ],
)
def test_half_an_answer_has_failed(end: BodyEnd, code: str, ending: Ending) -> None:
    made = repaired(opened(*LIFE[:3]), end=end)
    error, failed = made.events[-2:]
    assert (error["type"], error["code"]) == ("error", code)
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": error["message"]}
    assert made.ending is ending
    assert made.stream.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("end", [BodyEnd.CUT, BodyEnd.RESET, BodyEnd.IDLE_TIMEOUT, BodyEnd.SHUTDOWN])
def test_a_whole_answer_in_a_body_that_broke_is_no_success_either(end: BodyEnd) -> None:
    assert repaired(opened(*LIFE), end=end).body[-2:] == ["error", "failed"]


def test_a_clean_end_after_everything_was_closed_is_completed() -> None:
    made = repaired(opened(*LIFE))
    assert made.body[-1] == "completed"
    assert made.output == [DONE]
    assert made.ending is Ending.UNTERMINATED


def test_a_clean_end_without_any_item_is_not() -> None:
    assert repaired(opened()).body == ["error", "failed"]


def test_nor_is_one_after_an_item_that_was_cut() -> None:
    cut = {**LIFE[5], "item": {**DONE, "status": "incomplete"}}
    assert repaired(opened(*LIFE[:5], cut)).body[-2:] == ["error", "failed"]


@pytest.mark.parametrize(
    ("end", "last"),
    [(BodyEnd.EOF, "completed"), (BodyEnd.IDLE_TIMEOUT, "completed"), (BodyEnd.CUT, "failed")],
)
def test_upstreams_own_sentinel_proves_that_all_was_told(end: BodyEnd, last: str) -> None:
    made = repaired(wire(numbered(opened(*LIFE[:3]))), end=end)
    assert made.body[-1] == last
    assert made.stream.count(b"[DONE]") == 1


def test_the_sentinel_alone_proves_nothing() -> None:
    made = repaired(b"data: [DONE]\n\n")
    assert made.body == ["error", "failed"]
    assert made.ending is Ending.EMPTY


def test_an_error_of_upstreams_is_the_reason() -> None:
    error = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down"}
    failed = repaired(opened(*LIFE[:3], error)).one("failed")["response"]
    assert failed["error"] == {"code": "rate_limit_exceeded", "message": "Slow down"}


def test_half_a_frame_is_discarded() -> None:
    half = (
        wire(numbered(opened(*LIFE[:3])), done=False)
        + b'event: response.output_text.delta\ndata: {"type": "resp'
    )
    assert repaired(half, end=BodyEnd.CUT).values("output_text.delta", "delta") == ["Hi"]


def test_terminated_streams_stay() -> None:
    assert untouched(whole(message(0, "Hi")))
    assert untouched(opened(terminal(name="failed", error={"code": "server_error", "message": "m"})))
