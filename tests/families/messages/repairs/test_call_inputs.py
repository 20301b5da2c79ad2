"""C17, C23, C45: inputs of calls that are not one JSON object."""

from __future__ import annotations

import pytest

from tests.support.messages import STRICT, lines_of, passes, repaired, run, short, wire
from vllm_sse_proxy import StreamNormalizer
from vllm_sse_proxy.families import MESSAGES


def call(*pieces: str, end: str = "end tool_use") -> str:
    spelled = "\n".join(f"input+ 0 {piece}" for piece in pieces)
    return f"start\ncall 0 x look\n{spelled}\nstop 0\n{end}\nover"


def pieces_of(lines: list[str]) -> list[str]:
    return [line.removeprefix("input+ 0 ") for line in lines if line.startswith("input+ ")]


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        (['{"a": 1}', '{"a": 1}'], ['{"a": 1}']),
        (['{"a": ', '1}{"a": 1}'], ['{"a": ', "1}"]),
        (['{"a": 1}', "}"], ['{"a": 1}']),
        (['{"a": "}"}', '"}'], ['{"a": "}"}']),
        (['{"a": {}}', "x", "y"], ['{"a": {}}']),
    ],
)
def test_nothing_follows_the_end(pieces: list[str], kept: list[str]) -> None:
    """C17."""
    lines, counts = repaired(call(*pieces))
    assert pieces_of(lines) == kept
    assert set(counts) == {"call_inputs"}
    assert pieces_of(repaired(call(*pieces), disabled=["call_inputs"])[0]) == pieces


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        (['{"a": "x"', '{"a": "x"}'], ['{"a": "x"', "}"]),
        (['{"a":4711,"b":true', '{"a": 4711, "b": true}'], ['{"a":4711,"b":true', "}"]),
        (['{"a": [1, 2', '{"a": [1, 2], "b": 3}'], ['{"a": [1, 2', '], "b": 3}']),
        (['{"a": [1,2', '{"a": [1, 2]}'], ['{"a": [1,2', "]}"]),
        (['{"a": 4', ' {"a": 4711}'], ['{"a": 4', "711}"]),
        (['{"a": "é", "b', '{"a":"\\u00e9","b":1}'], ['{"a": "é", "b', '":1}']),
        (["{", '{"a": 1}'], ["{", '"a": 1}']),
        (['{{"a": 1}'], ['{"a": 1}']),
        (['{{"a"', ": 1}"], ['{"a"', ": 1}"]),
    ],
)
def test_what_says_the_whole_once_more_leaves_as_what_was_missing(pieces: list[str], kept: list[str]) -> None:
    """C17, C45."""
    lines, counts = repaired(call(*pieces))
    assert pieces_of(lines) == kept
    assert counts == {"call_inputs": 1}


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        (['"a": 1}'], ['{"a": 1}']),
        (['"', 'a"', ": 1}"], ['{"a": 1}']),
        ([' "a"', ' : "b"', "}"], ['{ "a" : "b"', "}"]),
    ],
)
def test_the_first_brace_is_restored(pieces: list[str], kept: list[str]) -> None:
    """C23: qwen3_coder 0.16 and 0.17."""
    lines, counts = repaired(call(*pieces))
    assert pieces_of(lines) == kept
    assert counts == {"call_inputs": 1}


@pytest.mark.parametrize(
    "pieces",
    [
        ['{"a": {"a": 1}}'],
        ['{"a": ', '{"a": 1}', "}"],
        ['{"a": [', '{"a": 1}', ",", '{"a": 1}', "]}"],
        ['{"a": "\\"', '{\\"a\\": 1}"', "}"],
        ["{", "}"],
        ['{"a": 1}', " ", "  "],
    ],
)
def test_inputs_that_are_one_object_pass(pieces: list[str]) -> None:
    passes(call(*pieces))


@pytest.mark.parametrize(
    "pieces",
    [['"a', 'b"', "}"], ['"', "x" * 300, '"'], ['"a" 1'], ['{"a" 1', '{"a": 1}', "x"]],
)
def test_nonsense_passes(pieces: list[str]) -> None:
    made, normalizer = run(wire(call(*pieces)))
    assert made == wire(call(*pieces))
    assert normalizer.tally.repairs == {}


