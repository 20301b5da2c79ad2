"""A part is announced before its first event, as a type that its item holds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, reasoning, search, summary, text_part, whole

M_LIFE, M_DONE = message(0, "Hi")
R_LIFE, R_DONE = reasoning(0, "Hm")


@pytest.mark.parametrize(("life", "done"), [message(0, "Hi"), reasoning(0, "Hm"), summary(0, "Hm")])
def test_the_first_event_announces_the_part(life: list[Json], done: Json) -> None:
    made = repaired(opened(life[0], *life[2:], terminal(done)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]
    assert made.repairs["part_openings"] == 1


@pytest.mark.parametrize(("life", "done"), [message(0, "Hi"), reasoning(0, "Hm"), summary(0, "Hm")])
def test_a_part_that_only_closes_gets_its_whole_life(life: list[Json], done: Json) -> None:
    made = repaired(opened(life[0], *life[4:], terminal(done)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]


def test_reasoning_holds_reasoning_text() -> None:
    wrong: list[Json] = [
        {**R_LIFE[1], "part": text_part("")},
        {**R_LIFE[4], "part": text_part("Hm")},
    ]
    made = repaired(opened(R_LIFE[0], wrong[0], *R_LIFE[2:4], wrong[1], R_LIFE[5], terminal(R_DONE)))
    assert made.one("content_part.added")["part"] == {"type": "reasoning_text", "text": ""}
    assert made.one("content_part.done")["part"] == {"type": "reasoning_text", "text": "Hm"}


def test_a_message_holds_output_text() -> None:
    made = repaired(
        opened(M_LIFE[0], {**M_LIFE[1], "part": R_LIFE[1]["part"]}, *M_LIFE[2:], terminal(M_DONE))
    )
    assert made.one("content_part.added")["part"] == text_part("")
    summary_part = {"type": "summary_text", "text": "x"}
    made = repaired(opened(M_LIFE[0], {**M_LIFE[4], "part": summary_part}, terminal()))
    assert made.one("content_part.done")["part"] == text_part("")


def test_a_refusal_fits_a_message() -> None:
    place = {"item_id": "msg_0", "output_index": 0, "content_index": 0}
    refusal: Json = {"type": "refusal", "refusal": "No"}
    done = {**M_DONE, "content": [refusal]}
    life = [
        M_LIFE[0],
        {"type": "response.content_part.added", **place, "part": {**refusal, "refusal": ""}},
        {"type": "response.refusal.delta", **place, "delta": "No"},
        {"type": "response.refusal.done", **place, "refusal": "No"},
        {"type": "response.content_part.done", **place, "part": refusal},
        {**M_LIFE[5], "item": done},
    ]
    assert untouched(opened(*life, terminal(done)))
    made = repaired(opened(life[0], life[2], terminal()))
    assert made.one("content_part.added")["part"] == {"type": "refusal", "refusal": ""}


def test_the_next_part_closes_the_one_before() -> None:
    second = {**M_LIFE[1], "content_index": 1}
    made = repaired(opened(*M_LIFE[:3], second, {**M_LIFE[2], "content_index": 1}, terminal()))
    assert made.values("content_part.done", "content_index") == [0, 1]
    refusal = {
        "type": "response.refusal.delta",
        "item_id": "msg_0",
        "output_index": 0,
        "content_index": 1,
        "delta": "No",
    }
    made = repaired(opened(*M_LIFE[:3], refusal, terminal()))
    assert [part["type"] for part in made.output[0]["content"]] == ["output_text", "refusal"]
    closing = {**M_LIFE[4], "content_index": 1, "part": {"type": "refusal", "refusal": "No"}}
    made = repaired(opened(*M_LIFE[:3], closing, terminal()))
    assert made.output[0]["content"]


def test_a_part_of_an_unknown_type_has_no_life() -> None:
    item: Json = {"id": "v", "type": "vendor_item", "status": "in_progress"}
    added: Json = {"type": "response.output_item.added", "output_index": 0, "item": item}
    place: dict[str, Any] = {"item_id": "v", "output_index": 0, "content_index": 0}
    part = {"type": "response.content_part.done", **place, "part": {"type": "vendor"}}
    made = repaired(opened(added, part, terminal()), conforming=False)
    assert made.body == ["output_item.added", "output_item.done", "completed"]


def test_announced_parts_stay() -> None:
    assert untouched(whole(message(0, "Hi"), reasoning(1, "Hm"), summary(2, "Hm"), call(3, "{}"), search(4)))
