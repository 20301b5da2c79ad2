"""A stream without a terminal event gets the one that its ending proves."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, custom_call, message, numbered, reasoning, search, whole, wire
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


def test_a_clean_end_proves_nothing() -> None:
    """Issue 12, K1: not even after everything was closed."""
    made = repaired(opened(*LIFE))
    assert made.body[-2:] == ["error", "failed"]
    assert made.output == [DONE]
    assert made.ending is Ending.TRUNCATED


def test_nor_does_one_without_any_item() -> None:
    assert repaired(opened()).body == ["error", "failed"]


CALL, CALLED = call(1, "{}")
THOUGHT, _ = reasoning(0, "Hm")


@pytest.mark.parametrize("end", [end for end in BodyEnd if end is not BodyEnd.CLIENT_GONE])
@pytest.mark.parametrize(
    ("events", "last"),
    [
        (LIFE, "completed"),
        ([*LIFE, *CALL], "completed"),
        (LIFE[-1:], "completed"),  # only ever shown whole
        ([*THOUGHT[:4], *message(1, "Hi")[0]], "completed"),  # a fork closes its reasoning no further
        ([], "failed"),
        (LIFE[:3], "failed"),
        (LIFE[:5], "failed"),
        (THOUGHT, "failed"),
        ([*LIFE, *CALL[:3]], "failed"),
        ([*LIFE, *call(1, '{"a"')[0]], "failed"),
        ([*LIFE, *search(1)[0]], "failed"),
        ([*LIFE[:5], {**LIFE[5], "item": {**DONE, "status": "incomplete"}}], "failed"),
        ([*THOUGHT[:3], *message(1, "Hi")[0]], "failed"),
    ],
)
def test_upstreams_own_sentinel_ends_what_upstream_has_closed(
    events: list[Json], last: str, end: BodyEnd
) -> None:
    """Issue 12, K2: every item closed by upstream, the last of them an answer or a call."""
    made = repaired(wire(numbered(opened(*events))), end=end)
    assert made.body[-1] == last
    assert made.stream.count(b"[DONE]") == 1
    assert (made.ending is Ending.UNTERMINATED) == (last == "completed")


def test_half_a_frame_behind_the_sentinel_may_be_another_word() -> None:
    assert repaired(wire(numbered(opened(*LIFE))) + b"event: response.fai").body[-1] == "failed"


@pytest.mark.parametrize("kind", ["custom_tool_call", "function_call"])
def test_a_call_that_upstream_left_open_is_never_done(kind: str) -> None:
    """Issue 12, K2: not on [DONE], not on `completed` without a word of it. A custom tool's input may always lack its end."""
    life, _ = custom_call(0, "rm -rf /tmp/bui") if kind == "custom_tool_call" else call(0, '{"a": "rm')
    for end in (wire(numbered(opened(*life[:2]))), opened(*life[:2], terminal())):
        done = repaired(end).all("output_item.done")
        assert [event["item"]["status"] for event in done] in ([], ["incomplete"])
        assert not (done and kind == "custom_tool_call")


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
