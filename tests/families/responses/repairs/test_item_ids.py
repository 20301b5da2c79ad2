"""Every event of an item has the one id that the client was sent first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import Repaired, opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, reasoning, search, text_part, whole

M_LIFE, M_DONE = message(0, "Hi")
C_LIFE, C_DONE = call(0, "{}")
R_LIFE, R_DONE = reasoning(0, "Hm")


def ids(made: Repaired) -> set[Any]:
    """Return every id by which the stream names an item."""
    return {
        event.get("item_id") or event["item"]["id"]
        for event in made.events
        if "item_id" in event or "item" in event
    } | {item["id"] for item in made.output}


def renamed(life: list[Json], id_: Any) -> list[Json]:
    return [{**event, "item_id": id_} if "item_id" in event else event for event in life]


@pytest.mark.parametrize("id_", ["", None, "other", 7])
@pytest.mark.parametrize(("life", "done"), [(M_LIFE, M_DONE), (C_LIFE, C_DONE), (R_LIFE, R_DONE), search(0)])
def test_all_events_get_the_announced_id(life: list[Json], done: Json, id_: Any) -> None:
    made = repaired(opened(*renamed(life, id_), terminal(done)))
    assert ids(made) == {done["id"]}
    assert len(made.events) == len(life) + 3


@pytest.mark.parametrize("id_", ["", None, 7])
def test_an_empty_id_is_derived_the_same_every_time(id_: Any) -> None:
    added = {**C_LIFE[0], "item": {**C_LIFE[0]["item"], "id": id_}}
    done = {**C_LIFE[3], "item": {**C_DONE, "id": id_}}
    stream = opened(added, *renamed(C_LIFE[1:3], id_), done, terminal({**C_DONE, "id": id_}))
    made = repaired(stream)
    (derived,) = ids(made)
    assert derived.startswith("fc_")
    assert repaired(stream).stream == made.stream


def test_an_id_that_is_taken_is_not_given_again() -> None:
    again = {**message(1, "Yo")[0][0], "item": {**M_LIFE[0]["item"]}}
    made = repaired(opened(*M_LIFE, again, terminal()))
    assert len({event["item"]["id"] for event in made.all("output_item.added")}) == 2


def test_the_same_announcement_again_is_the_same_item() -> None:
    made = repaired(opened(M_LIFE[0], M_LIFE[0], *M_LIFE[1:], terminal(M_DONE)))
    assert ids(made) == {"msg_0"}
    assert "item_ids" not in made.repairs


def test_the_done_item_is_found_by_its_stray_item_id() -> None:
    stray = {**C_DONE, "id": None, "item_id": "fc_0", "output_index": 3, "call_id": "fc_9"}
    made = repaired(opened(*C_LIFE[:3], {**C_LIFE[3], "output_index": 3, "item": stray}, terminal(C_DONE)))
    assert made.one("output_item.done")["item"] == C_DONE


def test_strays_are_removed_though_the_id_is_right() -> None:
    made = repaired(
        opened(*C_LIFE[:3], {**C_LIFE[3], "item": {**C_DONE, "output_index": 0}}, terminal(C_DONE))
    )
    assert made.one("output_item.done")["item"] == C_DONE


def test_the_done_item_is_found_by_its_call_id() -> None:
    two, done_two = call(1, "{}")
    closing = {**C_LIFE[3], "output_index": 5, "item": {**C_DONE, "id": "chatcmpl-tool-1"}}
    made = repaired(opened(*C_LIFE[:3], *two[:3], closing, two[3], terminal(C_DONE, done_two)))
    assert [event["item"]["id"] for event in made.all("output_item.done")] == ["fc_0", "fc_1"]


def test_the_done_item_is_found_by_its_place_then_by_its_type() -> None:
    for index in (0, 4):
        closing = {**M_LIFE[5], "output_index": index, "item": {**M_DONE, "id": ""}}
        made = repaired(opened(*M_LIFE[:5], closing, terminal(M_DONE)))
        assert made.one("output_item.done")["item"]["id"] == "msg_0"


def test_a_done_item_of_another_type_is_the_announced_one() -> None:
    closing = {**C_LIFE[3], "item": {**M_DONE, "id": "fc_0"}}
    made = repaired(opened(*C_LIFE[:3], closing, terminal()))
    assert made.one("output_item.done")["item"] == C_DONE


def test_a_done_item_that_nothing_announced_keeps_its_id_or_gets_one() -> None:
    made = repaired(opened({**M_LIFE[5], "item": {**M_DONE, "id": "m_9"}}, terminal()))
    assert ids(made) == {"m_9"}
    made = repaired(opened({**M_LIFE[5], "item": {**M_DONE, "id": None}}, terminal()))
    assert len(ids(made)) == 1


def test_a_second_done_item_under_a_closed_items_id_is_another_item() -> None:
    life, done = call(1, "{}", id_="msg_0")
    made = repaired(opened(*M_LIFE, {"type": "vendor:x"}, life[3], terminal(M_DONE, done)), conforming=False)
    assert len({event["item"]["id"] for event in made.all("output_item.done")}) == 2


def test_pieces_without_any_name_go_to_the_youngest_open_item_that_fits() -> None:
    r_life, r_done = reasoning(0, "Hm")
    m_life, m_done = message(1, "Hi")
    bare = [
        {k: v for k, v in e.items() if k not in ("item_id", "output_index")} for e in (r_life[2], m_life[2])
    ]
    made = repaired(
        opened(*r_life[:2], *m_life[:2], *bare, *r_life[3:], *m_life[3:], terminal(r_done, m_done))
    )
    assert made.one("reasoning_text.delta")["item_id"] == "rs_0"
    assert made.one("output_text.delta")["item_id"] == "msg_1"


def test_an_event_of_an_unannounced_item_keeps_its_own_id_unless_it_is_taken() -> None:
    made = repaired(opened({**M_LIFE[2], "item_id": "m_7"}, terminal()))
    assert ids(made) == {"m_7"}
    life, done = reasoning(0, "Hm", id_="x")
    made = repaired(opened(*life[:3], {**M_LIFE[2], "item_id": "x"}, *life[3:], terminal(done)))
    assert made.one("output_text.delta")["item_id"].startswith("msg_")


def test_part_events_fit_messages_and_reasoning_only() -> None:
    made = repaired(opened(C_LIFE[0], {**M_LIFE[1], "item_id": "fc_0"}, *C_LIFE[1:], terminal()))
    assert made.one("content_part.added")["item_id"] != "fc_0"


def test_text_for_a_closed_item_is_a_new_items() -> None:
    later = {**M_LIFE[2], "delta": "More"}
    made = repaired(opened(*M_LIFE, *call(1, "{}")[0], later, terminal()))
    assert [item["content"][0]["text"] for item in made.output if item["type"] == "message"] == ["Hi", "More"]
    made = repaired(opened(*M_LIFE, *call(1, "{}")[0], {**later, "delta": ""}, terminal()))
    assert len(made.output) == 2
    made = repaired(opened(*C_LIFE, *message(1, "Hi")[0], C_LIFE[1], terminal()))
    assert [item["type"] for item in made.output] == ["function_call", "message"]


def test_what_is_late_for_a_closed_item_makes_no_new_one() -> None:
    s_life, s_done = search(0)
    other, other_done = message(1, "Hi")
    made = repaired(opened(*s_life, *other, *renamed(s_life[1:4], "ws_0"), terminal(s_done, other_done)))
    assert made.output == [s_done, other_done]


def test_vendors_events_follow_their_item() -> None:
    vendor = {"type": "vendor:progress", "item_id": "fc_x"}
    made = repaired(opened(C_LIFE[0], *renamed(C_LIFE[1:2], "fc_x"), vendor, terminal()), conforming=False)
    assert made.one("vendor:progress")["item_id"] == "fc_0"
    for unknown in ("nobody", 7):
        made = repaired(opened({**vendor, "item_id": unknown}, terminal()), conforming=False)
        assert made.one("vendor:progress")["item_id"] == unknown


def test_an_event_that_has_no_item_id_by_type_loses_it() -> None:
    shell = {
        "type": "response.shell_call_command.added",
        "item_id": "sh",
        "output_index": 0,
        "command_index": 0,
        "command": "ls",
    }
    item = {
        "id": "sh",
        "type": "shell_call",
        "status": "in_progress",
        "call_id": "c",
        "action": {"commands": []},
    }
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    made = repaired(opened(added, shell, terminal()), conforming=False)
    assert "item_id" not in made.one("shell_call_command.added")
    made = repaired(opened({**M_LIFE[0], "item_id": "msg_0"}, *M_LIFE[1:], terminal(M_DONE)))
    assert "item_id" not in made.one("output_item.added")


def test_right_ids_stay() -> None:
    assert untouched(whole(reasoning(0, "Hm"), message(1, "Hi"), call(2, "{}"), search(3)))


@pytest.mark.parametrize("text", ["Hi", "Other"])
def test_a_call_that_closes_with_the_message_before_it_says_nothing_new(text: str) -> None:
    """0.20.2 closes a call that was cut so (R36); a text that was never emitted is emitted."""
    life, done = call(1, "{}")
    place = {"item_id": "fc_1", "output_index": 1, "content_index": 1}
    closings = [
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": text_part(text)},
        {**life[-1], "item": {**M_DONE, "id": "fc_1", "content": [text_part(text)]}},
    ]
    end = terminal(M_DONE, incomplete_details={"reason": "max_output_tokens"})
    end["response"]["status"] = "incomplete"
    made = repaired(opened(*M_LIFE, life[0], *closings, end))
    messages = [item["content"][0]["text"] for item in made.output if item["type"] == "message"]
    assert messages == ["Hi"] + [text] * (text != "Hi")
    (emitted,) = [item for item in made.output if item["type"] == "function_call"]
    assert emitted == {**done, "arguments": "", "status": "incomplete"}


CLOSED = {"content_index": 0, "logprobs": [], "text": ""}


def closed_as_message(life: list[Json], id_: str, index: int) -> list[Json]:
    """Return the life of an item without its own closings, and then closed as a message without a word (0.18.1, R49)."""
    place = {"item_id": id_, "output_index": index}
    return [
        *life,
        {"type": "response.output_text.done", **place, **CLOSED},
        {"type": "response.content_part.done", **place, "content_index": 0, "part": text_part("")},
        {
            "type": "response.output_item.done",
            "output_index": index,
            "item": {**M_DONE, "id": id_, "content": []},
        },
    ]


def test_reasoning_that_closes_as_a_message_stays_reasoning() -> None:
    _, done = reasoning(0, "Hm, well")
    half, _ = reasoning(0, "Hm")
    after, called = call(1, "{}")
    made = repaired(opened(*closed_as_message(half[:3], "rs_0", 0), *after, terminal(done, called)))
    assert made.output == [done, called]
    assert made.values("reasoning_text.delta", "delta") == ["Hm", ", well"]


def test_a_call_that_closes_as_a_message_is_emitted_once_and_whole() -> None:
    """The next call's done event repeats the arguments of the first one; what was streamed may have a brace too many."""
    first, second = '{"city": "Paris"}', '{"city": "Rome"}'
    half, _ = call(0, '{"city":')
    after, _ = call(1, second)
    repeated = '{"city":' + second
    after[-2] = {**after[-2], "arguments": repeated}
    after[-1] = {**after[-1], "item": {**after[-1]["item"], "arguments": repeated}}
    dones = [call(0, first)[1], call(1, second)[1]]
    made = repaired(opened(*closed_as_message(half[:2], "fc_0", 0), *after, terminal(*dones)))
    assert made.output == dones


