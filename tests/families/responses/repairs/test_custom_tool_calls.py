"""The call of a custom tool that comes as a function call is a custom call, with the input that its arguments hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.repairing import Repaired, repaired, terminal, untouched
from tests.support.streams import Json, call, cut, message, numbered, response, wire
from vllm_sse_proxy import BodyEnd, StreamNormalizer, build_plan

PATCH = '*** Begin Patch\n*** Add File: a.txt\n+hello "you"\n*** End Patch'
ARGUMENTS = json.dumps({"input": PATCH})
APPLY_PATCH: Json = {"type": "custom", "name": "apply_patch", "description": "Edit files"}
FUNCTION: Json = {"type": "function", "name": "exec_command", "parameters": {}, "strict": False}
DESK: Json = {
    "type": "namespace",
    "name": "mcp__desk",
    "description": "Desktop tools",
    "tools": [{"type": "custom", "name": "draw"}, {"type": "function", "name": "click"}],
}
TOOLS = [FUNCTION, APPLY_PATCH, DESK]


def opened(tools: Any = TOOLS) -> list[Json]:
    return [
        {"type": f"response.{name}", "response": response(tools=tools)} for name in ("created", "in_progress")
    ]


def called(*pieces: str, name: str = "apply_patch", tools: Any = TOOLS, index: int = 0) -> Repaired:
    life, done = call(index, *pieces, name=name)
    return repaired([*opened(tools), *life, terminal(done)])


def custom(input_: str, name: str = "apply_patch", **fields: Any) -> Json:
    return {
        "id": "ctc_0",
        "type": "custom_tool_call",
        "call_id": "call_0",
        "name": name,
        **fields,
        "status": "completed",
        "input": input_,
    }


def inputs(made: Repaired) -> str:
    return "".join(made.values("custom_tool_call_input.delta", "delta"))


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_custom_tool_called_as_a_function_is_a_custom_call(size: int) -> None:
    made = called(*(ARGUMENTS[at : at + size] for at in range(0, len(ARGUMENTS), size)))
    assert not [name for name in made.names if "function_call" in name]
    assert inputs(made) == PATCH
    assert made.one("custom_tool_call_input.done")["input"] == PATCH
    assert made.output == [custom(PATCH)]
    assert made.one("output_item.done")["item"] == custom(PATCH)
    assert made.one("output_item.added")["item"] == {**custom(""), "status": "in_progress"}
    assert {event.get("item_id", "ctc_0") for event in made.events} == {"ctc_0"}
    assert "name" not in made.one("custom_tool_call_input.done")
    assert "arguments" not in made.one("custom_tool_call_input.done")
    assert set(made.repairs) == {"custom_tool_calls"}


def test_its_deltas_leave_with_the_chunks_that_brought_them() -> None:
    life, _ = call(0, '{"input": "a', "b", "\\", "n", "\\ud83d", "\\ude00", 'c"}', name="apply_patch")
    normalizer = StreamNormalizer(build_plan(strict=True))
    frames = [frame + b"\n\n" for frame in wire(numbered([*opened(), *life])).split(b"\n\n")]
    sent = [normalizer.feed(frame) for frame in frames[:10]]
    words = [json.loads(frame.partition(b"data: ")[2])["delta"] if frame else "" for frame in sent[3:]]
    assert words == ["a", "b", "", "\n", "", "\N{GRINNING FACE}", "c"]


def test_one_in_a_namespace_is_found_by_both_its_names() -> None:
    for name in ("mcp__desk__draw", "mcp__desk.draw", "draw"):
        made = called('{"input": "x"}', name=name)
        assert made.output == [custom("x", "draw", namespace="mcp__desk")]


@pytest.mark.parametrize("name", ["exec_command", "mcp__desk__click", "unknown"])
def test_functions_stay_functions(name: str) -> None:
    made = called(ARGUMENTS, name=name)
    assert "custom_tool_calls" not in made.repairs
    assert made.output[0]["arguments"] == ARGUMENTS


@pytest.mark.parametrize("tools", [[FUNCTION], [APPLY_PATCH, {**FUNCTION, "name": "apply_patch"}]])
def test_what_the_echo_does_not_settle_stays(tools: list[Json]) -> None:
    life, done = call(0, ARGUMENTS, name="apply_patch")
    assert untouched([*opened(tools), *life, terminal(done)])


def test_a_custom_call_of_upstreams_own_stays() -> None:
    item = custom("x", id="ctc_0")
    place = {"item_id": "ctc_0", "output_index": 0}
    assert untouched(
        [
            *opened(),
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {**item, "input": "", "status": "in_progress"},
            },
            {"type": "response.custom_tool_call_input.delta", **place, "delta": "x"},
            {"type": "response.custom_tool_call_input.done", **place, "input": "x"},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            terminal(item),
        ]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "*** Begin Patch\n*** End Patch",
        "{}",
        '{"patch": "x"}',
        '{"input": 7}',
        '["x"]',
        '{"in',
        " ",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_arguments_without_an_input_are_the_input_as_they_are(arguments: str, size: int) -> None:
    """A function call of a custom tool ends the turn in Codex; the model hears of a wrong input, and tries again."""
    made = called(*(arguments[at : at + size] for at in range(0, len(arguments), size)))
    assert inputs(made) == arguments
    assert made.output == [custom(arguments)]


def test_an_empty_input_is_one() -> None:
    for pieces in (['{"input":""}'], [""], []):
        made = called(*pieces)
        assert inputs(made) == ""
        assert made.output == [custom("")]


def test_an_input_behind_another_member_is_emitted_when_it_is_whole() -> None:
    made = called('{"why": "so", ', '"input": "x"}')
    assert made.values("custom_tool_call_input.delta", "delta") == ["x"]
    assert made.output == [custom("x")]


def test_other_members_behind_the_input_are_none_of_it() -> None:
    made = called('{"input": "x"', ', "why": "so"}')
    assert inputs(made) == "x"
    assert made.output == [custom("x")]


def test_a_call_that_only_the_terminal_event_has_is_emitted_as_one() -> None:
    done = call(0, ARGUMENTS, name="apply_patch")[1]
    made = repaired([*opened(), terminal(done)])
    assert inputs(made) == PATCH
    assert made.output == [custom(PATCH)]
    assert repaired([terminal(done, tools=TOOLS)]).output == [custom(PATCH)]


def test_a_final_call_with_other_ids_and_spaces_is_the_same_call() -> None:
    life, done = call(0, ARGUMENTS, name="apply_patch")
    other = {**done, "id": "fc_x", "call_id": "call_x", "arguments": json.dumps({"input": PATCH}, indent=1)}
    made = repaired([*opened(), *life, terminal(other)])
    assert made.output == [custom(PATCH)]


@pytest.mark.parametrize("lost", ["delta", "arguments.done", "item.done", "added", "both"])
def test_what_is_missing_of_it_is_made_up_for(lost: str) -> None:
    life, done = call(0, *ARGUMENTS, name="apply_patch")
    kept = [
        event
        for event in life
        if not event["type"].endswith(lost) and not (lost == "both" and event["type"].endswith("done"))
    ]
    made = repaired([*opened(), *kept, terminal(done)])
    assert [item["input"] for item in made.output] == [PATCH]
    assert made.output[0]["type"] == "custom_tool_call"
    assert inputs(made) == PATCH


@pytest.mark.parametrize("value", ["", None])
@pytest.mark.parametrize("arguments", [ARGUMENTS, '{"why": "so", "input": "x"}', '{"in', "x"])
def test_done_events_without_arguments_have_those_of_the_deltas(value: str | None, arguments: str) -> None:
    life, done = call(0, *arguments, name="apply_patch")
    life[-2]["arguments"] = value
    life[-1]["item"] = {**life[-1]["item"], "arguments": value}
    wanted = {ARGUMENTS: PATCH, '{"why": "so", "input": "x"}': "x"}.get(arguments, arguments)
    for end in (terminal(done), terminal({**done, "arguments": ""}), terminal()):
        made = repaired([*opened(), *life, end])
        assert inputs(made) == wanted
        assert [item["input"] for item in made.output] == [wanted]


def test_arguments_that_are_no_text_are_read_all_the_same() -> None:
    life, done = call(0, name="apply_patch")
    life[-2]["arguments"] = {"input": PATCH}
    life[-1]["item"] = {**life[-1]["item"], "arguments": {"input": PATCH}}
    made = repaired([*opened(), *life, terminal({**done, "arguments": {"input": PATCH}})])
    assert made.output == [custom(PATCH)]


def test_a_call_that_was_cut_is_incomplete() -> None:
    life, _ = call(0, '{"input": "*** Begin', name="apply_patch")
    made = repaired([*opened(), *life[:2]], end=BodyEnd.CUT)
    assert inputs(made) == "*** Begin"
    assert not made.all("output_item.done")
    assert made.names[-1] == "failed"


def test_events_of_one_call_may_have_several_ids() -> None:
    """As harmony's up to 0.23 (R12): the place says which call is meant, or else it is the last one."""
    for places in (True, False):
        life, done = call(0, *ARGUMENTS, name="apply_patch")
        for number, event in enumerate(life[1:-1]):
            event["item_id"] = f"id_{number}"
            if not places:
                del event["output_index"]
        made = repaired([*opened(), *life, terminal(done)])
        assert inputs(made) == PATCH
        assert [item["input"] for item in made.output] == [PATCH]


