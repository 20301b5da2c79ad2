"""Items that only the terminal event shows get their whole life before it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import opened, repaired, terminal, untouched
from tests.support.streams import Json, call, message, reasoning, search, summary, text_part, whole

M_LIFE, M_DONE = message(0, "Hi")
CUT: dict[str, Any] = {"name": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
CODE: Json = {
    "id": "ci_0",
    "type": "code_interpreter_call",
    "code": "1+1",
    "container_id": "c",
    "outputs": [],
    "status": "completed",
}
MCP: Json = {
    "id": "mcp_0",
    "type": "mcp_call",
    "name": "f",
    "server_label": "s",
    "arguments": "{}",
    "status": "completed",
}


@pytest.mark.parametrize(("life", "done"), [message(0, "Hi"), reasoning(0, "Hm"), call(0, "{}"), search(0)])
def test_an_item_is_emitted_as_upstream_would_have(life: list[Json], done: Json) -> None:
    made = repaired(opened(terminal(done)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]
    assert made.output == [done]
    assert made.repairs["unsent_items"] == 1


@pytest.mark.parametrize(
    ("item", "before", "after"),
    [
        (
            CODE,
            ["code_interpreter_call.in_progress"],
            ["code_interpreter_call.interpreting", "code_interpreter_call.completed"],
        ),
        (MCP, ["mcp_call.in_progress"], ["mcp_call.completed"]),
    ],
)
def test_the_steps_of_hosted_tools_are_emitted_too(item: Json, before: list[str], after: list[str]) -> None:
    made = repaired(opened(terminal(item)))
    texts = [name for name in made.body if name.endswith((".delta", "arguments.done", "code.done"))]
    assert made.body == ["output_item.added", *before, *texts, *after, "output_item.done", "completed"]


def test_it_comes_after_what_was_streamed() -> None:
    life, done = call(1, "{}")
    made = repaired(opened(*M_LIFE, terminal(M_DONE, done)))
    assert made.body[-len(life) - 1 :] == [
        event["type"].removeprefix("response.") for event in [*life, terminal()]
    ]
    assert made.output == [M_DONE, done]


def test_an_id_that_the_client_knows_is_not_given_twice() -> None:
    other = {**call(1, "{}")[1], "id": "msg_0"}
    made = repaired(opened(*M_LIFE, terminal(M_DONE, other)))
    assert len({item["id"] for item in made.output}) == 2
    made = repaired(opened(*M_LIFE, terminal(M_DONE, {**other, "id": None})))
    assert len({item["id"] for item in made.output}) == 2


def test_the_last_unsent_item_of_a_cut_response_was_cut() -> None:
    made = repaired(opened(terminal(call(0, "{}")[1], call(1, '{"a"')[1], **CUT)))
    assert [event["item"]["status"] for event in made.all("output_item.done")] == ["completed", "incomplete"]


@pytest.mark.parametrize(
    "final",
    [
        {**M_DONE, "id": "msg_x", "content": []},
        {**M_DONE, "id": "msg_x", "content": [text_part(" ")]},
        {"id": "x"},
        {"type": 7},
        "no item",
    ],
)
def test_what_was_emitted_already_in_another_way_is_not_emitted_again(final: Any) -> None:
    end = terminal()
    end["response"]["output"] = [M_DONE, final]
    made = repaired(opened(*M_LIFE, end))
    assert made.body.count("output_item.added") == 1


@pytest.mark.parametrize("said", ["i", "Hi"])
def test_an_answer_that_repeats_an_earlier_text_is_an_answer(said: str) -> None:
    """Issue 12, K9."""
    final = {**M_DONE, "id": "msg_x", "content": [text_part(said)]}
    made = repaired(opened(*M_LIFE, terminal(M_DONE, final)))
    assert [item["content"][0]["text"] for item in made.output] == ["Hi", said]


def test_what_was_emitted_as_another_kind_is_not_emitted_again() -> None:
    made = repaired(opened(*M_LIFE, terminal(reasoning(0, "Hi")[1])))
    assert made.output == [M_DONE]
    made = repaired(opened(*M_LIFE, terminal(reasoning(0, "Other")[1])))
    assert [item["type"] for item in made.output] == ["message", "reasoning"]


def test_reasoning_of_a_summary_alone_is_emitted_too() -> None:
    life, done = summary(0, "Hm")
    made = repaired(opened(terminal(done)))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]


def test_nothing_unsent_nothing_emitted() -> None:
    assert untouched(whole(message(0, "Hi"), reasoning(1, "Hm"), call(2, "{}")))


def test_an_unfinished_call_is_emitted_as_one_whatever_the_response_says() -> None:
    """Harmony up to 0.31 (R48): the response says `completed`, and `in_progress` of a call that was cut."""
    half = {**call(0, '{"a')[1], "status": "in_progress"}
    made = repaired(opened(terminal(half)))
    assert made.one("output_item.done")["item"]["status"] == "incomplete"
    assert made.events[-1]["type"] == "response.incomplete"


@pytest.mark.parametrize("without", ["call_id", "id", "arguments"])
def test_a_call_that_lacks_something_is_emitted_all_the_same(without: str) -> None:
    _, done = call(0, "{}")
    made = repaired(opened(terminal({name: value for name, value in done.items() if name != without})))
    (emitted,) = made.output
    assert emitted["name"] == done["name"]
    assert emitted["arguments"] == ("" if without == "arguments" else "{}")
    assert emitted["id"]
    assert emitted["call_id"]
    assert emitted == made.one("output_item.done")["item"]


@pytest.mark.parametrize("name", [None, "", 5])
def test_a_call_without_a_name_is_not_emitted(name: object) -> None:
    _, done = call(0, "{}")
    assert repaired(opened(terminal({**done, "name": name}))).output == []


def test_nothing_comes_between_an_error_and_the_end() -> None:
    """Whoever reads on behind an error gets nothing but what failed."""
    error = {"type": "error", "code": "server_error", "message": "boom", "param": None}
    made = repaired(opened(error, terminal(M_DONE, name="failed")))
    assert made.body == ["error", "failed"]
    assert made.output == []
