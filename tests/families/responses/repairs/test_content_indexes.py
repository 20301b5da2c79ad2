"""`content_index` and `summary_index` count the parts of an item as they were announced."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, message, reasoning, summary, text_part, whole

LIFE, DONE = message(0, "Hi")


def at(index: Any, *events: Json) -> list[Json]:
    return [{**event, "content_index": index} if "content_index" in event else event for event in events]


@pytest.mark.parametrize("index", [1, 7, -1, None, "0", True])
def test_every_event_of_the_only_part_has_index_zero(index: Any) -> None:
    made = repaired(opened(*at(index, *LIFE), terminal(DONE)))
    assert {event["content_index"] for event in made.events if "content_index" in event} == {0}
    assert made.repairs == {"content_indexes": 5 - 1}


def test_an_index_that_grows_with_every_delta() -> None:
    life, done = message(0, "a", "b", "c")
    grown = [{**event, "content_index": number} for number, event in enumerate(life[1:-1])]
    made = repaired(opened(life[0], *grown, life[-1], terminal(done)))
    assert {event["content_index"] for event in made.events if "content_index" in event} == {0}


def test_a_summary_index_too() -> None:
    life, done = summary(0, "Hm")
    wrong = [{**event, "summary_index": 3} if "summary_index" in event else event for event in life]
    made = repaired(opened(*wrong, terminal(done)))
    assert {event["summary_index"] for event in made.events if "summary_index" in event} == {0}


def two_parts() -> tuple[list[Json], Json]:
    """Return the life of a message with two parts, emitted one after the other."""
    done = {**DONE, "content": [text_part("Hi"), text_part("Hi")]}
    return [LIFE[0], *LIFE[1:5], *at(1, *LIFE[1:5]), {**LIFE[5], "item": done}], done


def test_two_parts_have_two_indexes() -> None:
    life, done = two_parts()
    assert untouched(opened(*life, terminal(done)))


def test_a_second_part_that_repeats_the_first_ones_index_gets_its_own() -> None:
    life, done = two_parts()
    made = repaired(opened(*at(0, *life), terminal(done)))
    assert made.values("content_part.done", "content_index") == [0, 1]
    assert made.values("output_text.delta", "content_index") == [0, 1]


def test_two_open_parts_are_distinguished_by_their_index() -> None:
    done = {**DONE, "content": [text_part("a"), text_part("Hi")]}
    first, second = at(0, *LIFE[1:5]), at(1, *LIFE[1:5])
    made = repaired(
        opened(LIFE[0], first[0], first[1] | {"delta": "a"}, second[0], *second[1:], terminal(done))
    )
    assert made.values("output_text.delta", "delta") == ["a", "Hi"]


def test_closings_that_come_again_are_the_closed_parts() -> None:
    made = repaired(opened(*LIFE[:5], *at(0, LIFE[3], LIFE[4]), LIFE[5], terminal(DONE)))
    assert made.body.count("content_part.done") == 1
    assert made.body.count("output_text.done") == 1


def test_closings_of_parts_that_were_never_emitted_open_the_next() -> None:
    made = repaired(opened(LIFE[0], *at(4, LIFE[3], LIFE[4]), LIFE[5], terminal(DONE)))
    assert made.values("content_part.added", "content_index") == [0]
    assert made.values("output_text.delta", "delta") == ["Hi"]
    made = repaired(opened(LIFE[0], *at(4, LIFE[4]), LIFE[5], terminal(DONE)))
    assert made.values("content_part.done", "content_index") == [0]


@pytest.mark.parametrize(("index", "emitted"), [(0, 0), (9, 0)])
def test_an_annotation_belongs_to_the_part_it_names_else_to_the_last(index: int, emitted: int) -> None:
    note = {"type": "url_citation", "url": "http://a/", "title": "A", "start_index": 0, "end_index": 1}
    place = {"item_id": "msg_0", "output_index": 0, "content_index": index}
    added = {
        "type": "response.output_text.annotation.added",
        **place,
        "annotation_index": 0,
        "annotation": note,
    }
    made = repaired(opened(*LIFE[:3], added, *LIFE[3:], terminal(DONE)))
    assert made.one("output_text.annotation.added")["content_index"] == emitted
    assert made.output[0]["content"][0]["annotations"] == [note]


def test_an_annotation_before_any_part_opens_the_first() -> None:
    place = {"item_id": "msg_0", "output_index": 0, "content_index": 3}
    added = {
        "type": "response.output_text.annotation.added",
        **place,
        "annotation_index": 0,
        "annotation": {},
    }
    made = repaired(opened(LIFE[0], added, *LIFE[2:], terminal()), conforming=False)
    assert made.one("output_text.annotation.added")["content_index"] == 0


def test_right_indexes_stay() -> None:
    assert untouched(whole(reasoning(0, "Hm"), summary(1, "a"), message(2, "Hi")))


@pytest.mark.parametrize("index", [-1, 7, None])
def test_a_closing_that_comes_again_without_an_index_is_of_the_closed_part(index: Any) -> None:
    again = at(index, LIFE[-3])
    made = repaired(opened(*LIFE[:-2], *again, *LIFE[-2:], terminal(DONE)))
    assert [part["text"] for part in made.output[0]["content"]] == ["Hi"]


def test_the_announcement_of_a_part_may_come_after_its_first_text_and_with_another_type() -> None:
    life, done = reasoning(0, "Think", ".")
    late = {**life[1], "part": text_part("")}
    made = repaired(opened(life[0], life[2], late, *life[3:], terminal(done)))
    assert made.output == [done]


@pytest.mark.parametrize("index", [None, "1", 1.0])
def test_a_part_is_announced_again_if_its_index_is_none_and_the_last_part_is_open(index: Any) -> None:
    made = repaired(opened(*LIFE[:2], *at(index, LIFE[1]), *LIFE[2:], terminal(DONE)))
    assert made.values("content_part.added", "content_index") == [0]
    assert made.output == [DONE]


def test_a_text_that_closes_once_more_in_another_part_is_the_one_with_its_words() -> None:
    refusal = {"type": "refusal", "refusal": "No."}
    place = {"item_id": "msg_0", "output_index": 0, "content_index": 1}
    refused: list[Json] = [
        {"type": "response.content_part.added", **place, "part": {**refusal, "refusal": ""}},
        {"type": "response.refusal.delta", **place, "delta": "No."},
        *at(7, LIFE[3]),
        {"type": "response.refusal.done", **place, "refusal": "No."},
        {"type": "response.content_part.done", **place, "part": refusal},
    ]
    done = {**DONE, "content": [text_part("Hi"), refusal]}
    made = repaired(opened(*LIFE[:5], *refused, {**LIFE[5], "item": done}, terminal(done)))
    assert made.values("output_text.done", "content_index") == [0]
    assert made.output == [done]
