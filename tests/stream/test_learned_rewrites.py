"""Deltas that are rewritten by their bytes: what comes out must be what walking each of them would have made."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.compiled import python_core
from tests.support.repairing import opened
from tests.support.replay import count_rewrites
from tests.support.streams import call, cut, message, reasoning, response, wire
from vllm_sse_proxy import BodyEnd, Dialect, Plan, RequestContext, StreamNormalizer, build_plan
from vllm_sse_proxy.families import RESPONSES
from vllm_sse_proxy.stream.plan import corrections_of

Outcome = tuple[bytes, dict[str, Any], str | None, str | None]

PLACE = '"item_id":"msg_0","output_index":0,"content_index":0,"logprobs":[]'
TYPE = "response.output_text.delta"


def frame(words: str, number: str, *, form: str = "after", name: str = TYPE) -> bytes:
    """Return a text delta in the spelling of one server or another; words and number are JSON, or meant to be."""
    bodies = {
        "after": f'{{{PLACE},"delta":{words},"sequence_number":{number},"type":"{TYPE}"}}',
        "before": f'{{"type":"{TYPE}","sequence_number":{number},{PLACE},"delta":{words}}}',
        "spaced": f'{{ "type" : "{TYPE}", "sequence_number" : {number}, {PLACE}, "delta" : {words} }}',
        "twice": f'{{"delta":"old",{PLACE},"delta":{words},"sequence_number":{number},"type":"{TYPE}"}}',
        "escaped": f'{{{PLACE},"delta":{words},"sequence_number":{number},"type":"{TYPE}","\\u0078":"\\/"}}',
        "unnumbered": f'{{{PLACE},"delta":{words},"type":"{TYPE}"}}',
        "elsewhere": f'{{{PLACE},"delta":{words},"sequence_number":{number},"type":"{TYPE}","delta_of":"delta"}}',
        "vendor": f'{{{PLACE},"delta":{words},"sequence_number":{number},"type":"{TYPE}","x":{{"a":1}}}}',
        "two lines": f'{{{PLACE},\ndata: "delta":{words},"sequence_number":{number},"type":"{TYPE}"}}',
        "half": f'{{{PLACE},\n"delta":{words},"sequence_number":{number},"type":"{TYPE}"}}',
    }
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {bodies[form]}\n\n".encode("utf-8", "surrogatepass")


FORMS = (
    "after",
    "before",
    "spaced",
    "twice",
    "escaped",
    "unnumbered",
    "elsewhere",
    "vendor",
    "two lines",
    "half",
)


def outcome(stream: list[bytes], end: BodyEnd, plan: Plan, after: int | None = None) -> Outcome:
    normalizer = StreamNormalizer(plan, RequestContext(seed="seed"), starting_after=after)
    made = b"".join([normalizer.feed(chunk) for chunk in stream]) + normalizer.finish(end)
    return made, asdict(normalizer.tally), normalizer.ending, normalizer.limit


def walked(stream: list[bytes], end: BodyEnd, plan: Plan, after: int | None = None) -> Outcome:
    """Return what becomes of the stream if every delta is walked: one whose frame has another field, which says nothing."""
    marked = re.sub(rb"(?<=\n\n)(?=event:|data:)", b"id: 1\n", b"".join(stream))
    made, tally, ending, limit = outcome([marked], end, plan, after)
    return made, {**tally, "bytes_in": sum(map(len, stream))}, ending, limit


def rewritten(stream: bytes, plan: Plan) -> int:
    """Return how many deltas are rewritten."""
    return count_rewrites(lambda: outcome([stream], BodyEnd.EOF, plan))


def opening(**fields: Any) -> bytes:
    """Return the frames before a message's first delta; without tools, unless `fields` say otherwise."""
    events = opened(*message(0)[0][:2])
    for number, event in enumerate(events):
        event["sequence_number"] = number
        if "response" in event:
            event["response"] = response(**{"tools": [], **fields})
    return wire(events, done=False)


OPTIONAL = [one.name for one in corrections_of(RESPONSES) if not one.needed]
NUMBERS = range(4, 10_000)
PLAN = build_plan(strict=True)


def deltas(*words: str, form: str = "after", numbers: Any = NUMBERS) -> bytes:
    return b"".join(frame(each, str(number), form=form) for each, number in zip(words, numbers, strict=False))


