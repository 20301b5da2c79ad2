"""Items and parts have fields of the right types."""

from __future__ import annotations

from typing import Any

import pytest

from tests.families.responses.test_grammar import ITEMS
from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, openais, reasoning, search, summary, whole
from vllm_sse_proxy import Dialect
from vllm_sse_proxy.families.responses import item_fields

M_LIFE, M_DONE = message(0, "Hi")
R_LIFE, R_DONE = reasoning(0, "Hm")
S_LIFE, S_DONE = summary(0, "Hm")
C_LIFE, C_DONE = call(0, "{}")


def test_a_reasoning_item_has_a_list_where_it_said_null() -> None:
    added = {**R_LIFE[0], "item": {**R_LIFE[0]["item"], "content": None, "summary": None}}
    made = repaired(opened(added, *R_LIFE[1:], terminal(R_DONE)))
    item = made.one("output_item.added")["item"]
    assert (item["content"], item["summary"]) == ([], [])
    assert made.repairs == {"item_shapes": 1}


def test_a_message_has_no_summary_and_gets_its_role_and_status() -> None:
    added = {**M_LIFE[0], "item": {"id": "msg_0", "type": "message", "content": None}}
    done = {**M_LIFE[5], "item": {**M_DONE, "summary": [], "status": "done"}}
    made = repaired(opened(added, *M_LIFE[1:5], done, terminal(M_DONE)))
    assert made.one("output_item.added")["item"] == M_LIFE[0]["item"]
    assert made.one("output_item.done")["item"] == M_DONE


@pytest.mark.parametrize("item", [None, "x", {}, {"type": 7}])
def test_an_item_event_without_item_is_dropped(item: Any) -> None:
    made = repaired(opened({**M_LIFE[0], "item": item}, terminal()))
    assert made.body == ["completed"]


@pytest.mark.parametrize("part", [None, [], {"text": ""}])
def test_a_part_event_without_part_is_dropped(part: Any) -> None:
    made = repaired(opened(M_LIFE[0], {**M_LIFE[1], "part": part}, *M_LIFE[1:], terminal(M_DONE)))
    assert made.body.count("content_part.added") == 1
    assert made.repairs == {"item_shapes": 1}


def test_an_item_is_announced_empty() -> None:
    full = {**C_LIFE[0], "item": C_DONE}
    made = repaired(opened(full, *C_LIFE[1:], terminal(C_DONE)))
    assert made.one("output_item.added")["item"] == C_LIFE[0]["item"]
    full = {**M_LIFE[0], "item": M_DONE}
    made = repaired(opened(full, *M_LIFE[1:], terminal(M_DONE)))
    assert made.one("output_item.added")["item"] == M_LIFE[0]["item"]


@pytest.mark.parametrize(("arguments", "emitted"), [(None, "{}"), ({"a": 1}, '{"a":1}')])
def test_arguments_are_a_string(arguments: Any, emitted: str) -> None:
    life, done = call(0, emitted)
    made = repaired(opened(*life[:3], {**life[3], "item": {**done, "arguments": arguments}}, terminal(done)))
    assert made.one("output_item.done")["item"]["arguments"] == emitted


def test_a_call_without_call_id_gets_one_and_keeps_it() -> None:
    item = {name: value for name, value in C_LIFE[0]["item"].items() if name != "call_id"}
    made = repaired(opened({**C_LIFE[0], "item": item}, *C_LIFE[1:3], terminal()))
    (emitted,) = made.output
    assert emitted["call_id"].startswith("call_")
    assert made.one("output_item.added")["item"]["call_id"] == emitted["call_id"]
    empty = {**C_LIFE[0], "item": {**item, "call_id": ""}}
    assert repaired(opened(empty, *C_LIFE[1:3], terminal())).output == made.output


def test_a_call_without_a_name_is_not_announced() -> None:
    made = repaired(
        opened({**C_LIFE[0], "item": {**C_LIFE[0]["item"], "name": None}}, *C_LIFE[1:], terminal(C_DONE))
    )
    assert made.one("output_item.added")["item"]["name"] == "get_weather"
    assert made.output[0]["arguments"] == "{}"


