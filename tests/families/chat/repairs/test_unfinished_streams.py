"""Streams that end too early, and those that only lack their last line."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, becomes, repaired, stays, wire
from vllm_sse_proxy import BodyEnd, Ending

BEGUN = f'{ROLE}\n{{"content":"Hi"}}'
MESSAGES = {
    BodyEnd.EOF: ("The upstream server ended the stream before the response was complete.", 502),
    BodyEnd.CUT: ("The connection to the upstream server broke before the response was complete.", 502),
    BodyEnd.RESET: ("The upstream server reset the connection before the response was complete.", 502),
    BodyEnd.IDLE_TIMEOUT: ("The upstream server sent nothing for too long.", 504),
    BodyEnd.SHUTDOWN: ("The proxy is shutting down; please send the request again.", 503),
    BodyEnd.LIMIT: ("The upstream server sent more than the proxy accepts for one response.", 502),
}


@pytest.mark.parametrize("end", MESSAGES)
@pytest.mark.parametrize("rest", ["", "\n[DONE]"])
def test_an_end_without_a_finish_is_an_error(end: BodyEnd, rest: str) -> None:
    message, code = MESSAGES[end]
    type_ = "ServiceUnavailableError" if code == 503 else "InternalServerError"
    error = f'! {{"error":{{"message":"{message}","type":"{type_}","param":null,"code":{code}}}}}'
    made = repaired(BEGUN + rest, end=end)
    assert made.text == f"{BEGUN}\n{error}\n[DONE]"
    assert made.ending is (Ending.TRUNCATED if end is BodyEnd.EOF else Ending(end.value))
    assert made.repairs == {"unfinished_streams": 1}
    assert repaired(made.made).made == made.made


@pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT, BodyEnd.RESET, BodyEnd.IDLE_TIMEOUT])
def test_a_finished_stream_gets_its_last_line(end: BodyEnd) -> None:
    made = repaired(f"{BEGUN}\n{{}} -> stop", end=end)
    assert made.text == f"{BEGUN}\n{{}} -> stop\n[DONE]"
    assert made.ending is Ending.COMPLETED
    assert made.repairs == {"unfinished_streams": 1}


def test_it_ends_with_done_and_not_with_the_connection() -> None:
    stays(f"{BEGUN}\n{{}} -> stop\n[DONE]")
    made = repaired([wire(f"{BEGUN}\n{{}} -> stop\n[DONE]")], end=BodyEnd.IDLE_TIMEOUT)
    assert made.normalizer.ended
    assert made.ending is Ending.COMPLETED


def test_an_early_done_waits_for_what_follows() -> None:
    becomes(f"{BEGUN}\n[DONE]\n{{}} -> stop\n[DONE]", f"{BEGUN}\n{{}} -> stop\n[DONE]")


@pytest.mark.parametrize(
    ("reason", "ending"),
    [("length", Ending.INCOMPLETE), ("content_filter", Ending.INCOMPLETE), ("stop", Ending.COMPLETED)],
)
def test_the_ending_says_how_it_was(reason: str, ending: Ending) -> None:
    assert repaired(f"{BEGUN}\n{{}} -> {reason}\n[DONE]").ending is ending


@pytest.mark.parametrize("stream", ["", "[DONE]", ": ping", ": ping\n[DONE]"])
@pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT])
def test_nothing_at_all_is_for_an_http_error(stream: str, end: BodyEnd) -> None:
    made = repaired(stream, end=end)
    assert not made.normalizer.committed
    assert made.ending is Ending.EMPTY
    failure = made.normalizer.failure
    assert failure is not None
    assert failure.status == 502


def test_all_choices_that_were_asked_for_must_have_their_end() -> None:
    one = f"{BEGUN}\n{{}} -> stop\n[DONE]"
    made = repaired(one, request={**REQUEST, "n": 2})
    assert made.text.startswith(f"{BEGUN}\n{{}} -> stop\n! ")
    made = repaired(f"{BEGUN}\n1: {ROLE}\n{{}} -> stop\n[DONE]")
    assert made.text.startswith(f"{BEGUN}\n1: {ROLE}\n{{}} -> stop\n! ")
    stays(f"{BEGUN}\n1: {ROLE}\n{{}} -> stop\n1: {{}} -> stop\n[DONE]", request={**REQUEST, "n": 2})


def test_half_a_frame_is_as_good_as_none() -> None:
    stream = wire(f"{BEGUN}\n{{}} -> stop")
    made = repaired(stream[:-20], end=BodyEnd.CUT)
    assert made.text.startswith(f"{BEGUN}\n! ")
    whole = repaired(stream.rstrip(b"\n"), end=BodyEnd.CUT)
    assert whole.text == f"{BEGUN}\n{{}} -> stop\n[DONE]"


@pytest.mark.parametrize("rest", ["", "\n[DONE]"])
def test_switched_off_the_end_stays_as_it_was(rest: str) -> None:
    made = repaired(BEGUN + rest, disabled=["unfinished_streams"], conforming=False)
    assert made.text == BEGUN + rest


def test_a_frame_over_its_limit_ends_the_stream() -> None:
    made = repaired(f'{BEGUN}\n{{"content":"{"x" * 2000}"}}\n{{}} -> stop\n[DONE]', max_frame_bytes=1000)
    assert made.normalizer.limit == "max_frame_bytes"
    assert made.ending is Ending.LIMIT
    made = repaired(f'{BEGUN}\n{{"content":"{"x" * 2000}"}}\n{{}} -> stop\n[DONE]', max_text_bytes=1000)
    assert made.normalizer.limit == "max_text_bytes"


def test_observed_streams_pass() -> None:
    stream = wire(BEGUN)
    made = repaired(stream, observe=True, conforming=False)
    assert made.made == stream
    assert made.repairs == {"unfinished_streams": 1}