@python_core
@pytest.mark.parametrize("form", ["after", "before", "elsewhere", "unnumbered"])
def test_deltas_spelled_alike_are_rewritten(form: str) -> None:
    """The first of a text is walked, and shows how the others go."""
    words = [f'" {word}"' for word in ("so", "it", "goes", "caf\\u00e9", "“on”")]
    for numbers in (NUMBERS, [-1] * 5, range(7, 99)):
        stream = opening() + deltas(*words, form=form, numbers=numbers)
        assert rewritten(stream, PLAN) == 4
        assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)


@python_core
def test_words_that_are_no_string_are_rewritten_too() -> None:
    """A fork's deltas are objects and lists (F01)."""
    words = [json.dumps({"content": word, "reasoning": None}, separators=(",", ":")) for word in "abcde"]
    for numbers in (NUMBERS, [-1] * 5):
        stream = opening() + deltas(*words, numbers=numbers)
        assert rewritten(stream, PLAN) == 4
        made, tally, *_ = outcome([stream], BodyEnd.EOF, PLAN)
        assert tally["repairs"]["string_deltas"] == 5
        assert (made, tally) == walked([stream], BodyEnd.EOF, PLAN)[:2]


@python_core
def test_without_the_repair_for_them_they_are_not() -> None:
    plan = build_plan(strict=True, disabled=["string_deltas"])
    stream = opening() + deltas(*['{"content":"b"}'] * 4)
    assert rewritten(stream, plan) == 0
    assert outcome([stream], BodyEnd.EOF, plan) == walked([stream], BodyEnd.EOF, plan)
    assert rewritten(opening() + deltas('"a"', '"b"', '"c"'), build_plan(disabled=OPTIONAL)) == 2


@python_core
@pytest.mark.parametrize("form", ["spaced", "escaped", "vendor", "two lines", "half"])
def test_other_spellings_are_walked(form: str) -> None:
    stream = opening() + deltas('"a"', '"b"', '"c"', form=form, numbers=[4, 6, 5])
    assert rewritten(stream, PLAN) == 0
    assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)


def test_what_came_in_two_lines_is_not_looked_for_in_one() -> None:
    stream = opening() + deltas('"a"', form="two lines") + deltas('"b"', form="half", numbers=[5])
    assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)


@pytest.mark.parametrize(
    "words",
    [
        '"\\ud800"',
        '\n"b"',  # the rest of a line that is not data
        '{"content":\n"b"}',
        '"a"b"',
        '"a","x":"b"',
        "null",
        '{"content":null}',
        '{"content":"b"',
        "",
        '{"content":"' + "x" * 400 + '"}',
        '"\udcff"',
    ],
)
def test_words_that_are_no_plain_json_are_walked(words: str) -> None:
    stream = opening() + deltas('"a"', words, '"c"')
    assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)


@pytest.mark.parametrize(
    "number", ["05", "-0", "5.0", "5e0", '"5"', "null", "", "-2", "1" * 30, "1" * 5000, "true"]
)
@pytest.mark.parametrize("form", ["before", "after"])
def test_numbers_that_are_no_plain_numbers_are_walked(number: str, form: str) -> None:
    stream = opening() + deltas('"a"', '"b"', '"c"', numbers=[4, number, 6], form=form)
    assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)


@python_core
def test_where_calls_may_come_as_text_only_words_without_their_signs_are_taken() -> None:
    tools = {"tools": [{"type": "function", "name": "f", "parameters": {}}]}
    stream = opening(**tools) + deltas('"a"', '"b"', '"c"', '"x <"', '"tool_call>"', '"c"', '"d"')
    assert rewritten(stream, PLAN) == 1  # the first words are looked at: the message might begin with a call
    assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)
    assert rewritten(opening() + deltas('"a"', '"<"', '"["'), PLAN) == 2
    assert rewritten(opening(**tools, tool_choice="required") + deltas('"a"', '"b"'), PLAN) == 0


@python_core
def test_a_text_at_its_limit_ends_with_the_same_delta() -> None:
    stream = opening() + deltas(*['"' + "x" * 100 + '"'] * 60)
    size = 4096
    plan = build_plan(strict=True, max_text_bytes=size)
    assert 0 < rewritten(stream, plan) < 40
    assert outcome([stream], BodyEnd.EOF, plan) == walked([stream], BodyEnd.EOF, plan)
    assert outcome([stream], BodyEnd.EOF, plan)[3] == "max_text_bytes"


