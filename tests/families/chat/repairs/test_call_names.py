"""Names of functions."""

from __future__ import annotations

import pytest

from tests.support.chunk_streams import REQUEST, ROLE, becomes, compact, repaired, stays
from vllm_sse_proxy import BodyEnd


def stream(name: str) -> str:
    piece = {"index": 0, "id": "a", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return f"{ROLE}\n{compact({'tool_calls': [piece]})}\n{{}} -> tool_calls\n[DONE]"


def test_names_of_tools_stay() -> None:
    stays(stream("get_time"), request=REQUEST)
    stays(stream("get_time"))
    assert not repaired(stream("unknown"), request=REQUEST, conforming=False).repairs
    strange = {**REQUEST, "tools": [{"type": "function", "function": {"name": "get<|time"}}]}
    stays(stream("get<|time"), request=strange)


@pytest.mark.parametrize(
    "rest", ["<|channel|>commentary", "<|constrain|>json", " ", '{"city"', "</tool_call>"]
)
def test_what_follows_a_name_goes(rest: str) -> None:
    becomes(stream(f"get_time{rest}"), stream("get_time"), request=REQUEST)


def test_without_tools_only_a_control_token_ends_a_name() -> None:
    becomes(stream("anything<|channel|>commentary"), stream("anything"))
    stays(stream("any thing"))
    stays(stream("<|channel|>commentary"))


@pytest.mark.parametrize("name", ["other<|channel|>commentary", "get_timer", "get", "<|get_time"])
def test_names_are_never_guessed(name: str) -> None:
    assert not repaired(stream(name), request=REQUEST, conforming=False).repairs


def begun(name: str, *rest: str) -> str:
    function = {"name": name, "arguments": ""}
    piece = {"index": 0, "id": "a", "type": "function", "function": function}
    return "\n".join((ROLE, '{"content":"Hi"}', compact({"tool_calls": [piece]}), *rest))


def test_half_a_name_is_no_call() -> None:
    expected = f'{ROLE}\n{{"content":"Hi"}}\n{{}} -> length\n[DONE]'
    for name in ("functions", "functions.get_", "get", "get_weathe"):
        for reason in ("length", "stop", "tool_calls"):
            becomes(begun(name, f"{{}} -> {reason}", "[DONE]"), expected, request=REQUEST)
    becomes(begun("functions") + " -> length\n[DONE]", expected, request=REQUEST)


@pytest.mark.parametrize(
    "rest",
    [
        ("{} -> content_filter",),
        ('{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}', "{} -> length"),
        ('{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]} -> length',),
        ('{"content":"x"}', "{} -> length"),
        ('! {"error":{"message":"no","type":"InternalServerError","param":null,"code":500}}',),
    ],
)
def test_other_calls_of_tools_that_are_not_known_stay(rest: tuple[str, ...]) -> None:
    text = begun("functions", *rest, "[DONE]")
    made = repaired(text, request=REQUEST, conforming=False)
    assert "call_names" not in made.repairs
    assert '"functions"' in made.text
    stays(begun("functions", "{} -> length", "[DONE]"))


def test_half_a_name_stays_where_a_filter_ends_its_choice() -> None:
    text = f"{begun('functions')} -> content_filter\n[DONE]"
    made = repaired(text, request=REQUEST, conforming=False)
    assert made.text == text
    assert not made.repairs


def test_half_a_name_does_not_wait_in_the_first_chunk_of_one_of_several_choices() -> None:
    """The choices begin in their order: nothing of the second one may pass what the first one begins with."""
    piece = {"index": 0, "id": "a", "type": "function", "function": {"name": "functions", "arguments": ""}}
    first = compact({"role": "assistant", "tool_calls": [piece]})
    text = f"{first}\n1: {ROLE}\n1: {{}} -> stop\n{{}} -> length\n[DONE]"
    made = repaired(text, request={**REQUEST, "n": 2}, conforming=False)
    assert made.text == text
    assert not made.repairs


def test_half_a_name_at_the_end_of_a_cut_stream() -> None:
    made = repaired(begun("functions"), request=REQUEST, end=BodyEnd.CUT, conforming=False)
    assert '"functions"' in made.text


def test_choices_are_looked_at_one_by_one() -> None:
    text = begun(
        "functions",
        f"1: {ROLE}",
        '1: {"content":"a"}',
        '1: {"content":"b"}',
        "1: {} -> stop",
        "{} -> length",
        "[DONE]",
    )
    made = repaired(text, request={**REQUEST, "n": 2})
    assert '"functions"' not in made.text
    assert made.text.count("content") == len(["role", "role", "Hi", "a", "b"])
