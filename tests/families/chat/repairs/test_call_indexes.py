"""The numbers of calls."""

from __future__ import annotations

from tests.support.chunk_streams import REQUEST, ROLE, becomes, repaired, stays
from vllm_sse_proxy import BodyEnd

A = '{"tool_calls":[{"index":%d,"id":"a","type":"function","function":{"name":"get_time","arguments":"%s"}}]}'
B = A.replace('"a"', '"b"')
MORE = '{"tool_calls":[{"index":%d,"function":{"arguments":"%s"}}]}'


def lines(*each: str, end: str = "{} -> tool_calls\n[DONE]") -> str:
    return "\n".join((ROLE, *each, end))


def test_right_numbers_stay() -> None:
    stays(lines(A % (0, "{"), MORE % (0, "}"), B % (1, ""), MORE % (1, "{}")), request=REQUEST)


def test_a_first_number_that_is_not_0() -> None:
    becomes(
        lines(A % (1, "{"), MORE % (1, "}"), B % (2, ""), MORE % (2, "{}")),
        lines(A % (0, "{"), MORE % (0, "}"), B % (1, ""), MORE % (1, "{}")),
        request=REQUEST,
    )


def test_two_calls_on_one_number() -> None:
    expected = lines(A % (0, "{"), MORE % (0, "}"), B % (1, ""), MORE % (1, "{}"))
    becomes(lines(A % (0, "{"), MORE % (0, "}"), B % (0, ""), MORE % (0, "{}")), expected, request=REQUEST)


def test_two_calls_without_numbers() -> None:
    stream = lines(A % (0, "{"), MORE % (0, "}"), B % (0, ""), MORE % (0, "{}")).replace('"index":0,', "")
    expected = lines(A % (0, "{"), MORE % (0, "}"), B % (1, ""), MORE % (1, "{}"))
    made = repaired(stream, request=REQUEST)
    assert made.repairs["call_indexes"] == 4
    assert [line.count('"index":1') for line in made.text.split("\n")] == [
        line.count('"index":1') for line in expected.split("\n")
    ]


def test_the_tail_of_a_call_on_the_next_number() -> None:
    """gpt-oss with several tokens a step (0.17): the next head comes on the same number."""
    becomes(
        lines(A % (0, "{"), MORE % (1, "}"), B % (1, ""), MORE % (1, "{}")),
        lines(A % (0, "{"), MORE % (0, "}"), B % (1, ""), MORE % (1, "{}")),
        request=REQUEST,
    )


def test_an_id_in_every_piece_is_one_call() -> None:
    head = A % (0, "")
    piece = '{"tool_calls":[{"index":0,"id":"%s","type":"function","function":{"name":"get_time","arguments":"%s"}}]}'
    for ids in ("aaa", "bcd"):
        made = repaired(
            lines(
                head, *(piece % (id_, part) for id_, part in zip(ids, ("{", '\\"x\\":', "1}"), strict=True))
            ),
            request=REQUEST,
        )
        assert made.text == lines(head, *(MORE % (0, part) for part in ("{", '\\"x\\":', "1}")))


def test_the_same_tool_twice_on_one_number() -> None:
    becomes(
        lines(A % (0, ""), B % (0, ""), MORE % (0, "{}")),
        lines(A % (0, ""), MORE % (0, "{}"), B % (1, ""), MORE % (1, "{}")),
        request=REQUEST,
    )
    becomes(
        lines(A % (0, '{\\"a'), B % (0, "{}")),
        lines(A % (0, '{\\"a'), B % (1, "{}"), end="{} -> length\n[DONE]"),
        request=REQUEST,
        conforming=False,
    )


def test_a_name_alone_on_a_number_whose_call_has_its_end_begins_another() -> None:
    other = '{"tool_calls":[{"index":0,"type":"function","function":{"name":"get_weather","arguments":"{\\"city\\":1}"}}]}'
    made = repaired(lines(A % (0, "{}"), other), request=REQUEST)
    assert '"name":"get_weather"' in made.text.split("\n")[2]
    assert '"index":1' in made.text.split("\n")[2]


