"""A doubtful announcement waits one event and is emitted right."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, numbered, reasoning, whole, wire
from vllm_sse_proxy import BodyEnd

R_LIFE, R_DONE = reasoning(0, "Hm", id_="u1")
M_LIFE, M_DONE = message(1, "Hi", id_="u2")
ADDED = {**M_LIFE[0], "output_index": 0, "item": {**M_LIFE[0]["item"], "id": "u1"}}
"""The message, announced with the id and index of the reasoning before it (R08)."""


def under(id_: str, event: Json, **fields: Any) -> Json:
    return {**event, "item_id": id_, **fields}


def test_an_id_used_before_gives_way_to_that_of_the_next_event() -> None:
    made = repaired(opened(*R_LIFE, ADDED, *M_LIFE[1:], terminal(R_DONE, M_DONE)))
    assert [(e["output_index"], e["item"]["id"]) for e in made.all("output_item.added")] == [
        (0, "u1"),
        (1, "u2"),
    ]
    assert made.repairs == {"misannounced_items": 1}


def test_a_call_with_the_id_of_the_reasoning_before_it_gets_its_own() -> None:
    life, done = call(1, "{}")
    added = {**life[0], "item": {**life[0]["item"], "id": "u1"}}
    made = repaired(opened(*R_LIFE, added, *life[1:], terminal(R_DONE, done)))
    assert [event["item"]["id"] for event in made.all("output_item.added")] == ["u1", "fc_1"]


def test_a_message_that_turns_out_to_be_reasoning_is_announced_as_reasoning() -> None:
    added, part = M_LIFE[0], M_LIFE[1]
    life = [under("u2", event, output_index=1) for event in R_LIFE[2:5]]
    made = repaired(opened(added, part, *life, terminal()))
    assert made.one("output_item.added")["item"]["type"] == "reasoning"
    assert made.one("content_part.added")["part"] == {"type": "reasoning_text", "text": ""}
    assert made.values("reasoning_text.delta", "delta") == ["Hm"]


def test_reasoning_under_a_used_id_that_turns_out_to_be_a_message() -> None:
    added = {**R_LIFE[0], "output_index": 1}
    made = repaired(opened(*R_LIFE, added, M_LIFE[2], terminal()))
    assert [event["item"]["type"] for event in made.all("output_item.added")] == ["reasoning", "message"]


def test_the_wrong_kind_may_show_only_when_its_part_or_the_item_is_done() -> None:
    part_done = under("u2", R_LIFE[4], output_index=1)
    made = repaired(opened(M_LIFE[0], part_done, terminal()))
    assert made.one("output_item.added")["item"]["type"] == "reasoning"
    assert made.values("reasoning_text.delta", "delta") == ["Hm"]
    item_done = {**R_LIFE[5], "output_index": 1, "item": {**R_DONE, "id": "u2"}}
    made = repaired(opened(M_LIFE[0], item_done, terminal()))
    assert [item["type"] for item in made.output] == ["reasoning"]


def test_an_item_of_two_kinds_that_never_said_a_word_is_no_item() -> None:
    empty = {**R_LIFE[5], "output_index": 1, "item": {**R_DONE, "id": "u2", "content": []}}
    made = repaired(opened(M_LIFE[0], M_LIFE[1], empty, terminal()))
    assert made.body == ["completed"]


def test_an_empty_text_of_another_kind_says_nothing() -> None:
    empty = under("u2", R_LIFE[2], delta="")
    made = repaired(opened(*M_LIFE[:2], empty, *M_LIFE[2:], terminal(M_DONE)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*M_LIFE, terminal()]]


def test_an_announcement_that_was_right_waits_and_is_counted_as_nothing() -> None:
    made = repaired(opened(*R_LIFE, *M_LIFE, terminal(R_DONE, M_DONE)))
    assert not made.repairs


@pytest.mark.parametrize(
    "after",
    [
        [{"type": "vendor:x"}],
        [message(2, "Yo", id_="u3")[0][0]],
        [{**R_LIFE[5], "item": "broken"}],
        [M_LIFE[5]],
        [{**M_LIFE[1], "item_id": None}],
        [{**M_LIFE[4], "part": {"type": "vendor"}}],
        [{name: value for name, value in M_LIFE[4].items() if name != "part"}],
        [under("u2", call(0, "{}")[0][1])],
        [{"type": "response.web_search_call.searching", "item_id": "u2"}],
    ],
)
def test_whatever_follows_frees_it(after: list[Json]) -> None:
    made = repaired(opened(M_LIFE[0], *after, terminal()), conforming=False)
    assert made.all("output_item.added")[0]["item"]["id"] == "u2"


def test_a_heartbeat_frees_it() -> None:
    life, done = message(0, "Hi", id_="u1")
    frames = wire(numbered(opened(*life, terminal(done)))).split(b"\n\n")
    stream = b"\n\n".join([*frames[:4], b": ping", *frames[4:]])
    assert repaired(stream).stream == stream


def test_the_end_of_the_body_frees_it() -> None:
    made = repaired(opened(M_LIFE[0]), end=BodyEnd.CUT)
    assert made.body == ["output_item.added", "output_item.done", "error", "failed"]


def test_the_next_event_may_name_no_index() -> None:
    part = {name: value for name, value in M_LIFE[1].items() if name != "output_index"}
    made = repaired(opened(*R_LIFE, ADDED, part, *M_LIFE[2:], terminal(R_DONE, M_DONE)))
    assert made.all("output_item.added")[1]["item"]["id"] == "u2"


def test_an_announcement_without_an_item_is_not_held() -> None:
    made = repaired(
        opened({"type": "response.output_item.added"}, terminal()),
        disabled=["item_shapes"],
        strict=False,
        conforming=False,
    )
    assert "misannounced_items" not in made.repairs


def test_ids_that_servers_give_to_messages_are_not_doubted() -> None:
    assert untouched(whole(reasoning(0, "Hm"), message(1, "Hi")))
