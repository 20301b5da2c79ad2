"""Arguments whose first delta was lost are emitted whole."""

from __future__ import annotations

import pytest

from tests.support.repairing import Repaired, opened, repaired, terminal, untouched
from tests.support.streams import call, message, numbered, whole, wire
from vllm_sse_proxy import BodyEnd
from vllm_sse_proxy.stream.settings import MAX_HELD_EVENTS

ARGUMENTS = '{"city": "Paris"}'
DELTA, DONE = "function_call_arguments.delta", "function_call_arguments.done"


def emitted(
    *pieces: str, arguments: str = ARGUMENTS, without: tuple[int, ...] = (), conforming: bool = True
) -> Repaired:
    """Send a call with these deltas and whole arguments at its end, without some events of its life."""
    life, done = call(0, *pieces)
    done = {**done, "arguments": arguments}
    life[-2], life[-1] = {**life[-2], "arguments": arguments}, {**life[-1], "item": done}
    kept = [event for place, event in enumerate(life) if place - len(life) not in without]
    return repaired(opened(*kept, terminal(done)), conforming=conforming)


@pytest.mark.parametrize("pieces", [("city", '": "', 'Paris"}'), (': "Paris"}',)])
@pytest.mark.parametrize("without", [(), (-2,)])
def test_they_are_emitted_with_what_closes_them(pieces: tuple[str, ...], without: tuple[int, ...]) -> None:
    made = emitted(*pieces, without=without)
    assert "".join(made.values(DELTA, "delta")).strip() == ARGUMENTS
    assert made.one(DONE)["arguments"].strip() == ARGUMENTS


def test_one_delta_takes_the_place_of_all() -> None:
    made = emitted("city", '": "', 'Paris"}')
    assert made.values(DELTA, "delta") == [ARGUMENTS]
    assert made.repairs == {"headless_arguments": 1}
    assert made.output[0]["arguments"] == ARGUMENTS


@pytest.mark.parametrize("pieces", [("{", '"a": 1}'), (' {"a"', ": 1}"), ("", "\n", "{}")])
def test_an_object_is_emitted_as_it_comes(pieces: tuple[str, ...]) -> None:
    assert untouched(whole(call(0, *pieces)))
    life, _ = call(0, *pieces)
    made = repaired(opened(*life[: 1 + len(pieces)]), end=BodyEnd.CUT)
    assert made.values(DELTA, "delta") == [*pieces]


def test_what_is_no_object_waits_and_is_emitted_as_it_came() -> None:
    assert untouched(whole(call(0, "[1", ", 2]")))
    made = emitted("[1", ", 2]", arguments='{"other": 1}', conforming=False)
    assert made.one(DONE)["arguments"] == '{"other": 1}'
    assert not made.repairs.get("headless_arguments")


@pytest.mark.parametrize("end", [BodyEnd.EOF, BodyEnd.CUT])
def test_nothing_is_lost_when_the_stream_breaks_off(end: BodyEnd) -> None:
    life, _ = call(0, "city", '": "')
    made = repaired(opened(*life[:3]), end=end)
    assert made.values(DELTA, "delta") == ["city", '": "']


def test_nothing_is_emitted_in_another_order() -> None:
    life, done = call(0, "[1", ", 2]")
    other, said = message(1, "Hi")
    events = opened(*life[:2], *other[:3], life[2], *other[3:], *life[3:], terminal(done, said))
    assert untouched(events)
    closing = b"event: response.function_call_arguments.done"
    stream = wire(numbered(events)).replace(closing, b": ping\n\n" + closing)
    assert repaired(stream).stream == stream


def test_a_beginning_that_comes_late_does_not_end_a_call() -> None:
    life, done = call(0, "city", '": "Paris"}')
    done = {**done, "arguments": ARGUMENTS}
    life[-2], life[-1] = {**life[-2], "arguments": ARGUMENTS}, {**life[-1], "item": done}
    created, in_progress, *_ = opened()
    made = repaired([created, *life[:2], in_progress, *life[2:], terminal(done)])
    assert made.values(DELTA, "delta") == [ARGUMENTS]


def test_a_call_that_never_ends_is_emitted_after_all() -> None:
    life, _ = call(0, *["x"] * (MAX_HELD_EVENTS + 5))
    made = repaired(opened(*life[: MAX_HELD_EVENTS + 2]), end=BodyEnd.CUT)
    assert len(made.all(DELTA)) == MAX_HELD_EVENTS + 1
    assert not made.repairs.get("headless_arguments")


def test_a_delta_that_comes_before_its_call_begins_nothing() -> None:
    life, done = call(0, '{"city"', ': "Pa', 'ris"}')
    made = repaired(opened(life[1], life[0], *life[2:], terminal(done)))
    assert made.values(DELTA, "delta") == ['{"city": "Paris"}']
    assert repaired(made.stream).stream == made.stream


def test_only_the_terminal_event_closes_it() -> None:
    life, done = call(0, "city", '": "Paris"}')
    made = repaired(opened(*life[:3], terminal({**done, "arguments": ARGUMENTS})))
    assert made.one(DONE)["arguments"] == ARGUMENTS
