"""Invented events conform from birth."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.streams import Json, call, message, reasoning, response, search, summary, text_part
from vllm_sse_proxy.families.responses import agreement, construct, item_objects
from vllm_sse_proxy.families.responses.grammar import (
    CODE,
    EVENT_FIELDS,
    ITEM_KINDS,
    OUTPUT_TEXT,
    RUN_OF_PART,
    item_kind,
)
from vllm_sse_proxy.families.responses.view import ClientView, ItemView, PartView
from vllm_sse_proxy.stream.event import Event

NOTE = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 0}


def names(events: list[Event]) -> list[str]:
    return [event.type.removeprefix("response.") for event in events]


def emitted(life: list[Json]) -> ItemView:
    """Return the item as a client knows it that was sent these events."""
    view = ClientView()
    for event in life:
        view.apply(Event(event["type"], event))
    return view.items[0]


class TestResponse:
    @pytest.mark.parametrize(
        ("code", "sent"),
        [
            ("429", "rate_limit_exceeded"),
            (429, "rate_limit_exceeded"),
            ("invalid_prompt", "invalid_prompt"),
            (None, "server_error"),
        ],
    )
    def test_a_failure_has_a_code_that_sdks_know(self, code: Any, sent: str) -> None:
        failed = construct.failed(response(), {"code": code, "message": "m"})
        assert failed.body["response"]["error"] == {"code": sent, "message": "m"}

    def test_an_opening_has_only_fields_that_the_response_has(self) -> None:
        event = construct.opening("response.created", {"id": "r", "usage": {}})
        assert event.body["response"] == {"id": "r", "usage": None, "output": [], "status": "in_progress"}


class TestItems:
    @pytest.mark.parametrize("kind", list(ITEM_KINDS.values()), ids=lambda kind: kind.type)
    def test_every_kind_can_be_new_and_live(self, kind: Any) -> None:
        item = item_objects.new_item(kind, "x_1", **dict.fromkeys(kind.required, "n"))
        assert (item["id"], item["type"], item["status"]) == ("x_1", kind.type, "in_progress")
        life = construct.life_of_item(0, {**item, "status": "completed"})
        assert (life[0].type, life[-1].type) == ("response.output_item.added", "response.output_item.done")
        assert life[-1].body["item"]["status"] == "completed"
        for event in life:
            assert event.inserted
            assert EVENT_FIELDS[event.type].keys() <= event.body.keys()

    def test_an_unknown_kind_is_announced_and_closed(self) -> None:
        life = construct.life_of_item(3, {"id": "v", "type": "vendor", "x": 1})
        assert names(life) == ["output_item.added", "output_item.done"]
        assert life[1].body["item"] == {"id": "v", "type": "vendor", "x": 1, "status": "completed"}

    @pytest.mark.parametrize(
        "life", [message(0, "Hi"), reasoning(0, "Hm"), summary(0, "Hm"), call(0, "{}"), search(0)]
    )
    def test_an_emitted_item_is_its_done_item(self, life: tuple[list[Json], Json]) -> None:
        events, done = life
        item = emitted(events[:-1])
        assert item_objects.emitted_item(item, status="completed") == done
        assert agreement.is_as_emitted(item, done)

    def test_a_proven_item_lends_what_the_deltas_cannot_say(self) -> None:
        events, done = reasoning(0, "Hm")
        made = item_objects.emitted_item(
            emitted(events[:-1]), status="completed", proven={**done, "encrypted_content": "x"}
        )
        assert made["encrypted_content"] == "x"
        other = item_objects.emitted_item(
            emitted(events[:-1]), status="completed", proven={"type": "message", "phase": "x"}
        )
        assert "phase" not in other

    def test_reasoning_without_content_and_status_stays_without(self) -> None:
        item = emitted(
            [
                {
                    "type": "response.output_item.added",
                    "output_index": 0,
                    "item": {"id": "rs", "type": "reasoning", "summary": []},
                }
            ]
        )
        assert item_objects.emitted_item(item, status="completed") == {
            "id": "rs",
            "type": "reasoning",
            "summary": [],
        }
        assert item_objects.emitted_item(item, status="incomplete")["status"] == "incomplete"

    def test_a_final_item_of_another_type_says_nothing(self) -> None:
        item = emitted(search(0)[0])
        assert item_objects.final_item(item, {"type": "reasoning", "x": 1}) == item.item
        assert item_objects.final_item(item, {"type": "web_search_call", "x": 1})["x"] == 1

    def test_annotations_that_only_the_account_has_are_emitted(self) -> None:
        item = emitted(message(0, "Hi")[0][:3])
        account = {**text_part("Hi"), "annotations": [NOTE]}
        made = construct.end_of_part(item, item.parts[0], account)
        assert names(made) == ["output_text.annotation.added", "output_text.done", "content_part.done"]
        assert made[-1].body["part"]["annotations"] == [NOTE]

    @pytest.mark.parametrize(
        ("part", "texts"),
        [
            ("x", ["Hi", "No"]),
            ({"type": "vendor"}, ["Hi", "No"]),
            ({"type": "output_text", "text": None}, ["Hi"]),
        ],
    )
    def test_parts_that_nobody_knows_stay_out(self, part: Any, texts: list[str]) -> None:
        life = construct.life_of_item(
            0, {"id": "m", "type": "message", "content": [text_part("Hi"), part, text_part("No")]}
        )
        assert [e.body["delta"] for e in life if e.type == OUTPUT_TEXT.delta] == texts

    @pytest.mark.parametrize(
        ("type_", "emitted", "status"),
        [
            ("message", "complesed", "completed"),
            ("function_call", 7, "completed"),
            ("message", "incomplete", "incomplete"),
            ("message", "in_progress", "completed"),
            ("web_search_call", "failed", "failed"),
        ],
    )
    def test_an_item_that_is_over_has_a_status_of_its_kind(
        self, type_: str, emitted: Any, status: str
    ) -> None:
        item = {"id": "x", "type": type_, "status": emitted, "call_id": "c", "name": "f", "arguments": "{}"}
        assert construct.life_of_item(0, item)[-1].body["item"]["status"] == status

    def test_an_empty_code_is_emitted_as_empty(self) -> None:
        life = construct.life_of_item(
            0, {"id": "c", "type": "code_interpreter_call", "code": None, "container_id": "x"}
        )
        assert [event.body["code"] for event in life if event.type == CODE.done] == [""]


class TestParts:
    @pytest.mark.parametrize("type_", list(RUN_OF_PART))
    def test_a_new_part_is_empty(self, type_: str) -> None:
        part = item_objects.new_part(type_)
        assert part["type"] == type_
        assert part[RUN_OF_PART[type_].field] == ""

    def test_a_part_of_an_unknown_type_has_no_life_and_no_text(self) -> None:
        item = ItemView(0, {"id": "v", "type": "vendor"})
        assert construct.life_of_part(item, 0, {"type": "vendor"}) == []
        with pytest.raises(ValueError, match="unknown type"):
            construct.text_done(item, PartView(0, {"type": "vendor"}))
        closing = construct.end_of_part(item, PartView(0, {"type": "vendor", "x": 1}), None)
        assert names(closing) == ["content_part.done"]

    def test_a_closed_part_stays_as_it_was_emitted(self) -> None:
        part = emitted(message(0, "Hi")[0]).parts[0]
        assert item_objects.emitted_part(part, {**text_part("Hi"), "x": 1}) is part.part

    def test_a_proven_part_lends_its_other_fields(self) -> None:
        part = emitted(message(0, "Hi")[0][:3]).parts[0]
        assert item_objects.emitted_part(part, {**text_part("No"), "x": 1}) == {**text_part("Hi"), "x": 1}
        assert item_objects.emitted_part(part, {"type": "refusal", "x": 1}) == text_part("Hi")


def test_an_item_of_no_type_is_of_an_unknown_kind() -> None:
    assert item_kind(7).type == "unknown"


def test_the_final_account_adds_nothing_that_the_stream_says() -> None:
    """Two items may share one account: the status and the text of the one are not the other's."""
    life, done = summary(0, "Hm")
    thought = [{"type": "reasoning_text", "text": "Hm"}]
    account = {**done, "status": "completed", "content": thought, "encrypted_content": "e"}
    assert item_objects.final_item(emitted(life), account) == {**done, "encrypted_content": "e"}