def test_calls_that_are_interleaved_come_one_after_the_other() -> None:
    becomes(
        lines(
            A % (0, '{\\"x\\":'),
            B % (1, "{"),
            MORE % (0, "1"),
            MORE % (1, '\\"y\\":2'),
            MORE % (0, "}"),
            MORE % (1, "}"),
        ),
        lines(
            A % (0, '{\\"x\\":'),
            MORE % (0, "1"),
            MORE % (0, "}"),
            B % (1, "{"),
            MORE % (1, '\\"y\\":2'),
            MORE % (1, "}"),
        ),
        request=REQUEST,
    )


def test_what_waits_leaves_before_the_finish_at_the_latest() -> None:
    becomes(
        lines(A % (0, "{"), B % (1, "{"), '{"content":"Hi"}', MORE % (1, "}")),
        lines(A % (0, "{"), '{"content":"Hi"}', B % (1, "{"), MORE % (1, "}"), end="{} -> length\n[DONE]"),
        request=REQUEST,
        conforming=False,
    )
    becomes(
        lines(A % (0, "{"), B % (1, "{"), end=f"{MORE % (1, '}')} -> tool_calls\n[DONE]"),
        lines(A % (0, "{"), B % (1, "{"), end=f"{MORE % (1, '}')} -> length\n[DONE]"),
        request=REQUEST,
        conforming=False,
    )


def test_what_waits_is_not_lost_with_the_connection() -> None:
    made = repaired(
        lines(A % (0, "{"), B % (1, "{"), end=MORE % (1, "}")),
        request=REQUEST,
        end=BodyEnd.CUT,
        conforming=False,
    )
    assert made.text.split("\n")[2:4] == [B % (1, "{"), MORE % (1, "}")]


def test_each_choice_has_its_own_numbers() -> None:
    becomes(
        f"""
        {ROLE}
        1: {ROLE}
        {A % (0, "{}")}
        1: {B % (1, "{}")}
        {{}} -> tool_calls
        1: {{}} -> tool_calls
        [DONE]
        """,
        f"""
        {ROLE}
        1: {ROLE}
        {A % (0, "{}")}
        1: {B % (0, "{}")}
        {{}} -> tool_calls
        1: {{}} -> tool_calls
        [DONE]
        """,
        request={**REQUEST, "n": 2},
    )


def test_an_earlier_number_with_a_new_id_and_name_begins_a_call() -> None:
    c = A.replace('"a"', '"c"')
    becomes(
        lines(A % (0, "{}"), B % (1, "{}"), c % (0, "{}")),
        lines(A % (0, "{}"), B % (1, "{}"), c % (2, "{}")),
        request=REQUEST,
    )


def test_a_late_piece_goes_to_its_call_if_that_is_named() -> None:
    late = '{"tool_calls":[{"index":5,"id":"a","function":{"arguments":" "}}]}'
    made = repaired(lines(A % (0, "{}"), B % (1, "{}"), late), request=REQUEST, conforming=False)
    assert made.text.split("\n")[3] == MORE % (0, " ")


def test_heads_that_come_before_all_arguments_wait_for_those_of_the_first() -> None:
    """openai-python's helper takes the first call for over when the second begins, and raises: it has no arguments yet."""
    becomes(
        lines(A % (0, ""), B % (1, ""), MORE % (0, "{}"), MORE % (1, "{"), MORE % (1, "}")),
        lines(A % (0, ""), MORE % (0, "{}"), B % (1, ""), MORE % (1, "{"), MORE % (1, "}")),
        request=REQUEST,
    )


def test_two_heads_of_different_tools_on_one_number_are_two_calls() -> None:
    other = B.replace("get_time", "get_weather")
    made = repaired(
        lines(A % (0, ""), other % (0, ""), MORE % (0, '{\\"city\\":1}')), request=REQUEST
    ).text.split("\n")
    assert [line.count('"id":"b"') + line.count("city") for line in made if '"index":1' in line] == [1, 1]
    assert made[-2:] == ["{} -> tool_calls", "[DONE]"]