def test_pieces_of_a_call_that_nobody_announced_are_no_input() -> None:
    life, done = call(0, ARGUMENTS, name="apply_patch")
    other, other_done = call(1, '{"x": 1}', name="exec_command")
    made = repaired([*opened(), *life[:2], *other[1:], *life[2:], terminal(done, other_done)])
    assert inputs(made) == PATCH
    assert made.output[0]["input"] == PATCH
    assert made.output[1]["arguments"] == '{"x": 1}'


def test_several_calls_side_by_side() -> None:
    first, first_done = call(0, *ARGUMENTS, name="apply_patch")
    second, second_done = call(1, '{"x": 1}', name="exec_command")
    third, third_done = call(2, '{"input": "', "y", '"}', name="mcp__desk__draw")
    mixed = [first[0], second[0], third[0]]
    for index in range(1, max(map(len, (first, second, third)))):
        mixed += [life[index] for life in (first, second, third) if index < len(life)]
    made = repaired([*opened(), *mixed, terminal(first_done, second_done, third_done)])
    assert [item["type"] for item in made.output] == ["custom_tool_call", "function_call", "custom_tool_call"]
    assert made.output[0]["input"] == PATCH
    assert made.output[1]["arguments"] == '{"x": 1}'
    assert (made.output[2]["name"], made.output[2]["namespace"], made.output[2]["input"]) == (
        "draw",
        "mcp__desk",
        "y",
    )


