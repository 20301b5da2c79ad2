"""Invented events conform from birth."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.streams import Json, call, message, reasoning, response, search, summary, text_part
from vllm_sse_proxy import RequestContext
from vllm_sse_proxy.families.responses import construct
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


class TestIds:
    def test_an_id_depends_on_its_parts_alone(self) -> None:
        assert construct.derive_id("fc", "a", 1) == construct.derive_id("fc", "a", 1)
        assert construct.derive_id("fc", "a", 1) != construct.derive_id("fc", "a", 2)
        assert construct.derive_id("fc", "\ud800").startswith("fc_")


class TestResponse:
    def test_a_whole_object_is_readable(self) -> None:
        assert construct.is_readable(response())

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("id", ""),
            ("id", None),
            ("created_at", True),
            ("output", None),
            ("tools", {}),
            ("parallel_tool_calls", 1),
            ("object", "list"),
            ("tool_choice", "perhaps"),
            ("tool_choice", {}),
            ("tools", ["x"]),
            ("tools", [{"name": "f"}]),
            ("temperature", "hot"),
            ("top_logprobs", True),
            ("error", "x"),
            ("user", 7),
        ],
    )
    def test_one_that_a_typed_client_cannot_read_is_not(self, field: str, value: Any) -> None:
        assert not construct.is_readable(response() | {field: value})

    def test_what_is_plainly_usable_is_usable(self) -> None:
        values: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], [1], [{"type": "f"}], {}, {"type": "f"}]
        plain = construct._PLAINLY_USABLE
        found = [(name, value) for name in plain for value in values if type(value) in plain[name]]
        assert len(found) > 50
        assert [(name, value) for name, value in found if not construct._is_usable(name, value)] == []

    def test_what_upstream_said_comes_before_what_the_request_said(self) -> None:
        asked = RequestContext(
            seed="s",
            body={"model": "asked", "temperature": 0.5, "store": "no boolean", "instructions": "Be."},
        )
        made = construct.complete_response({"model": "said", "temperature": 0.0}, ClientView(), asked)
        assert (made["model"], made["temperature"], made["store"], made["instructions"]) == (
            "said",
            0.0,
            True,
            "Be.",
        )
        assert made["id"] == construct.derive_id("resp", "s")

    def test_so_far_is_what_was_heard_last(self) -> None:
        view = ClientView()
        assert construct.response_so_far(view, RequestContext())["status"] == "in_progress"
        view.response = response()
        assert construct.response_so_far(view, RequestContext()) is view.response

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

    def test_an_object_of_a_known_shape_is_completed_like_the_first_of_it(self) -> None:
        asked = RequestContext(body={"temperature": 0.5, "metadata": {"a": "b"}})
        whole = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": "queued",
            "model": "m",
            "output": [],
        }
        cases: tuple[dict[str, Any], ...] = (
            {},
            {"metadata": None},
            {"model": ""},
            {"store": None},
            {"tools": [{}]},
            {"id": None},
        )
        for changes in cases:
            given = {**whole, **changes}
            construct._SHAPES.clear()
            first = construct.complete_response(given, ClientView(), asked)
            again = construct.complete_response({**given}, ClientView(), asked)
            assert (first, [*first]) == (again, [*again])
            assert first["temperature"] == 0.5
        assert construct.complete_response({**whole, "metadata": None}, ClientView(), asked)["metadata"] == {
            "a": "b"
        }

    def test_shapes_that_upstream_makes_up_do_not_fill_the_memory(self) -> None:
        construct._SHAPES.clear()
        construct.complete_response({"x" * 5000: 1}, ClientView(), RequestContext())
        assert not construct._SHAPES
        for number in range(1000):
            construct.complete_response({f"field_{number}": 1}, ClientView(), RequestContext())
        assert 0 < len(construct._SHAPES) <= 64


class TestItems:
    @pytest.mark.parametrize("kind", list(ITEM_KINDS.values()), ids=lambda kind: kind.type)
    def test_every_kind_can_be_new_and_live(self, kind: Any) -> None:
        item = construct.new_item(kind, "x_1", **dict.fromkeys(kind.required, "n"))
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
        assert construct.emitted_item(item, status="completed") == done
        assert construct.is_as_emitted(item, done)

    def test_a_proven_item_lends_what_the_deltas_cannot_say(self) -> None:
        events, done = reasoning(0, "Hm")
        made = construct.emitted_item(
            emitted(events[:-1]), status="completed", proven={**done, "encrypted_content": "x"}
        )
        assert made["encrypted_content"] == "x"
        other = construct.emitted_item(
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
        assert construct.emitted_item(item, status="completed") == {
            "id": "rs",
            "type": "reasoning",
            "summary": [],
        }
        assert construct.emitted_item(item, status="incomplete")["status"] == "incomplete"

    def test_a_final_item_of_another_type_says_nothing(self) -> None:
        item = emitted(search(0)[0])
        assert construct.final_item(item, {"type": "reasoning", "x": 1}) == item.item
        assert construct.final_item(item, {"type": "web_search_call", "x": 1})["x"] == 1

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
        part = construct.new_part(type_)
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
        assert construct.emitted_part(part, {**text_part("Hi"), "x": 1}) is part.part

    def test_a_proven_part_lends_its_other_fields(self) -> None:
        part = emitted(message(0, "Hi")[0][:3]).parts[0]
        assert construct.emitted_part(part, {**text_part("No"), "x": 1}) == {**text_part("Hi"), "x": 1}
        assert construct.emitted_part(part, {"type": "refusal", "x": 1}) == text_part("Hi")


class TestLogprobs:
    def test_a_parts_logprobs_have_their_bytes(self) -> None:
        others = [{"token": "e", "logprob": -1.0}, "x", {"token": 7, "logprob": -2.0}]
        assert construct.whole_logprobs([{"token": "é", "logprob": -0.5, "top_logprobs": others}]) == [
            {
                "token": "é",
                "bytes": [0xC3, 0xA9],
                "logprob": -0.5,
                "top_logprobs": [{"token": "e", "bytes": [0x65], "logprob": -1.0}],
            }
        ]

    def test_what_is_whole_is_the_same_list(self) -> None:
        whole = [{"token": "e", "bytes": [1], "logprob": -1.0, "top_logprobs": []}]
        assert construct.whole_logprobs(whole) is whole

    def test_minus_infinity_is_emitted_as_openai_writes_it(self) -> None:
        (whole,) = construct.whole_logprobs([{"token": "e", "logprob": None, "top_logprobs": "x"}])
        assert whole == {"token": "e", "bytes": [0x65], "logprob": -9999.0, "top_logprobs": []}

    @pytest.mark.parametrize("logprobs", [None, "x", ["x", None], [{"token": 7}], [{}]])
    def test_what_names_no_token_is_left_out(self, logprobs: Any) -> None:
        assert construct.whole_logprobs(logprobs) == []

    @pytest.mark.parametrize(
        ("logprob", "readable"),
        [
            ({"token": "e", "logprob": -1.0}, True),
            ({"token": "e", "logprob": 0, "top_logprobs": [{"token": "f", "logprob": -1}]}, True),
            ({"token": "e", "logprob": 0, "top_logprobs": [{"token": "f"}]}, False),
            ({"token": "e", "logprob": True}, False),
            ({"token": "e", "logprob": -1.0, "top_logprobs": None}, False),
            ({"token": "e", "logprob": None}, False),
            ({"token": "e", "logprob": -1.0, "top_logprobs": {}}, False),
            ({"token": "e", "logprob": -1.0, "top_logprobs": ["f"]}, False),
            ({"logprob": -1.0}, False),
            ("x", False),
        ],
    )
    def test_a_deltas_logprob_needs_no_bytes(self, logprob: Any, readable: bool) -> None:  # noqa: FBT001 - a case
        assert construct.is_readable_logprob(logprob) is readable


class TestComparing:
    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ({"a": 1}, {"a": 1}, True),
            ({"a": 1}, {"a": 2}, False),
            ({"a": None}, {"a": [1]}, True),
            ({"text": ""}, {"text": "x"}, False),
            ({"text": ""}, {"text": None}, True),
            ({}, {"encrypted_content": "x"}, True),
            ([{"a": 1}], [{"a": 1}, {"a": 1}], False),
            ([{"a": 1}], {"a": 1}, False),
        ],
    )
    def test_a_final_item_may_add_but_not_contradict(self, one: Any, other: Any, same: bool) -> None:  # noqa: FBT001
        assert construct.says_the_same(one, other) is same

    @pytest.mark.parametrize(
        ("sent", "proven", "missing"),
        [("a", "ab", "b"), ("", "ab", "ab"), ("ab", "ab", ""), ("b", "ab", ""), ("a", None, "")],
    )
    def test_a_tail_is_what_a_longer_text_adds(self, sent: str, proven: Any, missing: str) -> None:
        assert construct.tail(sent, proven) == missing

    @pytest.mark.parametrize(
        ("said", "sent", "truer"),
        [
            ("{}", '"a"}', True),
            ("{}", "{]", True),
            ("", "{]", False),
            ("{]", "{}", False),
            ("{]", "{[", True),
            ("{[", "{[1", False),
            ("null", '{"a":1}', False),
            ("\ud800", "{}", False),
            ('{"a":1,"b":[2]}', '{"b": [2], "a": 1}', False),
            ('{"a":1}', '{"a": true}', True),
            ('{"a":1}', '{"a": 1.0}', True),
            ("[" * 300 + "1" + "]" * 300, "[" * 300 + " 1" + "]" * 300, True),
        ],
    )
    def test_arguments_that_can_be_run_are_truer(self, said: str, sent: str, truer: bool) -> None:  # noqa: FBT001
        assert construct.supersedes(said, sent) is truer


def test_an_item_of_no_type_is_of_an_unknown_kind() -> None:
    assert item_kind(7).type == "unknown"


def test_the_final_account_adds_nothing_that_the_stream_says() -> None:
    """Two items may share one account: the status and the text of the one are not the other's."""
    life, done = summary(0, "Hm")
    thought = [{"type": "reasoning_text", "text": "Hm"}]
    account = {**done, "status": "completed", "content": thought, "encrypted_content": "e"}
    assert construct.final_item(emitted(life), account) == {**done, "encrypted_content": "e"}