def test_what_is_held_leaves_with_the_stop_and_stays_through_a_heartbeat() -> None:
    text = 'start\ncall 0 x list\ninput+ 0 "a\n: ping\ninput+ 0 "\nstop 0\nend tool_use\nover'
    made, normalizer = run(wire(text))
    assert made == wire(text.replace('input+ 0 "a\n: ping', ': ping\ninput+ 0 "a'))
    assert normalizer.tally.repairs == {}


def test_calls_of_other_indexes_have_their_own_input() -> None:
    passes(
        'start\ncall 0 x look\ninput+ 0 {"a": 1}\nstop 0\ncall 1 y look\ninput+ 1 {"a": 2}\nstop 1\nend tool_use\nover'
    )
    lines, _ = repaired(
        'start\ncall 0 x look\ninput+ 0 {"a": 1}\nstop 0\ncall 0 y look\ninput+ 0 {"a": 2}\nstop 0\nend tool_use\nover'
    )
    assert [line for line in lines if line.startswith("input+")] == ['input+ 0 {"a": 1}', 'input+ 1 {"a": 2}']


def test_first_pieces_of_calls_in_turn_are_each_calls_own() -> None:
    heads = 'call 0 x list\ncall 1 y list\ninput+ 0 "a\ninput+ 1 "b'
    lines, _ = repaired(f'start\n{heads}\ninput+ 1 ":1}}\ninput+ 0 ":2}}\nstop 0\nstop 1\nend tool_use\nover')
    assert [line for line in lines if line.startswith("input+")] == ['input+ 0 {"a":2}', 'input+ 1 {"b":1}']


def test_first_pieces_of_sixteen_calls_are_held() -> None:
    starts = [f"call {i} x{i} list" for i in range(16)]
    pieces = [f"input+ {i} {piece}" for piece in ('"a', '":1}') for i in range(16)]
    stops = [f"stop {i}" for i in range(16)]
    lines, _ = repaired("\n".join(["start", *starts, *pieces, *stops, "end tool_use", "over"]))
    assert [line for line in lines if line.startswith("input+")] == [
        f'input+ {i} {{"a":1}}' for i in range(16)
    ]


@pytest.mark.parametrize(("number", "is_out"), [(16, False), (17, True)])
def test_before_the_first_piece_of_another_call_those_of_sixteen_leave(number: int, *, is_out: bool) -> None:
    pieces = [f'input+ {i} "a' for i in range(number)]
    normalizer = StreamNormalizer(STRICT, MESSAGES.context("", None))
    made = normalizer.feed(wire("\n".join(["start", "call 0 x list", *pieces])))
    assert ('input+ 0 "a' in lines_of(made)) is is_out


def test_what_is_said_again_may_hold_line_ends_and_may_be_too_deep_to_compare() -> None:
    stream = wire(call('{"a": "x¶y"', '{"a":"x¶y"}')).replace("¶".encode(), b"\\n")
    made, normalizer = run(stream)
    assert b'"partial_json":"}"' in made
    assert normalizer.tally.repairs == {"call_inputs": 1}
    deep = "[" * 20_000 + "]" * 20_000
    made, normalizer = run(wire(call(f'{{"b":1,"a": {deep}', f'{{"a":{deep}, "b":1}}')))
    assert normalizer.tally.repairs == {"call_inputs": 1, "cut_calls": 1}


def test_a_whole_that_is_less_than_what_was_sent_is_dropped_and_the_end_stays_lost() -> None:
    """C17, seen of 0.17.0: its parser says at the end what it knew a moment before."""
    pieces = ['{"command": "echo Paris", "description', '{"command": "echo Paris"}']
    lines, counts = repaired(call(*pieces, end="end tool_use"))
    assert pieces_of(lines) == pieces[:1]
    assert set(counts) == {"call_inputs", "cut_calls"}
    assert lines[-1].startswith("error"), "nobody runs it"


