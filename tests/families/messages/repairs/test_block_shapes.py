"""A15, A23: blocks and deltas that lack a member, or have one of another kind."""

from __future__ import annotations

import json

import pytest

from tests.support.messages import REQUEST, passes, repaired, short


def block(**content: object) -> str:
    return json.dumps({"type": "content_block_start", "index": 0, "content_block": content})


def delta(**words: object) -> str:
    return json.dumps({"type": "content_block_delta", "index": 0, "delta": words})


def test_thinking_starts_with_a_signature() -> None:
    """A15: vLLM from 0.17 on sends none."""
    text = f"start\n{block(type='thinking', thinking='')}\nthink+ 0 Hm\nsign 0 s\nstop 0\nend end_turn\nover"
    lines, counts = repaired(text)
    assert lines == short("start\nthink 0\nthink+ 0 Hm\nsign 0 s\nstop 0\nend end_turn\nover")
    assert counts == {"block_shapes": 1}
    assert repaired(text, disabled=["block_shapes"])[1] == {}


@pytest.mark.parametrize(
    ("start", "becomes"),
    [
        ({"type": "text"}, "text 0"),
        ({"type": "text", "text": None}, "text 0"),
        ({"type": "thinking", "thinking": None, "signature": None}, "think 0"),
    ],
)
def test_members_that_are_missing_are_empty(start: dict[str, object], becomes: str) -> None:
    lines, counts = repaired(f"start\n{block(**start)}\nstop 0\nend end_turn\nover")
    assert lines[1] == becomes
    assert counts["block_shapes"] == 1


@pytest.mark.parametrize("input_", [None, "", [], 3])
def test_the_input_of_a_call_starts_as_an_empty_object(input_: object) -> None:
    lines, counts = repaired(
        f"start\n{block(type='tool_use', id='x', name='list', input=input_)}\nstop 0\nend tool_use\nover"
    )
    assert lines[1] == "call 0 x list"
    assert counts == {"block_shapes": 1}


@pytest.mark.parametrize(
    ("start", "lines"),
    [
        ({"type": "text", "text": "Hello"}, ["text 0", "text+ 0 Hello"]),
        (
            {"type": "tool_use", "id": "x", "name": "list", "input": {"a": 1}},
            ["call 0 x list", 'input+ 0 {"a":1}'],
        ),
        (
            {"type": "tool_use", "id": "x", "name": "list", "input": '{"a": 1}'},
            ["call 0 x list", 'input+ 0 {"a": 1}'],
        ),
    ],
)
def test_what_a_block_starts_with_goes_into_a_delta(start: dict[str, object], lines: list[str]) -> None:
    end = "end tool_use" if start["type"] == "tool_use" else "end end_turn"
    made, counts = repaired(f"start\n{block(**start)}\nstop 0\n{end}\nover")
    assert made == ["start", *lines, "stop 0", end, "over"]
    assert counts == {"block_shapes": 1}


def test_an_input_that_comes_at_the_start_and_again_is_sent_once() -> None:
    start = block(type="tool_use", id="x", name="look", input={"a": 1})
    made, _ = repaired(f'start\n{start}\ninput+ 0 {{"a":\ninput+ 0 1}}\nstop 0\nend tool_use\nover')
    assert made == short('start\ncall 0 x look\ninput+ 0 {"a":1}\nstop 0\nend tool_use\nover')


@pytest.mark.parametrize("id_", [None, "", 7])
def test_a_call_without_an_id_gets_one(id_: object) -> None:
    start = block(type="tool_use", id=id_, name="list", input={})
    text = f"start\n{start}\nstop 0\n{start.replace('0', '1')}\nstop 1\nend tool_use\nover"
    made, counts = repaired(text)
    ids = [line.split()[2] for line in made if line.startswith("call")]
    assert len(set(ids)) == 2
    assert all(id_.startswith("toolu_") for id_ in ids)
    assert counts == {"block_shapes": 2}


