"""A call that is streamed as text is told as the call that it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import Repaired, opened, repaired, terminal
from tests.support.streams import Json, call, message, numbered, response, text_part, whole, wire
from vllm_sse_proxy.families.responses import BodyEnd
from vllm_sse_proxy.families.responses.repairs.base import MAX_HELD_DELTAS
from vllm_sse_proxy.families.responses.repairs.tool_call_texts import MARKERS

TOOLS = [{"type": "function", "name": "get_weather", "parameters": {}, "strict": True}]
CALL = call(1, '{"city": "Paris"}')[1]
TEXT = '<tool_call>\n{"name": "get_weather"}\n</tool_call>'


def stream(*events: Json, **asked: Any) -> list[Json]:
    """Return a stream whose request had tools."""
    fields: dict[str, Any] = {"tools": TOOLS, **asked}
    return [
        {"type": f"response.{name}", "response": response(**fields)} for name in ("created", "in_progress")
    ] + list(events)


def told(*pieces: str, final: tuple[Json, ...] | None = None, **asked: Any) -> Repaired:
    """Send a message of these pieces; the terminal event holds the call, unless `final` says otherwise."""
    life, done = message(0, *pieces)
    items = (CALL,) if final is None else final
    if final == ():
        items = (done,)
    return repaired(stream(*life, terminal(*items), **asked))


def texts(made: Repaired) -> str:
    return "".join(made.values("output_text.delta", "delta"))


@pytest.mark.parametrize(
    "pieces",
    [
        ["Let me see.", TEXT],
        ["Let me see.", TEXT[:4], TEXT[4:20], TEXT[20:]],
        [f"Let me see.{TEXT}"],
        [f"Let me see.{TEXT[:5]}", TEXT[5:]],
    ],
)
def test_the_text_before_it_is_told_and_then_the_call(pieces: list[str]) -> None:
    made = told(*pieces)
    assert texts(made) == "Let me see."
    assert [item["type"] for item in made.output] == ["message", "function_call"]
    assert made.output[1] == CALL
    assert made.repairs["tool_call_texts"] >= 1


def test_a_marker_may_come_letter_by_letter() -> None:
    assert texts(told("Let me see.", *TEXT)) == "Let me see."


@pytest.mark.parametrize("marker", MARKERS)
def test_every_marker_is_known(marker: str) -> None:
    assert texts(told("Hi ", marker, "rest")) == "Hi "


@pytest.mark.parametrize(
    "pieces", [["a <", "b"], ["a <tool", "box>"], ["[1", "]"], ["<", "<", "<"], ["{}"], ["x <tool_"]]
)
def test_what_is_no_call_is_told_as_it_came(pieces: list[str]) -> None:
    made = told(*pieces, final=())
    assert texts(made) == "".join(pieces)
    assert made.output[0]["content"] == [text_part("".join(pieces))]
    assert "tool_call_texts" not in made.repairs


def test_a_call_that_the_final_output_does_not_hold_is_the_text_that_it_was() -> None:
    made = told("Like ", TEXT, final=())
    assert texts(made) == f"Like {TEXT}"


def test_so_it_is_when_the_body_breaks() -> None:
    life, _ = message(0, "Like ", TEXT)
    made = repaired(stream(*life[:4]), end=BodyEnd.CUT)
    assert texts(made) == f"Like {TEXT}"


def test_without_tools_nothing_is_held() -> None:
    life, done = message(0, TEXT)
    events = whole((life, done))
    assert texts(repaired(events)) == TEXT
    assert texts(told(TEXT, tools=[])) == TEXT


def test_json_that_nobody_forced_is_text() -> None:
    assert texts(told('{"a": 1}')) == '{"a": 1}'


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_forced_call_begins_with_its_json(choice: Any) -> None:
    """0.20.2 streams it so (R37)."""
    made = told(' [{"name":', ' "get_weather"}]', tool_choice=choice)
    assert texts(made) == ""
    assert made.output == [CALL]
    assert texts(told('See {"a": 1}', final=(), tool_choice=choice)) == 'See {"a": 1}'
    made = told("\n", "", '{"a": 1}', tool_choice=choice)
    assert texts(made).strip() == ""
    assert texts(told("See ", '{"a": 1}', tool_choice=choice)) == 'See {"a": 1}'


FORCED: dict[str, Any] = {"tool_choice": "required"}


@pytest.mark.parametrize("pieces", [['[{"name":', " 1}]"], ["", "[", "]"], ["\n", " \n", "{}"]])
def test_a_message_that_is_a_forced_call_is_never_told(pieces: list[str]) -> None:
    made = told(*pieces, **FORCED)
    assert made.body == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert made.output == [CALL]


@pytest.mark.parametrize("pieces", [["[1", "]"], ["\n", "See."], ["\n"], [], ["\n"] * (MAX_HELD_DELTAS + 2)])
def test_a_message_that_is_none_is_told_as_it_came(pieces: list[str]) -> None:
    life, done = message(0, *pieces)
    made = repaired(stream(*life, terminal(done), **FORCED))
    assert made.body == [event["type"].removeprefix("response.") for event in [*life, terminal()]]
    assert made.output == [done]


def test_what_it_says_before_a_marker_is_told() -> None:
    made = told(f"Let me see.{TEXT}", **FORCED)
    assert made.values("output_text.delta", "delta") == ["Let me see."]
    assert [item["type"] for item in made.output] == ["message", "function_call"]


@pytest.mark.parametrize("kept", [1, 2])
def test_another_announcement_frees_that_of_a_message(kept: int) -> None:
    first, first_done = message(0)
    second, second_done = message(1, "Well")
    made = repaired(stream(*first[:kept], *second, terminal(first_done, second_done), **FORCED))
    assert made.body.count("output_item.added") == 2
    assert texts(made) == "Well"
    made = repaired(
        stream(*first[:kept], *call(1, "{}")[0], terminal(first_done, call(1, "{}")[1]), **FORCED)
    )
    assert [item["type"] for item in made.output] == ["message", "function_call"]


def test_a_heartbeat_frees_the_announcement_of_a_message() -> None:
    life, done = message(0, "[1]")
    events = stream(*life, terminal(done), **FORCED)
    frames = wire(numbered(events), done=False).split(b"\n\n")
    made = repaired(b"\n\n".join([*frames[:4], b": ping", *frames[4:]]))
    names = made.stream[: made.stream.index(b": ping")]
    assert b"output_item.added" in names
    assert b"content_part.added" in names


def test_nothing_is_known_of_what_comes_before_the_response() -> None:
    life, done = message(0, "[1]")
    created, in_progress, *rest = stream(*life, terminal(done), **FORCED)
    made = repaired([rest[0], created, in_progress, *rest[1:]], conforming=False)
    assert texts(made) == "[1]"


def test_the_next_item_frees_it() -> None:
    first, first_done = message(0, "Like ", TEXT)
    second, second_done = message(1, "Well")
    made = repaired(stream(*first, *second, terminal(first_done, second_done)))
    assert texts(made) == f"Like {TEXT}Well"


def test_a_delta_of_another_item_frees_it() -> None:
    first, _ = message(0, "a", TEXT)
    second, _ = message(1, "b<", "c")
    for held in (first[3], {**first[3], "delta": "<"}):
        events = stream(
            first[0], first[1], second[0], second[1], first[2], held, second[2], second[3], terminal()
        )
        assert sorted(texts(repaired(events))) == sorted(f"a{held['delta']}b<c")


def test_text_that_never_ends_is_told_after_all() -> None:
    pieces = ["<tool_call>", *["x"] * MAX_HELD_DELTAS]
    life, _ = message(0, *pieces)
    made = repaired(stream(*life[: 2 + len(pieces)]), end=BodyEnd.CUT)
    assert texts(made) == "".join(pieces)
    assert len(made.all("output_text.delta")) == len(pieces)


def test_an_id_that_is_no_string_is_no_item() -> None:
    """Strict repairs let exceptions through: none is raised over an id that no set can hold."""
    life, done = message(0, "Hi")
    wrong = {**life[2], "item_id": ["msg_0"]}
    forced = [{**event, "response": {**event["response"], "tool_choice": "required"}} for event in opened()]
    made = repaired([*forced, *life[:2], wrong, *life[3:], terminal(done)])
    assert made.output[0]["content"][0]["text"] == "Hi"