def test_a_frame_at_its_limit_ends_the_stream_all_the_same() -> None:
    head, tail = opening(), deltas(*['"a"'] * 3, '"' + "x" * 1500 + '"', '"b"')
    plan = build_plan(strict=True, max_frame_bytes=1024)
    assert outcome([head, tail], BodyEnd.EOF, plan) == walked([head, tail], BodyEnd.EOF, plan)
    assert outcome([head, tail], BodyEnd.EOF, plan)[3] == "max_frame_bytes"


@python_core
def test_deltas_that_a_dialect_renames_are_rewritten() -> None:
    events, _ = reasoning(0, "a", "b", "c", "d")
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(opened(*events))]
    stream = wire(numbered, done=False).replace(b": ", b":").replace(b", ", b",")
    stream = stream.replace(b"event:", b"event: ").replace(b"data:", b"data: ")
    assert rewritten(stream, build_plan(dialect=Dialect.UPSTREAM)) == 4  # `in_progress` repeats `created`
    plan = build_plan(dialect=Dialect.OPEN_RESPONSES)
    assert rewritten(stream, plan) == 4
    assert outcome([stream], BodyEnd.EOF, plan) == walked([stream], BodyEnd.EOF, plan)


WORDS = (
    st.sampled_from(
        ['"a"', '" the"', '"<"', '"tool_call>"', '"["', '"\\u00e9\\n"', '"\\\\"', '"\\ud83d"', '"\\""', '{"content":"b"}',
         '{"text":null}', "null", "1", "[]", '"a","x":1', "é", '"' + "y" * 50 + '"', '"\udce9"', '{"a":"b}', '"delta"']
    )
    | st.text(max_size=6).map(json.dumps)
    | st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False))
)  # fmt: skip
WRITTEN = st.tuples(WORDS, st.sampled_from(["right"] * 4 + ["-1", "7", "05", "4.0", "x"]))
RUNS = st.tuples(
    st.sampled_from(["after"] * 3 + list(FORMS)),
    st.sampled_from([TYPE] * 4 + ["", "x", "response.created"]),
    st.lists(WRITTEN, min_size=1, max_size=12),
)
BETWEEN = st.sampled_from([b"", b": ping\n\n", b"data: [DONE]\n\n", b"id: 1\n\n", b"\n", b"data: {}\n\n"])


@given(
    st.lists(st.tuples(RUNS, BETWEEN), min_size=1, max_size=4),
    st.lists(st.integers(0, 100_000), max_size=6),
    st.fixed_dictionaries(
        {
            "dialect": st.sampled_from(Dialect),
            "max_text_bytes": st.sampled_from([1 << 20, 3000, 3020]),
            "disabled": st.sets(st.sampled_from(OPTIONAL), max_size=3),
        }
    ),
    st.sampled_from([None, None, 0, 6, 100]),
    st.sampled_from(["none", "auto", "required"]),
)
def test_learned_is_walked(
    runs: list[tuple[tuple[str, str, list[tuple[str, str]]], bytes]],
    places: list[int],
    chosen: dict[str, Any],
    after: int | None,
    tools: str,
) -> None:
    """Whatever deltas are spelled like, bytes, counts and ending are those of a stream in which each is walked."""
    fields = {} if tools == "none" else {"tools": [{"type": "function", "name": "f"}], "tool_choice": tools}
    stream, number = opening(**fields), 4
    for (form, name, written), between in runs:
        for words, emitted in written:
            stream += frame(words, str(number) if emitted == "right" else emitted, form=form, name=name)
            number += 1
        stream += between
    plan = build_plan(**chosen)
    chunks = cut(stream, places)
    assert outcome(chunks, BodyEnd.EOF, plan, after) == walked(chunks, BodyEnd.EOF, plan, after)


@given(st.lists(st.text(max_size=8), min_size=2, max_size=9), st.sampled_from([message, reasoning, call]))
def test_a_conforming_text_leaves_as_it_came(words: list[str], item: Any) -> None:
    """Compact JSON, as servers send it: the deltas leave with identical bytes."""
    events, _ = item(0, *words)
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(opened(*events))]
    stream = b"".join(
        b"event: %b\ndata: %b\n\n"
        % (event["type"].encode(), json.dumps(event, separators=(",", ":")).encode())
        for event in numbered[:-2]
    )
    made = outcome([stream], BodyEnd.EOF, build_plan(strict=True, disabled=["headless_arguments"]))[0]
    assert made.startswith(b"".join(stream.partition(b".delta\n")[:2]))


