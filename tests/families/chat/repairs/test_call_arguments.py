"""The arguments of calls."""

from __future__ import annotations

import json

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, becomes, compact, repaired, stays
from vllm_sse_proxy import BodyEnd

DONE = "{} -> tool_calls\n[DONE]"


def head(arguments: object = "", name: str = "get_weather", number: int = 0) -> str:
    piece = {
        "index": number,
        "id": f"i{number}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    return compact({"tool_calls": [piece]})


def more(arguments: object, number: int = 0) -> str:
    return compact({"tool_calls": [{"index": number, "function": {"arguments": arguments}}]})


def lines(*each: str, end: str = DONE) -> str:
    return "\n".join((ROLE, *each, end))


def of(pieces: list[str]) -> str:
    return lines(head(), *map(more, pieces))


@pytest.mark.parametrize(
    "pieces",
    [
        ['{"city": "Paris"}'],
        ['{"city"', ': "Pa', 'ris"', "}"],
        ['{"city": "}', '{"', "}"],
        ['{"city": {"a": [', "{}", ",", "{}", "]}}"],
        ["{", '"city": 1}', "\n"],
        [' {"city":', ' {"city": 1}', "}"],
        ['{"city": "x', '{\\"city\\": 1}', "{}", '"}'],
    ],
)
def test_one_value_stays_whatever_its_pieces(pieces: list[str]) -> None:
    stays(of(pieces), request=REQUEST)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (['{"city": 1}', '{"city": 1}'], ['{"city": 1}']),
        (['{"city"', ": 1}", '{"city"', ": 1}"], ['{"city"', ": 1}"]),
        (['{"city": 1}{"city": 1}'], ['{"city": 1}']),
        (['{"city": 1', '}{"city": 1}'], ['{"city": 1', "}"]),
        (['{"city": 1} ', "</tool_call>"], ['{"city": 1} ']),
        # the whole again behind a part of it
        (
            ['{"city": "Zo\u00eb \\"Q\\"", "\u00fc', '{"city": "Zo\\u00eb \\"Q\\"", "\\u00fc": 1}'],
            ['{"city": "Zo\u00eb \\"Q\\"", "\u00fc', '":1}'],
        ),
        (['{"city": "\u00e9", "u": 1.', '{"city":"\\u00E9","u":1.5}'], ['{"city": "\u00e9", "u": 1.', "5}"]),
        # only begun again (C15)
        (['{"city": "', '{"city": "Paris', '"}'], ['{"city": "', "Paris", '"}']),
        (['{"ci', '{"city"', ": 1}"], ['{"ci', 'ty"', ": 1}"]),
        (['{"city":"x', '{"city": "xy', '"}'], ['{"city":"x', "y", '"}']),
        (['{"city": "Pa', '{"city": "Paris"}'], ['{"city": "Pa', 'ris"}']),
        (['{"city":"x","u":true', '{"city": "x", "u": true}'], ['{"city":"x","u":true', "}"]),
        (['{"u":1.0,"city":"x"', '{"city": "x", "u": 1}'], ['{"u":1.0,"city":"x"', "}"]),
        (['{"city": "x"', '{"city":"x","u":1}\n'], ['{"city": "x"', ',"u":1}']),
        (["{", '{"city": 1}'], ["{", '"city": 1}']),
        (["{", '{"city": 1}}'], ["{", '"city": 1}']),
        (['{{"city"', ": 1}"], ['{"city"', ": 1}"]),
        (['{ {"city": 1}'], [' {"city": 1}']),
    ],
)
def test_arguments_that_come_twice_leave_once(pieces: list[str], expected: list[str]) -> None:
    becomes(of(pieces), of(expected), request=REQUEST)


TYPED = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "parameters": {
                    "properties": {
                        "city": {"type": "string"},
                        "days": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                        "filter": {"type": ["object", "null"]},
                        "any": {},
                    },
                    "required": ["city"],
                },
            },
        }
    ]
}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (['{"city":', '{"city": "Paris"}'], ['{"city":', ' "Paris"}']),
        (['{"city": "x", "days": ', '{"city":"x","days":3}'], ['{"city": "x", "days": ', "3}"]),
    ],
)
def test_where_a_value_is_due_the_whole_may_come_again_if_no_object_can_be_meant(
    pieces: list[str], expected: list[str]
) -> None:
    """C45: a parser that keeps numbers back until they are whole sends a key, and then all of it again."""
    becomes(of(pieces), of(expected), request=TYPED)