def test_where_a_value_is_due_the_whole_may_come_again_if_no_object_can_be_meant() -> None:
    """C45: a parser that keeps numbers back until they are whole sends a key, and then all of it again."""
    schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "object"}}, "required": ["a"]}
    request = {"tools": [{"name": "look", "input_schema": schema}]}
    lines, counts = repaired(call('{"a": ', '{"a":1}'), request=request)
    assert pieces_of(lines) == ['{"a": ', "1}"]
    assert counts == {"call_inputs": 1}
    pieces = ['{"a":1,"b": ', '{"a":1,"b":2}', "}"]
    assert pieces_of(repaired(call(*pieces), request=request)[0]) == pieces


def test_another_whole_is_dropped_and_the_end_stays_lost() -> None:
    """C45: ``{"order_id":9`` and then ``{}``, seen of 0.17.0."""
    lines, counts = repaired(call('{"a":9', "{}", end="end tool_use"))
    assert pieces_of(lines) == ['{"a":9']
    assert set(counts) == {"call_inputs", "cut_calls"}


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_piece_that_names_no_call_is_of_the_one_that_is_open(at: int) -> None:
    for index in (b"null", b'{"x":1}'):
        pieces = ['{"a":', ' {"b":', " 1}}}"]
        spelled = wire(call(*pieces)).split(b"\n\n")
        spelled[2 + at] = spelled[2 + at].replace(b'"index":0', b'"index":' + index)
        made, _ = run(b"\n\n".join(spelled))
        assert made == wire(call('{"a":', ' {"b":', " 1}}"))


def test_one_without_a_name_may_wait_for_its_brace() -> None:
    spelled = wire(call('"a', '": 1}')).replace(b'"index":0,"delta"', b'"delta"')
    made, normalizer = run(spelled)
    assert b'{\\"a\\": 1}' in made
    assert normalizer.tally.repairs["call_inputs"] == 1
    left = wire(call('"a'))
    made, _ = run(left.replace(b'"index":0,"delta"', b'"delta"'))
    assert b'"partial_json":"\\"a"' in made


def test_what_is_said_again_behind_the_stop_is_not_the_rest() -> None:
    """The stop waits for what follows, and the input is still cut."""
    begun = 'start\ncall 0 x look\ninput+ 0 {"a": "Zo'
    lines, counts = repaired(begun + '\nstop 0\ninput+ 0 {"a": "Zo\nstop 0\nend tool_use\nover')
    assert pieces_of(lines) == ['{"a": "Zo']
    assert lines[-1].startswith("error api_error")
    assert counts == {"call_inputs": 1, "block_closings": 1, "cut_calls": 1}


def test_what_is_said_again_behind_the_stop_of_a_whole_input_is_dropped() -> None:
    """The stop waits for what follows: a piece would go into the call before it."""
    begun = 'start\ncall 0 x look\ninput+ 0 {"a": 1}\nstop 0'
    lines, counts = repaired(begun + '\ninput+ 0 {"a": 1}\nend tool_use\nover')
    assert lines == short(begun + "\nend tool_use\nover")
    assert counts == {"call_inputs": 1}


def test_pieces_in_a_block_of_another_kind_are_walked() -> None:
    """What says the input again goes there, too, however the first was spelled."""
    pieces = ['{"a": "Zo', '{"a": "Zo', '"}']
    spelled = "\n".join(f"input+ 1 {piece}" for piece in pieces)
    lines, counts = repaired(
        f"start\nthink 0\nthink+ 0 Hm\n{spelled}\nstop 1\nend tool_use\nover", disabled=["block_kinds"]
    )
    assert [line for line in lines if line.startswith("input+ ")] == ['input+ 1 {"a": "Zo', 'input+ 1 "}']
    assert counts["call_inputs"] == 1


def test_a_call_that_begins_again_before_its_input_is_whole_is_one() -> None:
    begun = 'call 0 x look\ninput+ 0 {"a'
    lines, counts = repaired(f'start\n{begun}\n{begun}\ninput+ 0 ": 1}}\nstop 0\nend tool_use\nover')
    assert pieces_of(lines) == ['{"a', '": 1}']
    assert sum(line.startswith("call ") for line in lines) == 1
    assert lines[-1] == "over"
    assert counts["call_inputs"] == 1