def test_a_call_with_whole_arguments_closes_before_the_next_one_begins() -> None:
    """Agents run calls, and post them back, in the order in which they close."""
    first, done = call(0, '{"city": "Paris"}')
    after, next_done = call(1, "{}")
    made = repaired(opened(*closed_as_message(first[:2], "fc_0", 0), *after, terminal(done, next_done)))
    assert made.output == [done, next_done]
    assert [event["item"] for event in made.all("output_item.done")] == [done, next_done]


def test_a_brace_too_many_is_not_emitted_as_another_call() -> None:
    life, _ = call(0, '{"city": "Rome"}}')
    _, done = call(0, '{"city": "Rome"}', id_="fc_x")
    made = repaired(opened(*life, terminal({**done, "call_id": "other"})), conforming=False)
    (emitted,) = made.output
    assert emitted["arguments"] == '{"city": "Rome"}'


@pytest.mark.parametrize(("life", "done"), [message(0, "Hi"), reasoning(0, "Hm"), call(0, '{"a": 1}')])
def test_an_announcement_behind_its_done_item_says_nothing_again(life: list[Json], done: Json) -> None:
    """Issue 12, K9."""
    whole_life = repaired(opened(*life, terminal(done)))
    for rest in (life, life[:-1], life[:1]):
        made = repaired(opened(life[-1], *rest, terminal(done)))
        assert made.output == whole_life.output
        assert made.body.count("output_item.added") == made.body.count("output_item.done") == 1


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_open_item_that_is_announced_again_is_one_item(at: int, index: int) -> None:
    life, done = message(0, "Hi", " you")
    made = repaired(opened(*life[:at], {**life[0], "output_index": index}, *life[at:], terminal(done)))
    assert made.output == [done]


