"""What holds for every stream. The number of examples comes from the hypothesis profile (tests/conftest.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.properties import said
from tests.properties.recorded import Damaged, damaged_recordings, shown
from tests.support.judging import violations
from tests.support.streams import (
    conforming_events,
    cut,
    damaged_events,
    events_of,
    wire,
)
from tests.support.strict import strict_errors
from vllm_sse_proxy import BodyEnd, Dialect, Plan, RequestContext, StreamNormalizer, build_plan, check_stream
from vllm_sse_proxy.families import RESPONSES
from vllm_sse_proxy.families.responses.agreement import are_arguments
from vllm_sse_proxy.families.responses.item_texts import text_of
from vllm_sse_proxy.stream.plan import corrections_of

STRICT = build_plan(strict=True)
LENIENT = build_plan()
OPTIONAL = [one.name for one in corrections_of(RESPONSES) if not one.needed]
ENDS = st.sampled_from([end for end in BodyEnd if end is not BodyEnd.CLIENT_GONE])


def repair(stream: bytes, end: BodyEnd = BodyEnd.EOF, plan: Plan = STRICT, **options: Any) -> bytes:
    normalizer = StreamNormalizer(plan, RequestContext(seed="seed"), **options)
    return normalizer.feed(stream) + normalizer.finish(end)


def stays(once: bytes, plan: Plan = STRICT, dialect: Dialect = Dialect.OPENAI) -> bool:
    """Return whether a repaired stream stays as it is when it is repaired again, but for its heartbeats.

    Arguments that were put right at their end may be: deltas without their beginning, and something between them that is left
    out the first time, are then nothing but deltas without their beginning, and emitted whole (`headless_arguments`). Those
    that only the final object has, and that cannot be read, come in its order the first time; then they are streamed, and wait
    for it. The third time changes nothing.
    """
    again = repair(once, plan=plan)
    emitted = said.read(once)
    calls = [*emitted.done, *filter(said.is_call, emitted.final or ())]
    is_odd = any(not are_arguments(said.arguments_of(call)) for call in calls)
    if is_odd or check_stream(once, dialect=dialect):  # by `violations`, arguments and no more
        once, again = again, repair(again, plan=plan)
    return again.count(b"\n\n") == once.count(b"\n\n") and without_heartbeats(again) == without_heartbeats(
        once
    )


def without_heartbeats(stream: bytes) -> list[bytes]:
    """Return the frames but for heartbeats: they wait for nothing, so what else waits comes before or after them."""
    return [frame for frame in stream.split(b"\n\n") if not frame.startswith((b":", b"event: keepalive"))]


@given(conforming_events())
def test_fixed_point(events: list[dict[str, Any]]) -> None:
    """A conforming stream leaves with identical bytes."""
    stream = wire(events)
    assert repair(stream) == stream


@given(damaged_events(), ENDS, st.booleans())
def test_conformance(events: list[dict[str, Any]], end: BodyEnd, done: bool) -> None:  # noqa: FBT001 - drawn
    """Any damaged stream leaves with no violation."""
    assert violations(repair(wire(events, done=done), end)) == []


@given(damaged_events(), ENDS)
def test_typed_clients(events: list[dict[str, Any]], end: BodyEnd) -> None:
    """Every event that leaves has all fields that the openai package's types require, with the types that they name."""
    assert strict_errors(repair(wire(events), end)) == []


@given(damaged_recordings())
def test_conformance_of_recordings(damaged: Damaged) -> None:
    """So does any damaged recording, and every typed client reads it."""
    made = repair(damaged.stream, damaged.end)
    note(shown(damaged.stream, "<"))
    note(shown(made, ">"))
    assert violations(made) == []
    assert [error for error in strict_errors(made) if not is_echo(error, made, damaged)] == []


def is_echo(error: str, made: bytes, damaged: Damaged) -> bool:
    """Return whether an error is a word in the echo of the request that the types' closed lists lack, as upstream sent it.

    These lists grow (``service_tier``), so a word that is not in them is nobody's mistake, and stays.
    """
    event, _, path, about = error.split(": ", 3)
    if "Input should be '" not in about or ".output" in path:
        return False
    word = at_path([*said.events_of(made)][int(event.removeprefix("event "))], path)
    return isinstance(word, str) and any(
        word == at_path(sent, path) for sent in said.events_of(damaged.stream)
    )


