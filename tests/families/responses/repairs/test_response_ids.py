"""One response, one id."""

from __future__ import annotations

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import message, response, whole


def test_the_first_id_stays() -> None:
    late = {"type": "response.in_progress", "response": response() | {"id": "resp_2"}}
    end = terminal()
    end["response"]["id"] = "resp_3"
    made = repaired([opened()[0], late, end])
    assert [event["response"]["id"] for event in made.events] == ["resp_1"] * 3
    assert made.repairs == {"response_ids": 2}


def test_one_id_needs_nothing() -> None:
    assert untouched(whole(message(0, "Hi")))


def test_nothing_to_compare_with_before_the_first() -> None:
    made = repaired([terminal()])
    assert "response_ids" not in made.repairs
    assert made.one("created")["response"]["id"] == "resp_1"
