"""Deltas of chat and completions that are rewritten by their bytes leave as if each of them had been walked."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.chunk_streams import REQUEST, ROLE, Json, compact, wire
from tests.support.compiled import python_core
from tests.support.recordings import Recording, load
from tests.support.replay import count_rewrites
from tests.support.streams import cut
from vllm_sse_proxy import BodyEnd, Plan, StreamNormalizer
from vllm_sse_proxy.families import CHAT, COMPLETIONS
from vllm_sse_proxy.families.chat.settings import ChatReasoning
from vllm_sse_proxy.families.chat.view import MOST_CHOICES
from vllm_sse_proxy.stream.plan import corrections_of

RECORDINGS = Path(__file__).parents[2] / "recordings" / "families"
FAMILY_OF = {"-c-": CHAT, "-t-": COMPLETIONS}
PATHS = [path for path in sorted(RECORDINGS.rglob("*.sse")) if any(mark in path.name for mark in FAMILY_OF)]
OPTIONAL = [one.name for one in corrections_of(CHAT) if not one.needed]
PLAN = Plan.of(CHAT, strict=True, chat_reasoning=ChatReasoning.UPSTREAM)


def outcome(chunks: list[bytes], end: BodyEnd, plan: Plan, request: Json | None) -> tuple[Any, ...]:
    normalizer = StreamNormalizer(plan, plan.family.context("", request))
    made = b"".join(map(normalizer.feed, chunks)) + normalizer.finish(end)
    return made, {**asdict(normalizer.tally), "bytes_in": 0}, normalizer.ending, normalizer.limit


def walked(chunks: list[bytes], end: BodyEnd, plan: Plan, request: Json | None) -> tuple[Any, ...]:
    """Return what becomes of a stream whose frames have another field, which says nothing: none is rewritten."""
    stream = b"".join(chunks)
    marked = re.sub(rb"(?<=\n\n)(?=data:)", b"id: 1\n", b"\n\n" + stream).removeprefix(b"\n\n")
    made, tally, ending, limit = outcome([marked], end, plan, request)
    return made, {**tally, "bytes_in": 0}, ending, limit


def rewritten(stream: bytes, request: Json | None = None, plan: Plan = PLAN) -> int:
    """Return how many deltas are rewritten."""
    return count_rewrites(lambda: outcome([stream], BodyEnd.EOF, plan, request))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_recordings_leave_as_if_they_were_walked(path: Path) -> None:
    recording: Recording = load(path)
    family = next(family for mark, family in FAMILY_OF.items() if mark in path.name)
    for reasoning in (ChatReasoning.BOTH, ChatReasoning.UPSTREAM):
        plan = Plan.of(family, strict=True, chat_reasoning=reasoning)
        arguments = [recording.body], recording.known_end, plan, recording.request
        assert outcome(*arguments) == walked(*arguments)


def deltas(*each: str) -> str:
    return "\n".join((ROLE, *each))


@python_core
@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ([compact({"content": f" word{n}"}) for n in range(9)], 8),
        ([compact({"reasoning": f" word{n}"}) for n in range(9)], 8),
        ([compact({"reasoning": f" word{n}", "content": None}) for n in range(9)], 8),
        ([f"{i}: " * (i > 0) + compact({"content": f"w{n}{i}"}) for n in range(9) for i in range(4)], 32),
    ],
)
def test_deltas_spelled_alike_are_rewritten(lines: list[str], number: int) -> None:
    """From the first of a text, which is walked, it is learned how they go; so for each choice."""
    heads = "\n".join([ROLE, *(f"{i}: {ROLE}" for i in range(1, 4))])
    stream = wire(heads + "\n" + "\n".join(lines))
    assert rewritten(stream) == number
    assert rewritten(stream, REQUEST) == number
    assert outcome([stream], BodyEnd.EOF, PLAN, None) == walked([stream], BodyEnd.EOF, PLAN, None)


@python_core
@pytest.mark.parametrize("names", [["reasoning"], ["reasoning_content"], ["reasoning", "reasoning_content"]])
@pytest.mark.parametrize("setting", ChatReasoning)
def test_reasoning_under_two_names_is_rewritten(names: list[str], setting: ChatReasoning) -> None:
    words = [" so", " it", "is", "reasoning", '"quoted"', "m", "é", "content", " ok"]
    stream = wire(deltas(*(compact(dict.fromkeys(names, word)) for word in words)))
    plan = Plan.of(CHAT, strict=True, chat_reasoning=setting)
    assert rewritten(stream, plan=plan) == 8
    assert outcome([stream], BodyEnd.EOF, plan, None) == walked([stream], BodyEnd.EOF, plan, None)
    other = stream.replace(b'"reasoning_content":"m"', b'"reasoning_content":"e"')
    assert outcome([other], BodyEnd.EOF, plan, None) == walked([other], BodyEnd.EOF, plan, None)


@python_core
def test_arguments_are_rewritten_between_their_braces() -> None:
    head = '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_weather","arguments":""}}]}'
    parts = ['{"city"', ": ", '"New', " York", " City", " in", " the", ' US"', ', "a": {', "}", "}", "}", "}"]
    pieces = [compact({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}) for part in parts]
    stream = wire(deltas(head, *pieces))
    assert rewritten(stream, REQUEST) == 7
    assert outcome([stream], BodyEnd.EOF, PLAN, REQUEST) == walked([stream], BodyEnd.EOF, PLAN, REQUEST)


def test_what_comes_behind_a_finish_that_waits_for_usage_is_walked() -> None:
    head = '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_weather","arguments":"{"}}]}'
    pieces = [
        compact({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        for part in ('"city": "', "a", "b", '"')
    ]
    words = ['{"content":"x"}'] * 4
    stream = wire(
        "\n".join((ROLE, *words, head, *pieces, "{} -> tool_calls", *words, pieces[1], USAGE_CHUNK, "[DONE]"))
    )
    made = outcome([stream], BodyEnd.EOF, PLAN, LIMITED)
    assert made == walked([stream], BodyEnd.EOF, PLAN, LIMITED)
    assert made[0].count(b'"x"') == len(words)
    assert b'"arguments":"}"' in made[0]


@python_core
@pytest.mark.parametrize(
    "value",
    [
        '{"content":[NaN]}',
        '{"content":[1e999]}',
        '{"content":' + "[" * 99 + "]" * 99 + "}",
        '{"content":[' + ",".join(["[]"] * 200) + "]}",
        '{"content":[',
        "[",
        "",
    ],
)
def test_log_probabilities_that_are_not_surely_read_are_walked(value: str) -> None:
    beside = compact({"logprobs": {"content": []}})
    words = [compact({"content": word}) for word in "abcd"]
    stream = wire(deltas(*(f"{word} + {beside}" for word in words)))
    assert rewritten(stream) == 3
    place, word = b'"logprobs":{"content":[]}', b'"content":"c"'
    before, behind = stream.split(word)
    assert place in before
    stream = before + word + behind.replace(place, b'"logprobs":' + value.encode(), 1)
    assert outcome([stream], BodyEnd.EOF, PLAN, None) == walked([stream], BodyEnd.EOF, PLAN, None)


@pytest.mark.parametrize("field", ["", "event", "id"])
def test_the_name_of_log_probabilities_outside_of_the_data_is_none(field: str) -> None:
    words = [compact({"content": word}) + " + " + compact({"logprobs": {"content": []}}) for word in "abc"]
    stream = wire(deltas(*words)).replace(b"data: ", b'%b: "logprobs":[\ndata: ' % field.encode())
    assert outcome([stream], BodyEnd.EOF, PLAN, None) == walked([stream], BodyEnd.EOF, PLAN, None)


PIECES = st.sampled_from(
    ["{", "}", '{"a":', "1", '"x', 'y"', " ", "{}", '{"a":1}', "]", '"city": 1', "[", "{{", ",", "null", "\\"]
)
TEXTS = st.sampled_from(
    ["a", " the", "<think>", "<thi", "nk>", "</think>", "\n", "<tool_call>", '{"name": "get_time", "arguments": {}}',
     "</tool_call>", "<|channel|>", "<|return|>", "[", "\ud83d", '"', "é", "\n\n", "\nUser", ":", "User: ", " then"]
)  # fmt: skip
LINES = st.one_of(
    st.tuples(st.sampled_from(["content", "reasoning", "reasoning_content", "refusal"]), TEXTS).map(lambda each: compact(dict([each]))),
    TEXTS.map(lambda text: compact({"reasoning": text, "reasoning_content": text})),
    st.tuples(st.integers(0, 1), PIECES).map(lambda each: compact({"tool_calls": [{"index": each[0], "function": {"arguments": each[1]}}]})),
    st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", ""]), st.sampled_from(["get_time", "get_weather", ""]), PIECES).map(
        lambda each: compact({"tool_calls": [{"index": each[0], "id": each[1], "type": "function", "function": {"name": each[2], "arguments": each[3]}}]})
    ),
    st.sampled_from(['{"tool_calls":[]}', "{}", ROLE, '{"content":"a","reasoning":"b"}', '! {"error":"no"}', "[DONE]", ": ping"]),
)  # fmt: skip
USAGE_CHUNK = '! {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"completion_tokens":40}}'
STOPPING: Json = {**REQUEST, "stop": ["\n\nUser:", " the end", "</s>"]}
LIMITED: Json = {**REQUEST, "max_tokens": 50, "stream_options": {"include_usage": True}}
TOKENS = st.sampled_from(
    ["a", " the", "<think>", '"', "\n", '},"logprobs":', '"logprobs":', "\\", "\ud83d", "é"]
)
LOGPROBS = st.one_of(
    st.lists(
        st.tuples(TOKENS, st.sampled_from([-0.5, -1e-05, -9999.0, float("nan"), 10**30])).map(
            lambda each: {
                "token": each[0],
                "logprob": each[1],
                "bytes": [97],
                "top_logprobs": [{"token": each[0]}],
            }
        ),
        max_size=3,
    ).flatmap(lambda content: st.sampled_from([{"content": content}, {"content": content, "refusal": None}])),
    st.sampled_from(
        [
            {},
            "x",
            [],
            {"content": None, "refusal": None, "logprobs": {"content": []}},
            {"content": [[[]] * 200]},
        ]
    ),
)
USAGE = st.sampled_from(
    [
        {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
        {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 3},
        {"prompt_tokens": 1, "completion_tokens": 3},
        [],
        7,
    ]
)
BESIDE = st.one_of(
    st.just(""),
    LOGPROBS.map(lambda value: " + " + compact({"logprobs": value})),
    st.sampled_from([[1, 2], [3], [], {"a": 1}, 5]).map(lambda value: " + " + compact({"token_ids": value})),
    USAGE.map(lambda value: " ++ " + compact({"usage": value})),
    st.tuples(LOGPROBS, USAGE).map(
        lambda each: f" + {compact({'logprobs': each[0], 'token_ids': [4]})} ++ {compact({'usage': each[1]})}"
    ),
)
CHOICES = st.tuples(st.sampled_from(["", "", "1: "]), LINES, BESIDE).map(
    lambda each: each[1] if each[1][0] in "![:" else "".join(each)
)
ENDINGS = st.sampled_from(
    [
        "",
        "{} -> stop",
        "{} -> tool_calls",
        "{} -> length",
        "{} -> abort",
        "1: {} -> stop",
        "{} -> stop\n1: {} -> tool_calls",
        f"{{}} -> tool_calls\n{USAGE_CHUNK}",
    ]
)


@given(
    st.lists(st.tuples(CHOICES, st.integers(1, 3)), max_size=12),
    ENDINGS,
    st.lists(st.integers(0, 5000), max_size=4),
    st.fixed_dictionaries(
        {
            "chat_reasoning": st.sampled_from(ChatReasoning),
            "max_text_bytes": st.sampled_from([1 << 20, 1 << 20, 3000]),
            "disabled": st.sets(st.sampled_from(OPTIONAL), max_size=3),
        }
    ),
    st.sampled_from(
        [
            None,
            REQUEST,
            LIMITED,
            STOPPING,
            {**STOPPING, "n": 2},
            {"stop": "\n"},
            {"chat_template_kwargs": {"enable_thinking": False}},
        ]
    ),
)
def test_learned_is_walked(
    lines: list[tuple[str, int]],
    ending: str,
    places: list[int],
    settings: dict[str, Any],
    request: Json | None,
) -> None:
    """Whatever the chunks are, bytes, counts and ending are those of a stream in which each is walked."""
    text = deltas(*(line for line, times in lines for _ in range(times)), ending)
    chunks = cut(wire(text), places)
    plan = Plan.of(CHAT, **settings)
    assert outcome(chunks, BodyEnd.EOF, plan, request) == walked(chunks, BodyEnd.EOF, plan, request)


@python_core
@pytest.mark.parametrize(
    ("words", "number"),
    [
        ([" their", " other", "\nend", " of", "<it"], 39),  # what a stop string begins with, not at the end
        (["a", "b", "\n\n", "c", "d"], 49),  # what waits, too
        (["a", "b", "\n", "\n", "d"], 49),
    ],
)
def test_with_stop_strings_nothing_else_is_walked(words: list[str], number: int) -> None:
    stream = wire(deltas(*(compact({"content": word}) for word in words * 10)))
    arguments = [stream], BodyEnd.EOF, PLAN, STOPPING
    assert abs(rewritten(stream, STOPPING) - number) <= 1
    assert outcome(*arguments) == walked(*arguments)


def made_of_each(frames: list[bytes], request: Json, **settings: Any) -> list[bytes]:
    """Return what leaves at each frame, and at the end."""
    plan = Plan.of(CHAT, strict=True, **settings)
    normalizer = StreamNormalizer(plan, CHAT.context("", request))
    return [*map(normalizer.feed, frames), normalizer.finish(BodyEnd.EOF)]


WAITING = st.one_of(
    st.sampled_from(["a", "b", "\n", "\n\n", "\nU", "User", ":", " the", " t", "e", "<", "", "er:", "\n\nUser:", "\ud83d"]).map(
        lambda word: compact({"content": word})
    ),
    st.sampled_from(
        ['{"reasoning":"\\n"}', '1: {"content":"\\n"}', ": ping", "{}", '{"content":"\\n"} ++ {"usage":{"completion_tokens":1}}',
         '! {"error":"no"}', "{} -> stop", '{} -> stop + {"stop_reason":" the"}', "[DONE]"]
    ),
)  # fmt: skip


@given(
    st.lists(WAITING, max_size=20),
    st.sampled_from([["\n\nUser:"], ["\n\nUser:", " the", "</s>"], [" the e", "e\n"], "a"]),
    st.sampled_from([1 << 20, 1 << 20, 1510]),
    st.sets(st.sampled_from(OPTIONAL), max_size=1),
    st.integers(1, 2),
)
def test_what_may_be_a_stop_string_waits_as_long_as_if_it_were_walked(
    lines: list[str], stops: Any, size: int, disabled: set[str], choices: int
) -> None:
    head = [ROLE, *["1: " + ROLE] * (choices - 1)]
    stream = wire("\n".join([*head, *['{"content":"a"}'] * 2, *lines]))
    frames = [frame + b"\n\n" for frame in stream.split(b"\n\n") if frame]
    marked = [b"id: 1\n" + frame if frame.startswith(b"data: {") else frame for frame in frames]
    request = {**REQUEST, "stop": stops, "n": choices}
    settings = {"max_text_bytes": size, "disabled": disabled}
    assert made_of_each(frames, request, **settings) == made_of_each(marked, request, **settings)


@pytest.mark.parametrize(
    "line",
    ['{"content":"b"}', '{"content":"\\n"}', '{"content":"\\nUser:"}', '{"content":""}', '{"reasoning":"\\n"}',
     '1: {"content":"\\n"}', '1: {"content":"b"}', ": ping", '{"content":"<b"}', "{} -> stop", ROLE, "[DONE]", '! {"error":"no"}'],
)  # fmt: skip
def test_whatever_comes_behind_what_waits(line: str) -> None:
    words = ['{"content":"a"}', '{"reasoning":"a"}', '1: {"content":"a"}'] * 2
    stream = wire("\n".join([ROLE, "1: " + ROLE, *words, '{"content":"b\\n"}', line, '{"content":"c"}']))
    frames = [frame + b"\n\n" for frame in stream.split(b"\n\n") if frame]
    marked = [b"id: 1\n" + frame if frame.startswith(b"data: {") else frame for frame in frames]
    request = {**REQUEST, "stop": "\n\nUser:", "n": 2}
    made = made_of_each(frames, request)
    assert made == made_of_each(marked, request)
    assert made[8] == b""


LOGPROB = {"token": "w", "logprob": -0.25, "bytes": [119], "top_logprobs": []}


@python_core
@pytest.mark.parametrize(
    "beside",
    [
        ' + {"logprobs":{"content":[%s],"refusal":null}}',
        ' + {"logprobs":{"content":[%s]}}',  # vLLM's, which lack a member
        ' + {"token_ids":[%d]}',
        ' ++ {"usage":{"prompt_tokens":9,"total_tokens":1%d,"completion_tokens":%d}}',
        ' ++ {"usage":{"prompt_tokens":9,"total_tokens":1,"completion_tokens":%d}}',
        ' + {"logprobs":{"content":[%s]},"token_ids":[%d]} ++ {"usage":{"prompt_tokens":9,"completion_tokens":%d}}',
    ],
)
@pytest.mark.parametrize("setting", ChatReasoning)
@pytest.mark.parametrize("name", ["content", "reasoning"])
def test_what_is_another_in_each_delta_is_rewritten(name: str, setting: ChatReasoning, beside: str) -> None:
    def line(number: int) -> str:
        word = f"w{number}"
        filled = beside.replace("1%d", str(9 + number)).replace("%d", str(number))
        return compact({name: word}) + filled.replace("%s", compact({**LOGPROB, "token": word}))

    stream = wire(deltas(*map(line, range(9))))
    plan = Plan.of(CHAT, strict=True, chat_reasoning=setting)
    assert rewritten(stream, plan=plan) == 8
    assert outcome([stream], BodyEnd.EOF, plan, None) == walked([stream], BodyEnd.EOF, plan, None)


@python_core
@pytest.mark.parametrize(
    ("beside", "number"),
    [
        ("", 9),
        (' + {"token_ids":[%d]}', 9),
        (' ++ {"usage":{"prompt_tokens":9,"completion_tokens":%d}}', 9),
        (' + {"logprobs":{"text_offset":[%d],"token_logprobs":[],"tokens":["w"],"top_logprobs":[]}}', 0),
    ],
)
def test_so_it_is_in_completions(beside: str, number: int) -> None:
    """But for log probabilities: their offsets go on from one to the next."""
    lines = (compact(f"w{n}") + beside.replace("%d", str(n)) for n in range(10))
    stream, plan = wire("\n".join(lines), COMPLETIONS), Plan.of(COMPLETIONS, strict=True)
    assert rewritten(stream, plan=plan) == number
    assert outcome([stream], BodyEnd.EOF, plan, None) == walked([stream], BodyEnd.EOF, plan, None)


@python_core
@pytest.mark.parametrize("number", [10, 32])
def test_each_of_many_choices_has_its_own_form(number: int) -> None:
    heads = [f"{i}: " * (i > 0) + ROLE for i in range(number)]
    words = [f"{i}: " * (i > 0) + compact({"content": f"w{n}{i}"}) for n in range(9) for i in range(number)]
    assert rewritten(wire("\n".join([*heads, *words])), {**REQUEST, "n": number}) == 8 * number


def test_a_correction_of_what_waited_is_not_made_again() -> None:
    """The call without a name is left out when the next piece comes, which leaves as it came."""
    head = '{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"get_time","arguments":"{"}}]}'
    nameless = (
        '{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"","arguments":"{"}}]}'
    )
    piece = '{"tool_calls":[{"index":0,"function":{"arguments":"x"}}]}'
    plan = Plan.of(CHAT, {"call_arguments"}, strict=True)
    stream = wire(deltas(head, nameless, piece, piece))
    assert outcome([stream], BodyEnd.EOF, plan, None) == walked([stream], BodyEnd.EOF, plan, None)


@python_core
def test_arguments_are_walked_where_there_are_more_choices_than_anybody_asks_for() -> None:
    def piece(index: int, text: str, **head: Any) -> str:
        call = {"index": 0, **head, "function": {**({"name": "get_time"} if head else {}), "arguments": text}}
        return f"{index}: " * (index > 0) + compact({"tool_calls": [call]})

    def lines(choices: int) -> str:
        heads = [piece(index, "{", id=f"call_{index}", type="function") for index in range(choices)]
        return deltas(*heads, *(piece(0, text) for text in '"abcdef'))

    assert rewritten(wire(lines(2)), {**REQUEST, "n": 2}) > 0
    assert rewritten(wire(lines(MOST_CHOICES + 1)), {**REQUEST, "n": MOST_CHOICES + 1}) == 0
