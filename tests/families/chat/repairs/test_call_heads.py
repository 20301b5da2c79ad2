"""The first pieces of calls, and the later ones."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, TOOLS, becomes, repaired, stays
from vllm_sse_proxy import BodyEnd, Ending

HEAD = '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_time","arguments":""}}]}'
MORE = '{"tool_calls":[{"index":0,"function":{"arguments":"%s"}}]}'
ID = "call_17afcf5a2f2ac3bcd1b0ac48"


def lines(*each: str, end: str = "{} -> tool_calls\n[DONE]") -> str:
    return "\n".join((ROLE, *each, end))


def test_a_whole_head_stays() -> None:
    stays(lines(HEAD, MORE % "{", MORE % "}"), request=REQUEST)


@pytest.mark.parametrize(
    ("missing", "there"),
    [
        ('"type":"function",', ""),
        ('"type":"function"', '"type":null'),
        ('"type":"function"', '"type":"tool"'),
        (',"arguments":""', ""),
        ('"arguments":""', '"arguments":null'),
    ],
)
def test_a_head_gets_what_it_lacks(missing: str, there: str) -> None:
    made = repaired(lines(HEAD.replace(missing, there), MORE % "{}"), request=REQUEST)
    assert made.repairs == {"call_heads": 1}
    for part in ('"id":"a"', '"type":"function"', '"arguments":""'):
        assert part in made.text.split("\n")[1]


@pytest.mark.parametrize("there", ["", '"id":null,', '"id":"",'])
def test_an_id_is_made_up_the_same_each_time(there: str) -> None:
    stream = lines(HEAD.replace('"id":"a",', there), MORE % "{}")
    made = repaired(stream, request=REQUEST)
    assert '"id":"call_' in made.text
    assert repaired(stream, request=REQUEST).made == made.made
    other = repaired(stream.replace('"index":0', '"index":1'), request=REQUEST)
    assert other.made == made.made


@pytest.mark.parametrize(
    "extra",
    [
        '"id":"a",',
        '"id":null,"type":null,',
        '"type":"function",',
        '"id":"a","type":"function",',
        '"type":null,',
    ],
)
@pytest.mark.parametrize("name", ["", '"name":"get_time",', '"name":null,', '"name":"",'])
def test_later_pieces_lose_what_only_heads_have(extra: str, name: str) -> None:
    piece = f'{{"tool_calls":[{{"index":0,{extra}"function":{{{name}"arguments":"{{"}}}}]}}'
    becomes(lines(HEAD, piece, MORE % "}"), lines(HEAD, MORE % "{", MORE % "}"), request=REQUEST)


def test_so_does_the_last_one_with_the_finish() -> None:
    piece = '{"tool_calls":[{"id":null,"type":null,"index":0,"function":{"name":null,"arguments":"}"}}]} -> tool_calls'
    becomes(
        lines(HEAD, MORE % "{", end=piece + "\n[DONE]"),
        lines(HEAD, MORE % "{", end=f"{MORE % '}'} -> tool_calls\n[DONE]"),
        request=REQUEST,
    )


def test_unknown_members_stay() -> None:
    piece = '{"tool_calls":[{"index":0,"x":1,"function":{"arguments":"{}","y":2},"type":null}]}'
    made = repaired(lines(HEAD, piece), request=REQUEST)
    assert '{"index":0,"x":1,"function":{"arguments":"{}","y":2}}' in made.text


NAMELESS = HEAD.replace('"name":"get_time",', "")
NAME = '{"tool_calls":[{"index":0,"function":{"name":"get_time"}}]}'


def test_a_head_waits_for_its_name() -> None:
    becomes(
        lines(NAMELESS, '{"content":"Hi"}', MORE % "{", NAME, MORE % "}"),
        lines('{"content":"Hi"}', HEAD.replace('"arguments":""', '"arguments":"{"'), MORE % "}"),
        request=REQUEST,
    )


def test_the_id_may_come_with_it() -> None:
    bare = NAMELESS.replace('"id":"a",', "")
    made = repaired(
        lines(bare, NAME.replace('"index":0', '"index":0,"id":"a"'), MORE % "{}"), request=REQUEST
    )
    assert '"id":"a"' in made.text


def test_with_one_tool_there_is_but_one_name() -> None:
    for request in (
        {**REQUEST, "tools": TOOLS[1:]},
        {**REQUEST, "tool_choice": {"type": "function", "function": {"name": "get_time"}}},
    ):
        end = "{} -> stop\n[DONE]" if "tool_choice" in request else "{} -> tool_calls\n[DONE]"
        becomes(
            lines(NAMELESS, MORE % "{", MORE % "}"),
            lines(HEAD.replace('"arguments":""', '"arguments":"{"'), MORE % "}", end=end),
            request=request,
        )
        made = repaired(lines(NAMELESS), request=request)
        assert made.text == lines(HEAD, MORE % "{}", end=end)
        with_finish = NAMELESS.replace('""', '"{}"') + " -> tool_calls\n[DONE]"
        made = repaired(lines(end=with_finish), request=request)
        assert made.text == lines(HEAD.replace('"arguments":""', '"arguments":"{}"'), end=end)


def test_a_call_that_never_gets_a_name_is_lost_and_the_end_says_so() -> None:
    made = repaired(lines(NAMELESS, MORE % "{}"), request=REQUEST)
    assert made.text.split("\n")[1].startswith(
        '! {"error":{"message":"The upstream server reported tool calls'
    )
    assert made.ending is Ending.UPSTREAM_ERROR
    made = repaired(lines('{"content":"Hi"}', NAMELESS, MORE % "{}"), request=REQUEST)
    assert made.text == lines('{"content":"Hi"}', end="{} -> stop\n[DONE]")
    cut = repaired(lines(NAMELESS, end=MORE % "{"), request=REQUEST, end=BodyEnd.CUT)
    assert cut.text.split("\n")[1].startswith('! {"error"')


def test_the_calls_behind_a_lost_one_are_numbered_without_it() -> None:
    other = HEAD.replace('"index":0,"id":"a"', '"index":1,"id":"b"')
    more = (MORE % "{}").replace('"index":0', '"index":1')
    becomes(
        lines(NAMELESS, MORE % "{}", other, more),
        lines(HEAD.replace('"a"', '"b"'), MORE % "{}"),
        request=REQUEST,
    )
    third = HEAD.replace('"index":0,"id":"a"', '"index":2,"id":"c"').replace('""', '"{}"')
    both_lost = NAMELESS.replace('"index":0,"id":"a"', '"index":1,"id":"b"')
    becomes(
        lines(NAMELESS, both_lost, third),
        lines(HEAD.replace('"a"', '"c"').replace('""', '"{}"')),
        request=REQUEST,
    )
    broken = other.replace('"type":"function",', "")
    becomes(lines(NAMELESS, broken, more), lines(HEAD.replace('"a"', '"b"'), MORE % "{}"), request=REQUEST)
    whole = HEAD.replace('""', '"{}"')
    named = repaired(lines(NAMELESS, other, more), request={**REQUEST, "tools": TOOLS[1:]})
    assert named.text == lines(HEAD, MORE % "{}", other, more)
    assert (
        whole
        in repaired(
            lines(NAMELESS.replace('""', '"{}"'), other, more), request={**REQUEST, "tools": TOOLS[1:]}
        ).text
    )


def test_more_of_a_lost_call_is_lost_too() -> None:
    other = HEAD.replace('"index":0,"id":"a"', '"index":1,"id":"b"').replace('""', '"{}"')
    expected = lines(HEAD.replace('"a"', '"b"').replace('""', '"{}"'))
    becomes(lines(NAMELESS, other, MORE % "x"), expected, request=REQUEST)
    becomes(lines(NAMELESS, other, end=f"{MORE % 'x'} -> tool_calls\n[DONE]"), expected, request=REQUEST)


HALF = HEAD.replace("get_time", "get_ti")
REST = '{"tool_calls":[{"index":0,"function":{"name":"%s","arguments":"%s"}}]}'


class TestNamesThatGoOn:
    @pytest.mark.parametrize("rest", [("me",), ("", "me"), ("m", "e"), ("get_time",)])
    def test_are_put_together(self, rest: tuple[str, ...]) -> None:
        pieces = [REST % (name, "") for name in rest]
        becomes(lines(HALF, *pieces, MORE % "{}"), lines(HEAD, MORE % "{}"), request=REQUEST)
        last = REST % (rest[-1], "{}")
        becomes(lines(HALF, *pieces[:-1], last), lines(HEAD.replace('""', '"{}"')), request=REQUEST)

    @pytest.mark.parametrize("again", ["", '"name":"get_ti",', '"name":"no",'])
    def test_stay_as_they_came_if_they_do_not(self, again: str) -> None:
        piece = (MORE % "{}").replace('"arguments"', f'{again}"arguments"')
        becomes(lines(HALF, piece), lines(HALF.replace('""', '"{}"')), request=REQUEST, conforming=False)

    def test_go_on_no_longer_when_arguments_came(self) -> None:
        piece = REST % ("m", "{}")
        made = lines(HEAD.replace("get_time", "get_tim").replace('""', '"{}"'))
        becomes(lines(HALF, piece, MORE % ""), made, request=REQUEST, conforming=False)

    def test_leave_with_the_next_call_and_not_where_the_tokens_ended(self) -> None:
        made = repaired(lines(HALF), request=REQUEST, conforming=False)
        assert made.text == lines(end="{} -> length\n[DONE]")  # C49: half a name is not called
        other = HEAD.replace('"index":0,"id":"a"', '"index":1,"id":"b"').replace('""', '"{}"')
        made = repaired(lines(HALF, other), request=REQUEST, conforming=False)
        assert made.text.split("\n")[1:3] == [HALF, other]

    @pytest.mark.parametrize("name", ["look", "get_time_now"])
    def test_what_no_tool_begins_with_does_not_wait(self, name: str) -> None:
        stays(
            lines(HEAD.replace("get_time", name), MORE % "{", MORE % "}"), request=REQUEST, conforming=False
        )

    def test_nothing_waits_without_tools(self) -> None:
        stays(lines(HALF, MORE % "{}"))

    @pytest.mark.parametrize(("begun", "rest"), [(HALF, "me"), (NAMELESS, "get_time")], ids=["half", "none"])
    def test_of_a_second_call_too(self, begun: str, rest: str) -> None:
        """The piece behind a whole call is more of the one that waits, not another one: its id stays."""
        first = HEAD.replace('""', '"{}"')

        def second(line: str) -> str:
            return line.replace('"index":0', '"index":1').replace('"id":"a"', '"id":"b"')

        becomes(
            lines(first, second(begun), second(REST % (rest, "")), second(MORE % "{}")),
            lines(first, second(HEAD), second(MORE % "{}")),
            request=REQUEST,
        )


def test_a_call_that_a_later_repair_holds_keeps_its_number() -> None:
    """Its first piece is the end of its arguments, and came before its head: nobody has been sent it yet."""
    head = HEAD.replace(',"arguments":""', "")
    other = HEAD.replace('"index":0,"id":"a"', '"index":1,"id":"b"').replace('""}', '"{}"}')
    made = repaired(
        lines(MORE % r"\": 1}", head, MORE % r"{\"a", MORE % "b", other, end="{} -> length\n[DONE]"),
        conforming=False,
    )
    assert made.text.count('"id":"a"') == made.text.count('"id":"b"') == 1
    assert '"index":1,"id":"b"' in made.text