@pytest.mark.parametrize(
    "request_",
    [
        {**REQUEST, "tool_choice": {"type": "tool", "name": "list"}},
        {"tools": [{"name": "list"}]},
    ],
    ids=["named", "only"],
)
def test_a_call_without_a_name_is_of_the_only_tool(request_: dict[str, object]) -> None:
    start = block(type="tool_use", id="x", input={})
    made, counts = repaired(f"start\n{start}\nstop 0\nend tool_use\nover", request=request_)
    assert made[1] == "call 0 x list"
    assert counts == {"block_shapes": 1}


@pytest.mark.parametrize(
    "request_", [None, REQUEST, {"tools": None}, {"tools": [3]}, {"tools": [{"name": 3}]}]
)
def test_a_call_without_a_name_is_dropped_where_it_could_be_any(request_: dict[str, object] | None) -> None:
    start = block(type="tool_use", id="x", name="", input={})
    made, counts = repaired(
        f'start\n{start}\ninput+ 0 {{"a": 1}}\nstop 0\ntext 1\ntext+ 1 Hi\nstop 1\nend tool_use\nover',
        request=request_,
    )
    assert made == short("start\ntext 0\ntext+ 0 Hi\nstop 0\nend end_turn\nover")
    assert counts["block_shapes"] == 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"text": "Hi"}, "text+ 0 Hi"),
        ({"type": None, "text": "Hi"}, "text+ 0 Hi"),
        ({"type": "text_delta", "text": {"text": "Hi"}}, "text+ 0 Hi"),
    ],
)
def test_deltas_get_their_type_and_their_words(words: dict[str, object], line: str) -> None:
    made, counts = repaired(f"start\ntext 0\n{delta(**words)}\nstop 0\nend end_turn\nover")
    assert made[2] == line
    assert counts == {"block_shapes": 1}


def test_an_input_that_is_an_object_becomes_json() -> None:
    piece = delta(type="input_json_delta", partial_json={"a": 1})
    made, counts = repaired(f"start\ncall 0 x look\n{piece}\nstop 0\nend tool_use\nover")
    assert made[2] == 'input+ 0 {"a":1}'
    assert counts == {"block_shapes": 1}


@pytest.mark.parametrize(
    "words",
    [
        {"type": "input_json_delta", "partial_json": None},
        {"type": "input_json_delta"},
        {"type": "input_json_delta", "partial_json": 3},
        {"type": "text_delta", "text": None},
        {"type": "text_delta", "text": {"x": 1}},
        {"x": 1},
        {},
    ],
)
def test_deltas_that_say_nothing_are_dropped(words: dict[str, object]) -> None:
    """A23: `partial_json` is null in the first piece to 0.16."""
    made, counts = repaired(f"start\ncall 0 x list\n{delta(**words)}\nstop 0\nend tool_use\nover")
    assert made == short("start\ncall 0 x list\nstop 0\nend tool_use\nover")
    assert counts == {"block_shapes": 1}


@pytest.mark.parametrize("content", ["null", '"text"', "{}", '{"type":3}'])
def test_a_block_of_no_kind_is_what_its_first_delta_is(content: str) -> None:
    start = f'{{"type":"content_block_start","index":0,"content_block":{content}}}'
    made, _ = repaired(f"start\n{start}\ntext+ 0 Hi\nstop 0\nend end_turn\nover")
    assert made == short("start\ntext 0\ntext+ 0 Hi\nstop 0\nend end_turn\nover")


def test_blocks_that_nobody_knows_pass() -> None:
    text = f"start\n{block(type='vendor', x=1).replace(': ', ':').replace(', ', ',')}\nstop 0\nend end_turn\nover"
    made, counts = repaired(text, disabled=["held_stops"])
    assert made == short(text)
    assert counts == {}


def test_empty_deltas_pass() -> None:
    passes(
        "start\ncall 0 x list\ninput+ 0 \ninput+ 0 {}\nstop 0\ntext 1\ntext+ 1 \nstop 1\nend tool_use\nover"
    )
