"""`output_item.done` is the sum of what was streamed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, reasoning, search, summary, text_part, whole

M_LIFE, M_DONE = message(0, "Hi")
C_LIFE, C_DONE = call(0, "{}")
R_LIFE, R_DONE = reasoning(0, "Hm")


@pytest.mark.parametrize(
    "said",
    [
        {**M_DONE, "content": []},
        {**M_DONE, "content": None},
        {**M_DONE, "content": [text_part("Other")]},
        {**M_DONE, "content": [text_part("Hi"), {"type": "refusal", "refusal": ""}]},
        {**M_DONE, "role": "user"},
        {**M_DONE, "id": "other"},
    ],
)
def test_a_message_is_what_was_streamed(said: Json) -> None:
    made = repaired(opened(*M_LIFE[:5], {**M_LIFE[5], "item": said}, terminal(M_DONE)))
    emitted = made.one("output_item.done")["item"]
    assert emitted["content"][0] == text_part("Hi")
    assert (emitted["id"], emitted["role"]) == ("msg_0", "assistant")


@pytest.mark.parametrize(
    ("field", "value"), [("call_id", "call_x"), ("name", "other"), ("arguments", '{"b": 2}')]
)
def test_a_call_keeps_its_names_and_arguments(field: str, value: Any) -> None:
    made = repaired(opened(*C_LIFE[:3], {**C_LIFE[3], "item": {**C_DONE, field: value}}, terminal(C_DONE)))
    assert made.one("output_item.done")["item"] == C_DONE
    assert made.repairs["done_items"] == 1


def test_a_cut_call_that_closes_as_a_message_is_a_call() -> None:
    """0.20.2 closes it so (R36)."""
    closing = {**C_LIFE[3], "item": {**M_DONE, "id": "fc_0", "status": "in_progress"}}
    made = repaired(opened(*C_LIFE[:3], closing, terminal()))
    assert made.one("output_item.done")["item"] == C_DONE


def test_the_status_is_upstreams_where_it_can_be() -> None:
    said = {**M_DONE, "content": [], "status": "incomplete"}
    made = repaired(opened(*M_LIFE[:5], {**M_LIFE[5], "item": said}, terminal(said)))
    assert made.one("output_item.done")["item"]["status"] == "incomplete"
    assert made.body[-1] == "incomplete"


def test_reasoning_keeps_what_only_its_done_item_has() -> None:
    said = {**R_DONE, "content": [], "encrypted_content": "xyz"}
    made = repaired(
        opened(*R_LIFE[:5], {**R_LIFE[5], "item": said}, terminal({**R_DONE, "encrypted_content": "xyz"}))
    )
    assert made.one("output_item.done")["item"] == {**R_DONE, "encrypted_content": "xyz"}


def test_a_done_item_may_add_what_was_left_open() -> None:
    action = {"type": "search", "query": "q", "sources": [{"type": "url", "url": "http://a/"}]}
    life, done = search(0)
    assert untouched(
        opened(
            *life[:4], {**life[4], "item": {**done, "action": action}}, terminal({**done, "action": action})
        )
    )


def test_right_items_stay() -> None:
    assert untouched(whole(message(0, "Hi"), reasoning(1, "Hm"), summary(2, "Hm"), call(3, "{}"), search(4)))


def test_the_call_id_of_any_call_stays_the_announced_one() -> None:
    """Who runs it answers the id that was announced."""
    item = {"id": "sh_0", "type": "shell_call", "call_id": "call_0", "action": {"commands": ["ls"]}}
    place = {"output_index": 0}
    added = {"type": "response.output_item.added", **place, "item": {**item, "status": "in_progress"}}
    done = {**item, "call_id": "call_other", "status": "completed"}
    made = repaired(
        opened(added, {"type": "response.output_item.done", **place, "item": done}, terminal(done))
    )
    assert made.one("output_item.done")["item"]["call_id"] == "call_0"
    assert made.output[0]["call_id"] == "call_0"
