"""Private names of events become the protocol's."""

from __future__ import annotations

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import message, reasoning, whole
from vllm_sse_proxy.families.responses import Dialect
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