@pytest.mark.parametrize(
    "pieces",
    [
        ['{"filter":', '{"filter": 1}', ',"city":1}'],
        ['{"any":', '{"any": 1}', ',"city":1}'],
        ['{"other":', '{"other": 1}', ',"city":1}'],
        ['{"city":', '{"town": "Paris"}', "}"],
        ['{"filter": {"city":', '{"filter": {"city": 1}}', '},"city":1}'],
        ['{"filter": [', '{"filter": [1]}', '],"city":1}'],
    ],
)
def test_an_object_that_may_be_a_value_stays(pieces: list[str]) -> None:
    stays(of(pieces), request=TYPED)


def test_another_whole_is_not_a_part_of_what_is_cut() -> None:
    becomes(
        of(['{"order_id":9', "{}"]),
        lines(head(), more('{"order_id":9'), end="{} -> length\n[DONE]"),
        request=REQUEST,
    )
    long = '{"city":"' + "x" * 2000
    made = repaired(
        lines(head(), more(long), more('{"a":1}'), end="{} -> length\n[DONE]"),
        request=REQUEST,
        conforming=False,
    )
    assert not made.repairs, "it may be a part of the string"
    made = repaired(
        lines(head(), more(long + '"'), more('{"a":1}'), end="{} -> length\n[DONE]"), request=REQUEST
    )
    assert made.repairs["call_arguments"] == 1


def test_a_whole_that_is_less_than_what_was_sent_adds_nothing() -> None:
    """Seen of 0.17.0: its parser says at the end what it knew a moment before."""
    becomes(
        of(['{"city": "Paris", "units', '{"city": "Paris"}']),
        lines(head(), more('{"city": "Paris", "units'), end="{} -> length\n[DONE]"),
        request=REQUEST,
    )


def test_they_come_again_with_the_finish() -> None:
    becomes(
        lines(
            head(),
            more('{"city": 1}'),
            end=f"{more('{city}'.replace('city', chr(34) + 'city' + chr(34) + ': 1'))} -> tool_calls\n[DONE]",
        ),
        lines(head(), more('{"city": 1}')),
        request=REQUEST,
    )
    becomes(
        lines(head(), more('{"city": "Pa'), end=more('{"city": "Paris"}') + " -> tool_calls\n[DONE]"),
        lines(head(), more('{"city": "Pa'), end=more('ris"}') + " -> tool_calls\n[DONE]"),
        request=REQUEST,
    )


@pytest.mark.parametrize("pieces", [["{'city': 1}", "{}"], ['{"city": nope', '{"city"'], ["12", "3"]])
def test_what_is_no_json_stays(pieces: list[str]) -> None:
    made = repaired(of(pieces), request=REQUEST, conforming=False)
    assert not made.repairs


def test_arguments_as_an_object_become_a_string() -> None:
    becomes(lines(head({"city": 1})), lines(head('{"city":1}')), request=REQUEST)
    becomes(lines(head(), more({"city": 1})), lines(head(), more('{"city":1}')), request=REQUEST)
    made = repaired(lines(head(True), more('{"city":1}')), request=REQUEST)
    assert made.text == lines(head(), more('{"city":1}'))
    becomes(
        lines(head(), more('{"city":'), more({"city": 1})),
        lines(head(), more('{"city":'), more('{"city":1}'), end="{} -> length\n[DONE]"),
        request=REQUEST,
    )


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (['"city": 1}'], ['{"city": 1}']),
        (['"ci', 'ty"', ": ", "1}"], ['{"city": ', "1}"]),
        (['"', "city", '"', " ", ":", "1}"], ['{"city" :', "1}"]),
    ],
)
def test_a_lost_brace_is_put_back(pieces: list[str], expected: list[str]) -> None:
    becomes(of(pieces), of(expected), request=REQUEST)


@pytest.mark.parametrize(
    "pieces",
    [
        ['"a string"'],
        ['"a', " str", 'ing"'],
        ['"{\\"city\\": 1}"', " "],
        ['"' + "x" * 300, '" '],
        ['"a"', " x"],
    ],
)
def test_a_string_is_left_alone(pieces: list[str]) -> None:
    made = repaired(of(pieces), request=REQUEST, conforming=False)
    assert "".join(pieces) in "".join(eval_arguments(made.text))


