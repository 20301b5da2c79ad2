"""What the client has been sent, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.streams import Json, call, message, reasoning, search, summary, whole
from vllm_sse_proxy.families.responses.events import inserted
from vllm_sse_proxy.families.responses.grammar import (
    FUNCTION_ARGUMENTS,
    KIND_OF_EVENT,
    LIFECYCLE,
    OUTPUT_TEXT,
    RUN_OF_EVENT,
    SUMMARY_TEXT,
)
from vllm_sse_proxy.families.responses.view import ClientView, ItemView, PartView, part_at
from vllm_sse_proxy.stream.event import Event

EVERY_TYPE = sorted({*RUN_OF_EVENT, *LIFECYCLE, *KIND_OF_EVENT, "error", "response.content_part.added"})


def viewed(*events: Json) -> ClientView:
    """Return the view of a client that was sent these events."""
    view = ClientView()
    for event in events:
        view.apply(Event(event["type"], event))
    return view


def test_it_knows_items_parts_and_texts() -> None:
    view = viewed(*whole(message(0, "Hi", " you"), reasoning(1, "Hm"), summary(2, "Su"), call(3, "{", "}")))
    assert [item.id for item in view.items] == ["msg_0", "rs_1", "rs_2", "fc_3"]
    assert [item.type for item in view.items] == ["message", "reasoning", "reasoning", "function_call"]
    assert view.items[0].parts[0].text == "Hi you"
    assert view.items[2].summaries[0].text == "Su"
    assert view.items[3].own is not None
    assert view.items[3].own.text == "{}"
    assert view.size > len("Hi youHmSu{}")
    assert not view.open_items()
    assert (view.created, view.in_progress, view.queued) == (True, True, False)
    assert view.terminal == "response.completed"
    assert view.response_id == "resp_1"
    assert view.heard


def test_it_knows_what_is_open() -> None:
    view = viewed(*whole(message(0, "Hi"))[:5])
    assert view.open_items() == view.items
    assert view.items[0].open_parts() == view.items[0].parts
    assert view.terminal is None


def test_it_remembers_how_far_an_item_is() -> None:
    assert viewed(*whole(search(0))).items[0].progress.keys() == {
        f"response.web_search_call.{name}" for name in ("in_progress", "searching", "completed")
    }


def test_it_remembers_annotations_and_logprobs() -> None:
    life, _ = message(0, "Hi")
    place = {"item_id": "msg_0", "output_index": 0, "content_index": 0}
    note = {
        "type": "response.output_text.annotation.added",
        **place,
        "annotation_index": 0,
        "annotation": {"a": 1},
    }
    (part,) = viewed(*life[:2], {**life[2], "logprobs": [1, 2]}, note).items[0].parts
    assert part.logprobs == [1, 2]
    assert part.annotations == [{"a": 1}]


def test_an_item_is_found_by_its_id_else_by_its_index() -> None:
    view = viewed(*whole(message(0, "Hi"), call(1, "{}")))
    assert view.item_of({"item_id": "fc_1", "output_index": 0}) is view.items[1]
    assert view.item_of({"output_index": 1}) is view.items[1]
    for nobody in (
        {"item_id": "x", "output_index": 0},
        {"output_index": 2},
        {"output_index": -1},
        {"output_index": True},
        {"item_id": 7, "output_index": 0},
        {},
    ):
        assert view.item_of(nobody) is None


def test_a_text_is_found_by_its_run() -> None:
    view = viewed(*whole(message(0, "Hi"), summary(1, "Hm"), call(2, "{}")))
    assert view.items[0].text_at(OUTPUT_TEXT, 0) is view.items[0].parts[0]
    assert view.items[1].text_at(SUMMARY_TEXT, 0) is view.items[1].summaries[0]
    assert view.items[2].text_at(FUNCTION_ARGUMENTS, None) is view.items[2].own
    assert view.items[0].text_at(FUNCTION_ARGUMENTS, None) is None
    assert view.items[0].text_at(OUTPUT_TEXT, 1) is None


@pytest.mark.parametrize("index", [1, -1, None, "0", True, 0.0])
def test_what_is_no_index_finds_no_part(index: Any) -> None:
    assert part_at([PartView(0, {"type": "output_text"})], index) is None


def test_arguments_that_the_done_event_settles_are_settled() -> None:
    life, _ = call(0, '"a": 1}')
    own = viewed(*life[:2], {**life[2], "arguments": '{"a": 1}'}).items[0].own
    assert own is not None
    assert (own.text, own.settled) == ('{"a": 1}', '{"a": 1}')


def test_an_error_is_reported_only_if_upstream_sent_it() -> None:
    view = ClientView()
    view.apply(inserted("error", message="ours"))
    assert (view.error is not None, view.reported, view.heard) == (True, False, False)
    view.apply(Event("error", {"type": "error", "message": "theirs"}))
    view.apply(inserted("error", message="ours"))
    assert view.reported
    assert not view.heard


def test_a_queued_response_is_noted() -> None:
    assert viewed({"type": "response.queued", "response": {"id": "r"}}).queued


@pytest.mark.parametrize("item", [{"type": 7}, {"id": 7}, {}])
def test_an_item_of_no_type_has_no_texts(item: Json) -> None:
    view = ItemView(0, item)
    assert (view.id, view.own, view.parts) == ("", None, [])


@pytest.mark.parametrize("type_", EVERY_TYPE)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"item_id": "x", "output_index": 9, "content_index": 9, "summary_index": 9},
        {
            "item_id": "msg_0",
            "content_index": 9,
            "summary_index": 9,
            "delta": "x",
            "text": "x",
            "part": 7,
            "item": 7,
        },
        {"item_id": "msg_0", "content_index": 0, "delta": 7, "part": None, "item": {"id": 7}, "response": 7},
        {"item_id": "msg_0", "delta": "x", "item": {"id": "nobody"}, "response": {"id": 7}},
    ],
)
def test_it_takes_any_event_without_a_word(type_: str, fields: Json) -> None:
    """Repairs may be switched off, so nonsense may come out; the view then stays what it was."""
    view = viewed(*message(0, "Hi")[0][:3])
    before = (len(view.items), view.items[0].parts[0].part, view.items[0].closed)
    view.apply(Event(type_, {"type": type_, **fields}))
    assert (len(view.items), view.items[0].parts[0].part, view.items[0].closed) == before


def test_an_announcement_without_an_item_announces_none() -> None:
    view = viewed({"type": "response.output_item.added", "output_index": 0, "item": 7})
    assert view.items == []


def test_a_part_that_closes_without_a_part_keeps_the_one_that_was_emitted() -> None:
    life, _ = message(0, "Hi")
    view = viewed(*life[:3], {**life[4], "part": None})
    assert view.items[0].parts[0].closed
    assert view.items[0].parts[0].part == life[1]["part"]


def test_without_a_usable_id_the_response_has_none() -> None:
    for response in ({"id": ""}, {"id": 7}, {}):
        assert viewed({"type": "response.created", "response": response}).response_id is None
    assert ClientView().response_id is None