def at_path(value: Any, path: str) -> Any:
    """Return what stands at a path of pydantic's, which names classes of unions too; None if nothing does."""
    for step in path.split("."):
        if isinstance(value, list):
            value = value[int(step)] if step.isdigit() and int(step) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(step, value)
    return value


@given(damaged_recordings(most=1))
def test_idempotence_of_recordings(damaged: Damaged) -> None:
    """A repaired recording, repaired again, stays as it is.

    Damage is done once only. What two kinds of it make of a stream, as an announcement before the response that it belongs
    to, of which another part is lost, has no one right form: then the second repair may come to another than the first.
    """
    note(shown(damaged.stream, "<"))
    assert stays(repair(damaged.stream, damaged.end))


@given(damaged_events(), ENDS)
def test_open_responses(events: list[dict[str, Any]], end: BodyEnd) -> None:
    """In dialect open-responses, too, any damaged stream leaves with no violation, and stays as it is when repaired again."""
    plan = build_plan(strict=True, dialect=Dialect.OPEN_RESPONSES)
    once = repair(wire(events), end, plan)
    assert violations(once, Dialect.OPEN_RESPONSES) == []
    assert stays(once, plan, Dialect.OPEN_RESPONSES)


@given(damaged_events(), ENDS)
def test_idempotence(events: list[dict[str, Any]], end: BodyEnd) -> None:
    """A repaired stream, repaired again, stays as it is."""
    assert stays(repair(wire(events), end))


@given(damaged_events(), st.lists(st.integers(0, 100_000), max_size=12), ENDS)
def test_chunking(events: list[dict[str, Any]], places: list[int], end: BodyEnd) -> None:
    """The output does not depend on how the input was cut."""
    stream = wire(events)
    normalizer = StreamNormalizer(STRICT, RequestContext(seed="seed"))
    pieces = [normalizer.feed(chunk) for chunk in cut(stream, places)]
    assert b"".join(pieces) + normalizer.finish(end) == repair(stream, end)


@given(st.binary(max_size=400), ENDS)
def test_total_on_bytes(data: bytes, end: BodyEnd) -> None:
    """No bytes raise anything, and what leaves conforms."""
    assert check_stream(repair(data, end)) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "item", "part", "response", "id", "delta", "error", "output", "x"]),
            children,
        )
    ),
    max_leaves=8,
)
TYPES = ["response.created", "response.output_item.added", "response.content_part.added", "response.output_text.delta",
         "response.output_item.done", "response.completed", "error", "response.mcp_call.completed", "response.unknown",
         "response.shell_call_command.delta", "response.reasoning_summary_part.done"]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(
    ["item_id", "output_index", "content_index", "item", "part", "response", "delta", "sequence_number", "error"]
), json_values)), max_size=6), ENDS)  # fmt: skip
def test_total_on_events(parts: list[tuple[str, dict[str, Any]]], end: BodyEnd) -> None:
    """No event of any shape raises anything in any repair, and what leaves conforms."""
    stream = b"".join(b"data: " + json.dumps({"type": t, **body}).encode() + b"\n\n" for t, body in parts)
    assert [str(violation) for violation in check_stream(repair(stream, end))] == []


@given(damaged_events(), ENDS)
def test_one_terminal_event(events: list[dict[str, Any]], end: BodyEnd) -> None:
    """There is exactly one terminal event, and it claims success only if upstream's events or its [DONE] prove it."""
    stream = wire(events, done=False)
    emitted = [event["type"] for event in events_of(repair(stream, end))]
    terminal = [
        type_
        for type_ in emitted
        if type_ in ("response.completed", "response.incomplete", "response.failed")
    ]
    assert len(terminal) == 1
    if terminal == ["response.completed"] and end is not BodyEnd.EOF:
        assert any(
            event.get("type") in ("response.completed", "response.incomplete", "response.failed")
            for event in events
        )


@given(damaged_events(), ENDS)
def test_numbers(events: list[dict[str, Any]], end: BodyEnd) -> None:
    """Everything that leaves is numbered 0, 1, 2 … without a gap."""
    emitted = [event["sequence_number"] for event in events_of(repair(wire(events), end))]
    assert emitted == list(range(len(emitted)))