def eval_arguments(text: str) -> list[str]:
    found = [
        json.loads(line.partition(" -> ")[0].partition(" ++ ")[0])
        for line in text.split("\n")
        if line.startswith('{"tool_calls"')
    ]
    return [piece["function"]["arguments"] for delta in found for piece in delta["tool_calls"]]


def test_what_waits_leaves_with_the_finish_or_the_end() -> None:
    for last in ("{}", more("x")):
        made = repaired(
            lines(head(), more('"ci'), end=f"{last} -> length\n[DONE]"), request=REQUEST, conforming=False
        )
        assert eval_arguments(made.text)[:2] == ["", '"ci']
    made = repaired(lines(head(), end=more('"ci')), request=REQUEST, end=BodyEnd.CUT, conforming=False)
    assert eval_arguments(made.text) == ["", '"ci']
    both = f"{ROLE}\n1: {ROLE}\n{head()}\n1: {head()}\n{more(chr(34))}\n1: {more(chr(34))}\n{{}} -> length\n1: {{}} -> length\n[DONE]"
    made = repaired(both, request={**REQUEST, "n": 2}, conforming=False)
    assert [line for line in made.text.split("\n") if line.endswith("length")] == [
        "{} -> length",
        "1: {} -> length",
    ]


def test_a_tool_that_requires_nothing_may_be_called_with_nothing() -> None:
    becomes(lines(head(name="get_time")), lines(head(name="get_time"), more("{}")), request=REQUEST)
    becomes(
        lines(head(name="get_time"), end=more("") + " -> tool_calls\n[DONE]"),
        lines(head(name="get_time"), more("{}")),
        request=REQUEST,
    )
    becomes(
        lines(end=head(name="get_time") + " -> tool_calls\n[DONE]"),
        lines(end=head("{}", name="get_time") + " -> tool_calls\n[DONE]"),
        request=REQUEST,
    )
    becomes(
        lines(head(name="get_time"), head("", "get_time", 1), more("{}", 1)),
        lines(head(name="get_time"), more("{}"), head("", "get_time", 1), more("{}", 1)),
        request=REQUEST,
    )
    becomes(
        lines(head(name="get_time"), head("{}", "get_time", 1)),
        lines(head(name="get_time"), more("{}"), head("{}", "get_time", 1)),
        request=REQUEST,
    )


def test_others_may_not() -> None:
    becomes(lines(head()), lines(head(), end="{} -> length\n[DONE]"), request=REQUEST)


def test_numbers_of_any_length_are_read() -> None:
    made = repaired(of(['{"u":' + "[" * 3000, '{"city": 1}']), request=REQUEST)
    assert made.text.endswith("{} -> length\n[DONE]")
    made = repaired(of(['{"city":"x","u":[1', '{"city": "x", "u": [2]}']), request=REQUEST)
    assert made.text.endswith("{} -> length\n[DONE]")


def test_usage_in_every_chunk_is_in_the_new_one_too() -> None:
    usage = ' ++ {"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
    made = repaired(
        f"{ROLE}{usage}\n{head(name='get_time')}{usage}\n{{}} -> tool_calls{usage}\n[DONE]", request=REQUEST
    )
    assert made.text.split("\n")[2] == more("{}") + usage


def test_another_call_shows_that_no_key_was_meant() -> None:
    made = repaired(lines(head(), more('"ci'), head("{}", "get_time", 1)), request=REQUEST, conforming=False)
    assert made.text.split("\n")[2] == more('"ci')


def test_a_string_that_goes_on_for_long_is_no_key() -> None:
    made = repaired(of(['"' + "x" * 150, "x" * 150, '" ']), request=REQUEST, conforming=False)
    assert "".join(eval_arguments(made.text)) == '"' + "x" * 300 + '" '


def test_values_that_only_lenient_readers_take_are_compared_all_the_same() -> None:
    made = repaired(
        of(['{"u":1,"city":"x\ny"', '{"city": "x\ny", "u": 1}']), request=REQUEST, conforming=False
    )
    assert eval_arguments(made.text) == ["", '{"u":1,"city":"x\ny"', "}"]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (['"city": "Paris"}'], ['{"city": "Paris"}']),
        (['"ci', 'ty": "Paris"}'], ['{"ci', 'ty": "Paris"}']),
        (['"city"', ': "Paris"}'], ['{"city"', ': "Paris"}']),
    ],
)
def test_the_brace_is_put_back_with_the_finish_too(pieces: list[str], expected: list[str]) -> None:
    """C23: the last piece comes with the finish reason, as with several tokens a step."""
    *first, last = pieces
    *kept, end = expected
    becomes(
        lines(head(), *map(more, first), end=f"{more(last)} -> tool_calls\n[DONE]"),
        lines(head(), *map(more, kept), end=f"{more(end)} -> tool_calls\n[DONE]"),
        request=REQUEST,
    )


