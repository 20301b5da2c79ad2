"""Pings told as events leave as comments."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired
from tests.support.streams import message, whole
from vllm_sse_proxy.families.responses import Dialect

WHOLE = whole(message(0, "Hi", " there"))


@pytest.mark.parametrize("name", ["response.ping", "ping"])
def test_a_ping_becomes_a_comment_and_takes_no_number(name: str) -> None:
    made = repaired([*WHOLE[:5], {"type": name, "sequence_number": 5}, *WHOLE[5:]])
    assert b"\n\n: ping\n\n" in made.stream
    assert len(made.events) == len(WHOLE)
    assert made.normalizer.tally.comments == 1
    assert made.repairs["heartbeats"] == 1


def test_a_ping_may_be_the_first_event_and_opens_nothing() -> None:
    made = repaired([{"type": "response.ping"}, *WHOLE])
    assert [event["type"] for event in made.events] == [event["type"] for event in WHOLE]
    assert made.repairs == {"heartbeats": 1}


def test_dialect_upstream_keeps_the_event() -> None:
    made = repaired(opened({"type": "ping"}), dialect=Dialect.UPSTREAM, conforming=False)
    assert "heartbeats" not in made.repairs
    assert "ping" in made.names