def test_parts_have_lists_and_texts() -> None:
    added = {
        **M_LIFE[1],
        "part": {"type": "output_text", "text": "Hi", "annotations": None, "logprobs": None},
    }
    done = {**M_LIFE[4], "part": {"type": "output_text", "text": None}}
    item = {**M_LIFE[5], "item": {**M_DONE, "content": [{**M_DONE["content"][0], "logprobs": None}, "x"]}}
    made = repaired(opened(M_LIFE[0], added, *M_LIFE[2:4], done, item, terminal(M_DONE)))
    assert made.one("content_part.added")["part"] == M_LIFE[1]["part"]
    assert made.one("content_part.done")["part"]["text"] == "Hi"
    assert made.one("output_item.done")["item"]["content"][0]["logprobs"] == []


def test_a_summary_part_is_of_its_type() -> None:
    added = {**S_LIFE[1], "part": {"type": "output_text", "text": ""}}
    made = repaired(opened(S_LIFE[0], added, *S_LIFE[2:], terminal(S_DONE)))
    assert made.one("reasoning_summary_part.added")["part"]["type"] == "summary_text"


@pytest.mark.parametrize("logprobs", [None, {}, "x"])
def test_deltas_have_a_list_of_logprobs(logprobs: Any) -> None:
    made = repaired(opened(*M_LIFE[:2], {**M_LIFE[2], "logprobs": logprobs}, *M_LIFE[3:], terminal(M_DONE)))
    assert made.one("output_text.delta")["logprobs"] == []


def test_a_reasoning_status_is_one_of_three_if_there_is_one() -> None:
    item = {**R_LIFE[5], "item": {**R_DONE, "status": "done"}}
    made = repaired(opened(*R_LIFE[:5], item, terminal(R_DONE)))
    assert made.one("output_item.done")["item"]["status"] == "completed"


def test_parts_of_unknown_types_and_right_items_stay() -> None:
    assert untouched(whole(message(0, "Hi"), reasoning(1, "Hm"), call(2, "{}"), search(3)))
    added = {**M_LIFE[1], "part": {"type": "vendor", "x": None}}
    made = repaired(opened(M_LIFE[0], added, terminal()), conforming=False)
    assert "item_shapes" not in made.repairs


@pytest.mark.parametrize(
    ("logprobs", "emitted"),
    [
        ([{"token": "Hi", "logprob": -0.5}], [{"token": "Hi", "logprob": -0.5}]),
        (
            [{"token": "Hi", "logprob": True, "top_logprobs": [{"token": ""}]}],
            [
                {
                    "token": "Hi",
                    "bytes": [72, 105],
                    "logprob": -9999.0,
                    "top_logprobs": [{"token": "", "bytes": [], "logprob": -9999.0}],
                }
            ],
        ),
        (
            [{"token": "Hi", "logprob": None}, "x"],
            [{"token": "Hi", "bytes": [72, 105], "logprob": -9999.0, "top_logprobs": []}],
        ),
    ],
)
def test_a_deltas_logprobs_can_be_read(logprobs: Any, emitted: Any) -> None:
    made = repaired(opened(*M_LIFE[:2], {**M_LIFE[2], "logprobs": logprobs}, *M_LIFE[3:], terminal(M_DONE)))
    assert made.one("output_text.delta")["logprobs"] == emitted


def test_a_parts_logprobs_are_whole() -> None:
    part = {**M_LIFE[4]["part"], "logprobs": [{"token": "Hi", "logprob": -0.5}]}
    made = repaired(opened(*M_LIFE[:4], {**M_LIFE[4], "part": part}, M_LIFE[5], terminal(M_DONE)))
    whole_one = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}
    assert made.one("content_part.done")["part"]["logprobs"] == [whole_one]


def test_only_the_assistant_speaks_in_a_response() -> None:
    events = opened(*(_with_role(event, "tool") for event in M_LIFE), terminal(M_DONE))
    assert repaired(events).output[0]["role"] == "assistant"


def _with_role(event: Any, role: str) -> Any:
    return {**event, "item": {**event["item"], "role": role}} if "item" in event else event