LOST = {
    "tools": [
        {"type": "function", "function": {"name": "get_weather", "parameters": {"required": ["city"]}}}
    ],
    "max_tokens": 50,
    "stream_options": {"include_usage": True},
}


def usage(tokens: object) -> str:
    counts = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": 41}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return "! " + compact({**head, "choices": [], "usage": counts})


def ending(*behind: str, reason: str = "tool_calls") -> str:
    return "\n".join((f"{{}} -> {reason}", *behind, "[DONE]"))


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
def test_a_last_brace_that_a_parser_lost_is_restored(limit: str, reason: str) -> None:
    """C46: usage shows that the model ended by itself, and it has said all that the tool requires."""
    request = {**LOST, "max_tokens": None, limit: 50}
    cut = lines(head(), more('{"city": "Paris"'), end=ending(usage(40), reason=reason))
    made = becomes(
        cut, lines(head(), more('{"city": "Paris"'), more("}"), end=ending(usage(40))), request=request
    )
    assert made.repairs["call_arguments"] == 1


@pytest.mark.parametrize(
    ("arguments", "tokens", "reason", "changes"),
    [
        ('{"city": 1', 40, "tool_calls", {}),  # a number may go on
        ('{"city": "Paris", ', 40, "tool_calls", {}),
        ('{"town": "Paris"', 40, "tool_calls", {}),  # what the tool requires is not there
        ('{"city": "Paris"', 50, "tool_calls", {}),
        ('{"city": "Paris"', None, "tool_calls", {}),
        ('{"city": "Paris"', 40, "length", {}),
        ('{"city": "Paris"', 40, "tool_calls", {"max_tokens": None}),
        ('{"city": "Paris"', 40, "tool_calls", {"stop": ["X"]}),
        ('{"city": "Paris"', 40, "tool_calls", {"stop_token_ids": [7]}),
        ('{"city": "Paris"', 40, "tool_calls", {"n": 2}),
        ('{"city": "Paris"', 40, "tool_calls", {"tools": []}),
        ('{"city": "Paris"', 40, "tool_calls", {"stream_options": None}),
    ],
)
def test_where_more_may_be_lost_it_is_not(
    arguments: str, tokens: object, reason: str, changes: dict[str, object]
) -> None:
    made = repaired(
        lines(head(), more(arguments), end=ending(usage(tokens), reason=reason)),
        request={**LOST, **changes},
        conforming=False,
    )
    assert "".join(eval_arguments(made.text)) == arguments
    assert "{} -> length" in made.text


def test_a_finish_that_waits_leaves_with_the_end_and_nothing_comes_before_it() -> None:
    cut = (head(), more('{"city": "Paris"'))
    assert repaired(lines(*cut, end=ending()), request=LOST, conforming=False).text == lines(
        *cut, end=ending(reason="length")
    )
    late = ('{"content":"x"}', "{} -> stop", usage(40))
    assert repaired(lines(*cut, end=ending(*late)), request=LOST).text == lines(
        *cut, more("}"), end=ending(usage(40))
    )
    made = repaired(
        lines(*cut, end=ending()[: -len("[DONE]")]), request=LOST, conforming=False, end=BodyEnd.CUT
    )
    assert "{} -> length" in made.text


def test_usage_in_every_chunk_shows_it_with_the_finish() -> None:
    request = {**LOST, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    counts = '{"usage":{"prompt_tokens":1,"completion_tokens":%d,"total_tokens":41}}'
    for tokens, arguments in ((40, ["", '{"city": "Paris"', "}"]), (50, ["", '{"city": "Paris"'])):
        finish = f"{{}} -> tool_calls ++ {counts % tokens}\n[DONE]"
        text = lines(head(), more('{"city": "Paris"'), end=finish)
        made = repaired(text, request=request, conforming=False)
        assert eval_arguments(made.text) == arguments
        assert (" -> tool_calls" in made.text) == (tokens == 40)