def test_an_announcement_that_comes_again_begins_nothing_anew() -> None:
    life, done = call(0, '{"input": "a', 'b"}', name="apply_patch")
    made = repaired([*opened(), *life[:2], life[0], *life[2:], terminal(done)])
    assert inputs(made) == "ab"


def test_a_call_without_an_id_gets_one_of_its_kind() -> None:
    life, done = call(0, '{"input": "ab"}', name="apply_patch")
    for event in (life[0], life[-1]):
        event["item"] = {name: value for name, value in event["item"].items() if name != "id"}
    for event in life[1:-1]:
        del event["item_id"]
    made = repaired([*opened(), *life, terminal({**done, "id": ""})])
    assert [item["input"] for item in made.output] == ["ab"]
    assert str(made.output[0]["id"]).startswith("ctc_")


@pytest.mark.parametrize("id_", ["fc_7", "ctc_7", "7"])
def test_ids_are_those_of_custom_calls(id_: str) -> None:
    life, done = call(0, '{"input": "ab"}', name="apply_patch", id_=id_)
    made = repaired([*opened(), *life, terminal(done)])
    assert made.output[0]["id"] == "ctc_7"
    assert made.values("custom_tool_call_input.delta", "item_id") == ["ctc_7"]


@pytest.mark.parametrize(
    "odd",
    [
        {
            "type": "response.function_call_arguments.delta",
            "item_id": ["x"],
            "output_index": "x",
            "delta": "{",
        },
        {"type": "response.function_call_arguments.delta", "item_id": "x", "delta": {"x": 1}},
        {"type": "response.function_call_arguments.done", "arguments": 7},
        {"type": "response.output_item.done", "item": {"type": "function_call", "name": ["apply_patch"]}},
        {"type": "response.output_item.done", "item": {"type": ["function_call"], "name": "apply_patch"}},
        {
            "type": "response.output_item.added",
            "item": {"type": "function_call", "name": "apply_patch", "id": 7},
        },
        {
            "type": "response.output_item.done",
            "item": {"type": "function_call", "name": "apply_patch", "id": 7},
        },
    ],
)
def test_other_shapes_raise_nothing(odd: Json) -> None:
    life, done = message(0, "Hi")
    ending = (
        "incomplete" if odd["type"].endswith("added") else "completed"
    )  # a call that nobody has closed is half
    assert repaired([*opened(TOOLS), *life, odd, terminal(done)]).ending == ending
    end = terminal()
    end["response"]["output"] = [None, 7, {"type": "function_call", "name": "apply_patch", "namespace": 7}]
    assert repaired([*opened(TOOLS), *life, odd, end], conforming=False).ending == "completed"
    end["response"]["output"] = {}
    assert repaired([*opened(TOOLS), *life, odd, end]).ending == ending
    assert repaired([*opened(TOOLS), *life, odd, {"type": "response.completed"}]).ending in (
        "completed",
        "incomplete",
    )


def test_without_the_repairs_of_shapes_nothing_raises() -> None:
    events = [
        {"type": "response.output_item.added", "item": 7},
        {"type": "response.output_item.done", "item": 7},
        {"type": "response.function_call_arguments.delta", "delta": 7},
    ]
    made = repaired(
        [*opened(), *events, terminal()],
        conforming=False,
        strict=False,
        disabled=["item_shapes", "string_deltas"],
    )
    assert "custom_tool_calls" not in made.normalizer.tally.repair_failures


@given(st.text() | st.sampled_from([ARGUMENTS]), st.lists(st.integers(0, 80)), st.data())
def test_how_it_is_cut_changes_nothing(text: str, places: list[int], data: st.DataObject) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=data.draw(st.booleans()))
    cuts = sorted(min(place, len(arguments)) for place in places)
    pieces = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
    life, done = call(0, *pieces, name="apply_patch")
    sent = wire(numbered([*opened(), *life, terminal(done)]))
    made = repaired(sent)
    assert inputs(made) == text
    assert made.output == [custom(text)]
    normalizer = StreamNormalizer(build_plan(strict=True))
    parts = cut(sent, data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    assert b"".join(map(normalizer.feed, parts)) + normalizer.finish(BodyEnd.EOF) == made.stream
    assert repaired(made.stream).stream == made.stream