@given(conforming_events(), st.integers(0, 40), ENDS)
def test_text(events: list[dict[str, Any]], length: int, end: BodyEnd) -> None:
    """A stream that breaks off says all text that came, and no text besides what a final object proves."""
    kept = events[:length]
    came, emitted = _texts(kept), _texts(events_of(repair(wire(kept, done=False), end)))
    assert emitted == came


@given(conforming_events(), st.data())
def test_proven_text(events: list[dict[str, Any]], data: st.DataObject) -> None:
    """Each text that only the terminal event holds is sent in full, whatever deltas and closings are missing before it.

    What comes after a part that was cut follows when the others are over.
    """
    kept = [
        event
        for event in events
        if not event["type"].endswith((".delta", ".done")) or data.draw(st.booleans(), label=event["type"])
    ]
    emitted = events_of(repair(wire(kept)))
    final = emitted[-1]["response"]["output"]
    for item in kept[-1]["response"]["output"]:
        sent = "".join(text_of(other) for other in final if other["type"] == item["type"])
        parts = [*item.get("summary", []), *item.get("content", [])] if "call_id" not in item else []
        for part in parts:
            said = part.get("text", part.get("refusal", "")).strip()
            assert any(said[:cut] in sent and said[cut:] in sent for cut in range(len(said) + 1))


def _texts(events: list[dict[str, Any]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for event in events:
        if event["type"].endswith(".delta"):
            texts[event["type"]] = texts.get(event["type"], "") + event["delta"]
    return {type_: text for type_, text in texts.items() if text}


@given(damaged_events(), st.sets(st.sampled_from(OPTIONAL)), ENDS)
def test_isolation(events: list[dict[str, Any]], disabled: set[str], end: BodyEnd) -> None:
    """Any repairs may be switched off: nothing raises, numbers stay right, the stream ends once."""
    plan = build_plan(disabled=disabled)
    normalizer = StreamNormalizer(plan, RequestContext(seed="seed"))
    out = normalizer.feed(wire(events)) + normalizer.finish(end)
    assert normalizer.ended
    events = [event for event in events_of(out) if isinstance(event.get("type"), str)]
    numbers = [event["sequence_number"] for event in events if event["type"] and event["type"] != "<end>"]
    assert numbers == sorted(numbers)
    assert out.count(b"data: [DONE]\n\n") <= 1


@pytest.mark.parametrize("dialect", [Dialect.OPEN_RESPONSES, Dialect.UPSTREAM])
@given(events=damaged_events(), end=ENDS)
def test_dialects(dialect: Dialect, events: list[dict[str, Any]], end: BodyEnd) -> None:
    """Every dialect is deterministic, numbered and ends once."""
    plan = build_plan(strict=True, dialect=dialect)
    once = repair(wire(events), end, plan)
    assert once == repair(wire(events), end, plan)
    numbers = [event["sequence_number"] for event in events_of(once)]
    assert numbers == list(range(len(numbers)))


@given(damaged_events(), st.integers(0, 60), ENDS)
def test_resume(events: list[dict[str, Any]], after: int, end: BodyEnd) -> None:
    """``starting_after`` = N gives exactly the tail of the whole stream after event N."""
    stream = wire(events)
    whole_stream = repair(stream, end)
    frames = whole_stream.split(b"\n\n")
    tail = [
        frame
        for frame in frames
        if b"data: [DONE]" in frame or (b"data: {" in frame and _number(frame) > after)
    ]
    expected = b"".join(frame + b"\n\n" for frame in tail)
    emitted = repair(stream, end, starting_after=after)
    assert emitted.replace(b": ping\n\n", b"") == expected


def _number(frame: bytes) -> int:
    number = json.loads(frame[frame.index(b"data: ") + 6 :])["sequence_number"]
    assert isinstance(number, int)
    return number


@given(damaged_events(), ENDS)
def test_observe(events: list[dict[str, Any]], end: BodyEnd) -> None:
    """In observe mode upstream's bytes go out unchanged while everything is counted."""
    stream = wire(events)
    normalizer = StreamNormalizer(build_plan(observe=True, strict=True), RequestContext(seed="seed"))
    assert normalizer.feed(stream) + normalizer.finish(end) == stream
    assert normalizer.ending is not None
