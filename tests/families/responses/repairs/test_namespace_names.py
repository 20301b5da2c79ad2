"""A call under a flattened name gets its namespace back, wherever the client reads it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.repairing import Repaired, repaired, terminal
from tests.support.streams import Json, call, message, numbered, response, wire
from vllm_sse_proxy import StreamNormalizer, build_plan

FUNCTION: Json = {"type": "function", "name": "exec_command", "parameters": {}, "strict": False}
DESK: Json = {
    "type": "namespace",
    "name": "mcp__desk",
    "description": "Desktop tools",
    "tools": [{"type": "function", "name": "list_apps"}, {"type": "function", "name": "click"}],
}
WEB: Json = {**DESK, "name": "mcp__web", "tools": [{"type": "function", "name": "click"}]}
TOOLS = [FUNCTION, DESK, WEB]


def opened(tools: Any) -> list[Json]:
    return [
        {"type": f"response.{name}", "response": response(tools=tools)} for name in ("created", "in_progress")
    ]


def called(name: str, tools: Any = TOOLS, **fields: Any) -> Repaired:
    """Call a tool by a name; `fields` go into its items."""
    life, done = call(0, '{"x"', ": 1}", name=name)
    for event in (life[0], life[-1]):
        event["item"] = {**event["item"], **fields}
    end = terminal({**done, **fields}, tools=tools)
    return repaired([*opened(tools), *life, end])


def names(made: Repaired) -> set[tuple[str, str | None]]:
    """Return name and namespace of the call in all places."""
    items = [event["item"] for name in ("output_item.added", "output_item.done") for event in made.all(name)]
    return {(item["name"], item.get("namespace")) for item in (*items, *made.output)}


@pytest.mark.parametrize(
    "name", ["mcp__desk__list_apps", "mcp__desk.list_apps", "list_apps", "mcp__desk__click"]
)
@pytest.mark.parametrize("fields", [{}, {"namespace": None}, {"namespace": ""}])
def test_name_and_namespace_come_apart(name: str, fields: Json) -> None:
    made = called(name, **fields)
    bare = name.removeprefix("mcp__desk").strip("_.")
    assert names(made) == {(bare, "mcp__desk")}
    assert made.one("function_call_arguments.done")["name"] == bare
    assert made.values("function_call_arguments.delta", "delta") == ['{"x"', ": 1}"]
    assert set(made.repairs) == {"namespace_names"}


@pytest.mark.parametrize("name", ["exec_command", "click", "mcp__desk__other", "mcp__desk", "unknown"])
def test_what_the_echo_does_not_settle_stays(name: str) -> None:
    made = called(name)
    assert names(made) == {(name, None)}
    assert not made.repairs


def test_a_namespace_that_upstream_sent_stays() -> None:
    made = called("click", namespace="mcp__web")
    assert names(made) == {("click", "mcp__web")}
    assert not made.repairs


@pytest.mark.parametrize("tools", [[FUNCTION], [], [{**FUNCTION, "name": "mcp__desk__list_apps"}, DESK]])
def test_without_a_namespace_nothing_changes(tools: list[Json]) -> None:
    made = called("mcp__desk__list_apps", tools)
    assert names(made) == {("mcp__desk__list_apps", None)}
    assert not made.repairs


def test_a_call_that_only_the_terminal_event_has_is_emitted_with_its_namespace() -> None:
    done = call(0, "{}", name="mcp__desk__list_apps")[1]
    made = repaired([*opened(TOOLS), terminal(done)])
    assert names(made) == {("list_apps", "mcp__desk")}
    assert made.one("function_call_arguments.done")["name"] == "list_apps"
    assert made.body.count("output_item.done") == 1


def test_a_stream_without_its_opening_has_the_echo_at_its_end() -> None:
    done = call(0, "{}", name="mcp__desk__list_apps")[1]
    assert names(repaired([terminal(done, tools=TOOLS)])) == {("list_apps", "mcp__desk")}


def test_what_was_streamed_before_the_echo_was_known_is_one_call_all_the_same() -> None:
    """Its name is out: it may not be another one in the final output, where it would be another call."""
    life, done = call(0, "{}", name="mcp__desk__list_apps")
    made = repaired([*life, terminal(done, tools=TOOLS)])
    assert names(made) == {("mcp__desk__list_apps", None)}
    assert made.body.count("output_item.done") == 1


def test_a_call_with_other_ids_in_the_final_output_is_one_call() -> None:
    life, done = call(0, "{}", name="mcp__desk__list_apps")
    made = repaired([*opened(TOOLS), *life, terminal({**done, "id": "fc_x", "call_id": "call_x"})])
    assert made.output == [{**done, "name": "list_apps", "namespace": "mcp__desk"}]


def test_custom_calls_have_namespaces_too() -> None:
    tools = [{**DESK, "tools": [{"type": "custom", "name": "draw"}]}]
    item: Json = {"id": "ctc_0", "type": "custom_tool_call", "call_id": "call_0", "name": "mcp__desk__draw"}
    place = {"item_id": "ctc_0", "output_index": 0}
    done = {**item, "input": "x", "status": "completed"}
    made = repaired(
        [
            *opened(tools),
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {**item, "input": "", "status": "in_progress"},
            },
            {"type": "response.custom_tool_call_input.delta", **place, "delta": "x"},
            {"type": "response.custom_tool_call_input.done", **place, "input": "x"},
            {"type": "response.output_item.done", "output_index": 0, "item": done},
            terminal(done),
        ]
    )
    assert names(made) == {("draw", "mcp__desk")}


@pytest.mark.parametrize(
    "odd",
    [
        {
            "type": "response.function_call_arguments.done",
            "item_id": "fc_9",
            "output_index": 9,
            "arguments": "{}",
        },
        {"type": "response.function_call_arguments.done", "name": ["x"], "arguments": "{}"},
        {"type": "response.output_item.done", "item": {"type": "function_call", "name": 7}},
        {"type": "response.output_item.done", "item": {"type": ["function_call"], "name": "click"}},
        {"type": "response.output_item.done"},
    ],
)
def test_other_shapes_raise_nothing(odd: Json) -> None:
    life, done = message(0, "Hi")
    made = repaired([*opened(TOOLS), *life, odd, terminal(done)])
    assert made.ending == "completed"
    outputs: list[Any] = [None, [None, 7, "x"], {}]
    for output in outputs:
        end = terminal()
        end["response"]["output"] = output
        assert repaired([*opened(TOOLS), *life, end]).ending == "completed"
    assert repaired([*opened(TOOLS), *life, {"type": "response.completed"}]).ending == "completed"


def test_a_repaired_stream_stays_as_it_is() -> None:
    made = called("mcp__desk__list_apps")
    assert repaired(made.stream).stream == made.stream


def test_the_way_of_the_bytes_changes_nothing() -> None:
    life, done = call(0, '{"x"', ": 1}", name="mcp__desk.click")
    sent = wire(numbered([*opened(TOOLS), *life, terminal(done)]))
    normalizer = StreamNormalizer(build_plan(strict=True))
    assert b"".join(normalizer.feed(sent[at : at + 1]) for at in range(len(sent))) == repaired(sent).stream