@pytest.mark.parametrize(
    ("off", "event", "field", "value"),
    [
        ("item_shapes", M_LIFE[0], "item", None),
        ("item_shapes", M_LIFE[0], "item", {"id": "msg_0"}),
        ("item_shapes", M_LIFE[-1], "item", "msg_0"),
        ("item_shapes", M_LIFE[1], "part", {"type": 1}),
        ("item_shapes", M_LIFE[-2], "part", []),
        ("string_deltas", M_LIFE[-3], "text", {"content": "Hi"}),
        ("string_deltas", C_LIFE[-2], "arguments", None),
    ],
)
def test_an_event_without_what_it_is_about_says_nothing(
    off: str, event: Json, field: str, value: Any
) -> None:
    life, done = (C_LIFE, C_DONE) if event in C_LIFE else (M_LIFE, M_DONE)
    sent = [{**each, field: value} if each is event else each for each in life]
    made = repaired(opened(*sent, terminal(done)), disabled=[off])
    assert made.output == [done]
    assert len(made.events) == len(life) + 3


@pytest.mark.parametrize("response", [None, "x", []])
@pytest.mark.parametrize("at", [0, 1, -1])
def test_a_lifecycle_event_without_a_response_has_the_one_that_the_client_knows(
    at: int, response: Any
) -> None:
    sent = opened(*M_LIFE, terminal(M_DONE))
    sent[at] = {**sent[at], "response": response}
    made = repaired(sent, disabled=["response_fields"])
    assert [event["response"]["status"] for event in made.events if "response" in event] == [
        "in_progress",
        "in_progress",
        "completed",
    ]
    assert made.output == [M_DONE]


@pytest.mark.parametrize("first", [1, 5])
def test_what_is_left_of_a_message_is_no_thought(first: int) -> None:
    """Its announcement was lost, and more: what names an item and a place of its own is of another than the open one."""
    life, done = message(1, "Hi")
    made = repaired(opened(*R_LIFE[:-3], *life[first:], terminal(R_DONE, done)))
    assert [item["type"] for item in made.output] == ["reasoning", "message"]
    assert made.output == [R_DONE, done]


@pytest.mark.parametrize("id_", [None, ""])
def test_an_announcement_without_an_id_is_of_what_came_before_it_in_its_place(id_: Any) -> None:
    nameless = [{**R_LIFE[0], "item": {**R_LIFE[0]["item"], "id": id_}}, *R_LIFE[1:-1]]
    closing = {**R_LIFE[-1], "item": {**R_DONE, "id": id_}}
    made = repaired(opened(nameless[1], nameless[0], *nameless[2:], closing, terminal(R_DONE)))
    assert made.output == [R_DONE]