def response_openings(
    first: dict[str, Any],
    second: dict[str, Any],
    numbers: tuple[int, int] = (0, 1),
    *,
    type_first: bool = False,
) -> bytes:
    """Return ``response.created`` and ``response.in_progress`` as vLLM spells them."""
    frames = []
    for name, fields, number in (("created", first, numbers[0]), ("in_progress", second, numbers[1])):
        type_ = f"response.{name}"
        ends: tuple[dict[str, Any], ...] = ({"type": type_}, {"sequence_number": number})
        head, tail = ends if type_first else ({}, ends[1] | ends[0])
        body = json.dumps({**head, "response": fields, **tail}, separators=(",", ":"))
        frames.append(f"event: {type_}\ndata: {body}\n\n".encode())
    return b"".join(frames)


def vllms(**fields: Any) -> dict[str, Any]:
    """Return a response object that lacks what vLLM's lack."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "in_progress",
        "output": [],
    } | {
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **fields,
    }


WHOLE = response(tools=[])


@python_core
@pytest.mark.parametrize("type_first", [False, True])
@pytest.mark.parametrize("numbers", [(0, 1), (-1, -1), (0, -1), (-1, 1), (7, 8), (0, 10**17)])
@pytest.mark.parametrize("after", [None, 0, 1, 5])
@pytest.mark.parametrize("fields", [vllms(), WHOLE])
def test_an_opening_that_is_repeated_under_the_other_name_is_rewritten(
    fields: dict[str, Any], numbers: tuple[int, int], after: int | None, *, type_first: bool
) -> None:
    stream = response_openings(fields, fields, numbers, type_first=type_first)
    for dialect in Dialect:
        plan = build_plan(dialect=dialect, strict=True)
        assert outcome([stream], BodyEnd.EOF, plan, after) == walked([stream], BodyEnd.EOF, plan, after)
    assert rewritten(response_openings(vllms(), vllms(), numbers, type_first=type_first), PLAN) == 1
    # Numbered otherwise, what nobody changed would be written anew.
    assert rewritten(response_openings(WHOLE, WHOLE, type_first=type_first), PLAN) == 1
    assert rewritten(response_openings(WHOLE, WHOLE, (0, -1), type_first=type_first), PLAN) == 0
    assert rewritten(response_openings(WHOLE, WHOLE, (-1, -1), type_first=type_first), PLAN) == 0


@python_core
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (vllms(), vllms(model="n")),
        (vllms(), vllms(model="longer")),
        (vllms(), vllms(store=True)),
        (vllms(sequence_number=3), vllms(sequence_number=3)),
        (vllms(status="queued"), vllms(status="queued")),
        (vllms(status=None), vllms(status=None)),
    ],
)
def test_an_opening_that_differs_or_could_be_read_otherwise_is_walked(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    stream = response_openings(first, second)
    assert rewritten(stream, PLAN) == 0
    assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)


@python_core
@pytest.mark.parametrize("type_first", [False, True])
def test_an_opening_that_names_its_type_elsewhere_is_repeated_where_the_last_member_counts(
    *, type_first: bool
) -> None:
    fields = vllms(instructions="response.created")
    stream = response_openings(fields, fields, type_first=type_first)
    assert rewritten(stream, PLAN) == (not type_first)
    assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)


@python_core
def test_an_opening_with_its_type_between_other_members_is_walked() -> None:
    stream = response_openings(vllms(), vllms()).replace(b'"}\n\n', b'","x":1}\n\n')
    assert stream.count(b'"x":1}') == 2
    assert rewritten(stream, PLAN) == 0
    assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)


@python_core
def test_an_opening_is_repeated_by_the_next_event_alone() -> None:
    created, _, in_progress = response_openings(vllms(), vllms()).partition(b"event: response.in")
    for between in (b": comment\n\n", created, b'data: {"type":"response.queued","response":null}\n\n'):
        stream = created + between + b"event: response.in" + in_progress
        assert rewritten(stream, PLAN) == 0
        assert outcome([stream], BodyEnd.EOF, PLAN) == walked([stream], BodyEnd.EOF, PLAN)