@pytest.mark.parametrize("status", [None, 7, "done"])
def test_a_hosted_tools_status_is_one_that_its_type_knows(status: Any) -> None:
    life, done = search(0)
    wrong = [
        {**event, "item": {**event["item"], "status": status}} if "item" in event else event for event in life
    ]
    made = repaired(opened(*wrong, terminal(done)))
    assert made.one("output_item.added")["item"]["status"] == "in_progress"
    assert made.one("output_item.done")["item"]["status"] == "completed"
    assert untouched(whole((_with_status(life, "failed"), {**done, "status": "failed"})))


def _with_status(life: Any, status: str) -> Any:
    *before, last = life
    return [*before, {**last, "item": {**last["item"], "status": status}}]


@pytest.mark.parametrize("action", [None, "x", {}])
def test_a_search_has_an_action_that_can_be_read(action: Any) -> None:
    life, done = search(0)
    wrong = [
        {**event, "item": {**event["item"], "action": action}} if "item" in event else event for event in life
    ]
    made = repaired(opened(*wrong, terminal(done)))
    assert made.one("output_item.added")["item"]["action"] == {"type": "search", "query": ""}


ANY_ITEM: list[Json] = [
    {"id": "x_1", "type": type_, "name": "f", "call_id": "c", "server_label": "s"} for type_ in sorted(ITEMS)
]


@pytest.mark.parametrize("item", ANY_ITEM, ids=lambda item: item["type"])
@pytest.mark.parametrize("status", ["in_progress", "calling", "done", "", 7])
def test_a_closed_item_of_any_type_is_completed(item: Json, status: Any) -> None:
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": {**item, "status": status}},
    ]
    made = repaired(opened(*events, terminal()))
    expected = (
        {"completed"}
        if item["type"] not in item_fields.WITHOUT_STATUS or not isinstance(status, str)
        else {"completed", "done", ""}
    )
    assert made.one("output_item.done")["item"]["status"] in expected
    assert made.body[-1] == "completed"


@pytest.mark.parametrize("item", ANY_ITEM, ids=lambda item: item["type"])
@pytest.mark.parametrize("where", ["everywhere", "done", "final"])
def test_an_item_of_any_type_has_what_its_type_requires(item: Json, where: str) -> None:
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]
    events = {"everywhere": events, "done": events[1:], "final": []}[where]
    made = repaired(opened(*events, terminal(item)))
    if where != "final" or item["type"] not in ("message", "reasoning"):  # there it says nothing at all
        assert made.one("output_item.added")["item"]["type"] == item["type"]
    assert made.output == made.values("output_item.done", "item")
    assert repaired(made.stream).stream == made.stream


@pytest.mark.parametrize(
    "type_", ["custom_tool_call", "mcp_call", "function_call", "shell_call", "computer_call"]
)
def test_a_call_is_announced_in_progress(type_: str) -> None:
    item = {
        "id": "x_1",
        "type": type_,
        "name": "f",
        "call_id": "c",
        "server_label": "s",
        "status": "completed",
    }
    made = repaired(opened({"type": "response.output_item.added", "output_index": 0, "item": item}))
    assert made.one("output_item.added")["item"]["status"] == "in_progress"


def test_upstreams_word_for_an_item_that_failed_stays() -> None:
    item = {"id": "mcp_1", "type": "mcp_call", "name": "f", "server_label": "s", "arguments": ""}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    place = {"item_id": "mcp_1", "output_index": 0}
    failed = {"type": "response.mcp_call.failed", **place}
    error = {"type": "http_error", "code": 404, "message": "no such tool"}

    def status(done: Json, *between: Json) -> Any:
        event = {"type": "response.output_item.done", "output_index": 0, "item": {**item, **done}}
        return repaired(opened(added, *between, event, terminal())).one("output_item.done")["item"]["status"]

    assert status({"status": "in_progress"}, failed) == "failed"
    assert status({"status": "calling", "error": error}) == "failed"
    assert status({"status": "completed", "error": error}) == "completed"
    assert status({"status": "failed"}) == "failed"
    assert status({"status": "aborted"}) == "incomplete"


def test_openais_own_items_keep_what_they_lack() -> None:
    call_of_program = {**C_DONE, "status": "in_progress", "caller": {"type": "program", "caller_id": "c"}}
    image = {"id": "ig_1", "type": "image_generation_call", "status": "generating", "result": "iVBO"}
    search_ = {"id": "ws_1", "type": "web_search_call", "status": "searching"}
    events: list[Json] = []
    for index, item in enumerate((image, search_)):
        events += [
            {
                "type": "response.output_item.added",
                "output_index": index,
                "item": {**item, "status": "in_progress"},
            },
            {"type": "response.output_item.done", "output_index": index, "item": item},
        ]
    openings = [{"type": f"response.{name}", "response": openais()} for name in ("created", "in_progress")]
    end = {"type": "response.completed", "response": openais("completed", [image, search_])}
    made = repaired([*openings, *events, end], conforming=False)
    assert not made.repairs
    theirs = [*C_LIFE[:3], {**C_LIFE[3], "item": call_of_program}]
    assert not repaired(opened(*theirs, terminal(call_of_program)), conforming=False).repairs


@pytest.mark.parametrize(
    "content",
    [
        "Hi",
        ["Hi"],
        {"type": "output_text", "text": "Hi"},
        [{"type": "text", "text": "Hi"}],
        [{"text": "Hi"}],
        [{"type": "input_text", "text": "Hi", "annotations": "x"}],
    ],
)
def test_content_in_another_shape_keeps_its_words(content: Any) -> None:
    done = {**M_LIFE[5], "item": {**M_DONE, "content": content}}
    for events in ([done], [M_LIFE[0], done], [*M_LIFE[:3], done]):
        made = repaired(opened(*events, terminal()))
        assert made.output[0]["content"][0]["text"] == "Hi"
        assert made.values("output_text.delta", "delta") == ["Hi"]


@pytest.mark.parametrize(("field", "type_"), [("content", "reasoning_text"), ("summary", "summary_text")])
@pytest.mark.parametrize("parts", ["Hm", ["Hm"], [{"type": "text", "text": "Hm"}], {"text": "Hm"}])
def test_so_does_reasoning(field: str, type_: str, parts: Any) -> None:
    done = {
        "type": "response.output_item.done",
        "output_index": 0,
        "item": {"id": "rs_0", "type": "reasoning", field: parts},
    }
    assert repaired(opened(done, terminal())).output[0][field] == [{"type": type_, "text": "Hm"}]


@pytest.mark.parametrize("content", ["", [], {}, 7, None])
def test_content_of_nothing_is_an_empty_list(content: Any) -> None:
    done = {**M_LIFE[5], "item": {**M_DONE, "content": content}}
    assert repaired(opened(M_LIFE[0], done, terminal())).output[0]["content"] == []


def test_a_part_of_the_chat_api_is_one_of_this() -> None:
    parts = [{**M_LIFE[n], "part": {**M_LIFE[n]["part"], "type": "text"}} for n in (1, 4)]
    made = repaired(opened(M_LIFE[0], parts[0], *M_LIFE[2:4], parts[1], M_LIFE[5], terminal(M_DONE)))
    assert made.events[2:-1] == [{**event, "sequence_number": n} for n, event in enumerate(M_LIFE, 2)]


def test_annotations_of_parts_are_objects() -> None:
    note = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
    part = {**M_LIFE[4]["part"], "annotations": ["x", note, None]}
    made = repaired(opened(*M_LIFE[:4], {**M_LIFE[4], "part": part}, terminal()))
    assert made.output[0]["content"][0]["annotations"] in ([], [note])


def test_a_code_calls_code_is_a_string_when_it_is_done() -> None:
    item = {
        "id": "ci_1",
        "type": "code_interpreter_call",
        "container_id": "c",
        "code": None,
        "status": "in_progress",
    }
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    done = {"type": "response.output_item.done", "output_index": 0, "item": {**item, "status": "completed"}}
    made = repaired(opened(added, done, terminal()))
    assert made.one("output_item.added")["item"] == item
    assert made.output[0]["code"] == ""
    full = repaired(opened({**added, "item": {**item, "code": "1+1"}}, terminal()))
    assert full.one("output_item.added")["item"]["code"] == ""


def test_dialect_open_responses_requires_nothing_of_items_that_it_does_not_know() -> None:
    item = {"id": "x_1", "type": "shell_call", "call_id": "c", "status": "in_progress"}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    made = repaired(opened(added), dialect=Dialect.OPEN_RESPONSES, conforming=False)
    assert "action" not in made.one("output_item.added")["item"]
