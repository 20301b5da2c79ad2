"""What holds for every stream of messages: conforming ones stay, damaged ones conform, and no harm is done to any."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict
from functools import cache
from typing import Any, Final

from hypothesis import assume, given, note
from hypothesis import strategies as st

from tests.properties.recorded import MOST_DAMAGES, MOST_FRAMES
from tests.support import mutations
from tests.support.goldens import RECORDINGS
from tests.support.messages import MESSAGE, wire
from tests.support.mutations import (
    Damage,
    Frames,
    body_of,
    frames_of,
    having,
    is_same_but_for_heartbeats,
    stream_of,
    type_of,
)
from tests.support.streams import cut
from vllm_sse_proxy import BodyEnd, Plan, StreamNormalizer
from vllm_sse_proxy.families import MESSAGES
from vllm_sse_proxy.families.judging import JsonState, json_state
from vllm_sse_proxy.families.messages.conformance import CONTENT, MINOR, check_stream
from vllm_sse_proxy.families.messages.grammar import (
    BLOCK_OF_DELTA,
    BLOCKS,
    CUT_REASONS,
    EVENTS,
    INPUT_DELTA,
    STOP_REASONS,
)
from vllm_sse_proxy.stream.plan import names_of

STRICT: Final = Plan.of(MESSAGES, strict=True)
ENDS: Final = [end for end in BodyEnd if end is not BodyEnd.CLIENT_GONE]
HEARTBEAT: Final = re.compile(
    rb'"content_block_stop"[^\n]*\n\n(?:: ping\n\n|event: ping\n[^\n]*\n\n)+event: error'
)
"""An error behind a stop that a heartbeat released."""
SIGN: Final = re.compile(rb'"(?:text|thinking)":"[^"]*[<\[`{]')
"""Words with what a marker may begin with."""
NESTED: Final = ("delta", "content_block")
NAMES: Final = names_of(MESSAGES)
REQUESTS: Final = (
    None,
    {
        "tools": [{"name": "lookup_order", "input_schema": {"required": ["order_id"]}}],
        "stop_sequences": ["a"],
    },
)
LEARNING: Final = (*REQUESTS, {"stop_sequences": [" the", "\n\n", ".", "e c"]})
_MESSAGES_ERRORS: Final = (
    b'event: error\ndata: {"type":"error","error":{"type":"internal_error","message":"boom"}}',
    b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"boom"}}',
    b'data: {"error":{"message":"boom","type":"InternalServerError","param":null,"code":500}}',
    b"event: error\ndata: boom",
)


# -------------------------------------------------------------------------------------------------------------------- damage


def report(frames: Frames, choose: mutations.Choose) -> Frames:
    """Report an error, in one of its forms, and stop; or go on all the same."""
    at = choose(len(frames) + 1)
    rest = frames[at:] if choose(4) == 0 else [mutations.DONE] * choose(2)
    return [*frames[:at], _MESSAGES_ERRORS[choose(len(_MESSAGES_ERRORS))], *rest]


def insert(frames: Frames, choose: mutations.Choose) -> Frames:
    """Send something that belongs to no message: a comment, a heartbeat, nothing."""
    at = choose(len(frames) + 1)
    return [*frames[:at], _STRANGERS[choose(len(_STRANGERS))], *frames[at:]]


_STRANGERS: Final = (
    b": ping",
    b"id: 7\nretry: 100",
    b'event: ping\ndata: {"type": "ping"}',
    b"data: {}",
    b"data:",
    b"data: [DONE]",
)


def lose_stops(frames: Frames, choose: mutations.Choose) -> Frames:
    """Lose the stops of all blocks from here on."""
    at = choose(len(frames) + 1)
    return [*frames[:at], *(frame for frame in frames[at:] if type_of(frame) != "content_block_stop")]


def renumber(frames: Frames, choose: mutations.Choose) -> Frames:
    """Give all blocks another index from here on."""
    at, other = choose(len(frames) + 1), choose(4)
    return [
        *frames[:at],
        *(
            having(frame, index=other) if "index" in (body_of(frame) or {}) else frame
            for frame in frames[at:]
        ),
    ]


def cut_input(frames: Frames, choose: mutations.Choose) -> Frames:
    """Lose the end of the last piece of a call's input."""
    pieces = [at for at, frame in enumerate(frames) if b"partial_json" in frame]
    if not pieces:
        return frames
    at = pieces[choose(len(pieces))]
    delta = (body_of(frames[at]) or {}).get("delta")
    text = delta.get("partial_json") if isinstance(delta, dict) else None
    if not isinstance(text, str):
        return frames
    shorter = {**delta, "partial_json": text[: choose(len(text) + 1)]}  # type: ignore[dict-item]
    return [*frames[:at], having(frames[at], delta=shorter), *frames[at + 1 :]]


def abort(frames: Frames, choose: mutations.Choose) -> Frames:
    """End without a reason, or with one of another protocol."""
    reasons: list[Any] = [None, "abort", "stop", "length", "tool_calls", "end_turn", "tool_use", "max_tokens"]
    delta = {"stop_reason": reasons[choose(len(reasons))]}
    return [having(frame, delta=delta) if type_of(frame) == "message_delta" else frame for frame in frames]


DAMAGES: Final[tuple[Damage, ...]] = (
    mutations.lose,
    mutations.repeat,
    mutations.replay,
    mutations.swap,
    mutations.move,
    mutations.stop,
    mutations.tear,
    mutations.garble,
    insert,
    mutations.set_value,
    mutations.set_value,
    report,
    lose_stops,
    renumber,
    cut_input,
    abort,
)


@cache
def recordings() -> dict[str, Frames]:
    """Return the frames of every recorded stream of messages, without most of its deltas, by its name."""
    found = {}
    for path in sorted((RECORDINGS / "families").rglob("*-[am]-*.sse")):
        frames = thinned(frames_of(path.read_bytes()))
        if any(type_of(frame) == "message_start" for frame in frames) and len(frames) <= MOST_FRAMES:
            found[f"{path.parent.name}/{path.stem}"] = frames
    return found


def thinned(frames: Frames) -> Frames:
    """Return a stream without what is in the middle of long texts."""
    kept: Frames = []
    run = 0
    for frame in frames:
        is_text = b'"text_delta"' in frame or b'"thinking_delta"' in frame
        run = run + 1 if is_text else 0
        if run <= 6:
            kept.append(frame)
    return kept


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, BodyEnd]:
    """Draw a recording to which some damage was done, and how its body ended."""
    known = recordings()
    frames = [*known[draw(st.sampled_from(sorted(known)))]]
    for kind in draw(st.lists(st.sampled_from(DAMAGES), max_size=MOST_DAMAGES)):
        frames = kind(frames, lambda below: draw(st.integers(0, below - 1)))
    return stream_of(frames), draw(st.sampled_from(ENDS))


TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON: Final = st.dictionaries(
    st.text("ab", max_size=2), st.none() | st.integers() | TEXTS | st.lists(TEXTS, max_size=2)
)


@st.composite
def conforming(draw: st.DrawFn) -> bytes:
    """Draw a stream as Anthropic's API sends it."""
    lines = [json.dumps({"type": "message_start", "message": {**MESSAGE, "id": "msg_2"}})]
    calls = 0
    for index, kind in enumerate(draw(st.lists(st.sampled_from(["text", "think", "call"]), max_size=4))):
        if kind == "call":
            calls += 1
            lines.append(f"call {index} toolu_{index} look")
            text = json.dumps(draw(JSON), ensure_ascii=draw(st.booleans()))
            words = [piece.decode() for piece in cut(text.encode(), draw(st.lists(st.integers(0, 99), max_size=4)))
                     ] if text.isascii() else [text]  # fmt: skip
            type_, member = "input_json_delta", "partial_json"
        else:
            lines.append(f"{kind} {index}")
            words = draw(st.lists(TEXTS, max_size=5))
            type_, member = ("text_delta", "text") if kind == "text" else ("thinking_delta", "thinking")
        lines += [
            json.dumps(
                {"type": "content_block_delta", "index": index, "delta": {"type": type_, member: word}}
            )
            for word in words
        ]
        lines += [f"sign {index} s"] if kind == "think" else []
        lines += [draw(st.sampled_from(["ping", ": ping"]))] * draw(st.integers(0, 1))
        lines.append(f"stop {index}")
    reasons = (
        ["tool_use", "max_tokens", "stop_sequence X"] if calls else ["end_turn", "max_tokens", "refusal"]
    )
    lines += [f"end {draw(st.sampled_from(reasons))}", "over"]
    return wire("\n".join(lines))


# ---------------------------------------------------------------------------------------------------------------- what is made


def repair(stream: bytes, end: BodyEnd = BodyEnd.EOF, plan: Plan = STRICT, request: Any = None) -> bytes:
    normalizer = StreamNormalizer(plan, MESSAGES.context("", request))
    return normalizer.feed(stream) + normalizer.finish(end)


def broken(stream: bytes, *, knows_stops: bool = True) -> list[str]:
    """Return the violations that are not the model's own doing. An input that lost its beginning cannot be repaired.

    Nor can a stop sequence that was lost, where no request says which there are: null is then all that can be said.

    Types that nobody knows pass: Anthropic's API says that clients must bear them. The judge does not.
    """
    if any(map(is_strange, bodies(stream))):
        return []
    beaten = HEARTBEAT.search(stream) is not None
    return [
        str(one)
        for one in check_stream(stream)
        if not (beaten and one.rule == "stop_before_error")
        and one.rule not in CONTENT | MINOR
        and not (one.rule == "input_excess" and "more: '{" not in one.detail)
        and not (one.rule == "stop_sequence" and one.detail == "stop_sequence is None" and not knows_stops)
    ]


def has_tags(stream: bytes) -> bool:
    """Return whether the judge finds a tag of thinking that was left: what conforms but for that does not stay."""
    return any(one.rule == "thought_markup" for one in check_stream(stream))


def is_strange(body: dict[str, Any]) -> bool:
    """Return whether an event, its block, its delta or its reason is of a type that nobody knows."""
    delta, block = (body[name].get("type") if isinstance(body.get(name), dict) else None for name in NESTED)
    known = body["type"] in EVENTS and (block is None or block in BLOCKS)
    if body["type"] == "message_delta" and isinstance(body.get("delta"), dict):
        known = body["delta"].get("stop_reason") in STOP_REASONS
    return not known or (body["type"] == "content_block_delta" and delta not in BLOCK_OF_DELTA)


def bodies(stream: bytes) -> list[dict[str, Any]]:
    found = []
    for line in re.split(rb"[\r\n]+", stream):
        if line.startswith(b"data:"):
            try:
                body = json.loads(line[5:].decode(errors="replace"), strict=False)
            except (ValueError, RecursionError):
                continue
            if isinstance(body, dict):
                found.append(body)
    return found


def words(stream: bytes) -> dict[str, str]:
    """Return all that the deltas of a stream say, by their type."""
    said: dict[str, str] = {}
    for body in bodies(stream):
        delta = body.get("delta")
        if body.get("type") == "content_block_delta" and isinstance(delta, dict):
            for member in ("text", "thinking", "partial_json"):
                if isinstance(delta.get(member), str):
                    said[member] = said.get(member, "") + delta[member]
    return said


def harm(upstream: bytes, made: bytes) -> list[str]:
    """Return what a client does after the repair that it should not do."""
    sent, got = bodies(upstream), bodies(made)
    wrong = []
    starts = [sum("tool_use" in str(body.get("content_block")) for body in events) for events in (sent, got)]
    if starts[1] > starts[0]:
        wrong.append(f"{starts[1]} calls, upstream made {starts[0]}")
    results = [body for body in got if body["type"] == "message_delta"]
    reasons = [body["delta"]["stop_reason"] for body in results if isinstance(body.get("delta"), dict)]
    if reasons and b"stop_reason" not in upstream.replace(
        b'"stop_reason":null,"stop_sequence":null,"usage"', b""
    ):
        wrong.append(f"the reason {reasons[0]!r} was made up")
    if any(body["type"] == "message_stop" for body in got) and not reasons:
        wrong.append("a message is over without a reason")
    stops = Counter(body["index"] for body in got if body["type"] == "content_block_stop")
    wrong += [f"block {index} is stopped {count} times" for index, count in stops.items() if count > 1]
    if reasons and reasons[0] not in CUT_REASONS:
        wrong += [f"a call is run with {text!r}" for text in inputs(got) if json_state(text) is JsonState.CUT]
    return wrong


def inputs(events: list[dict[str, Any]]) -> list[str]:
    """Return the inputs of the calls."""
    texts: dict[int, str] = {}
    for body in events:
        if body["type"] == "content_block_start" and body["content_block"].get("type") == "tool_use":
            texts[body["index"]] = ""
        elif body["type"] == "content_block_delta" and body["index"] in texts:
            is_piece = body["delta"].get("type") == INPUT_DELTA  # what clients add to it, and nothing else
            texts[body["index"]] += body["delta"].get("partial_json", "") if is_piece else ""
    return list(texts.values())


# -------------------------------------------------------------------------------------------------------------- what must hold


@given(conforming(), st.sampled_from(REQUESTS))
def test_a_conforming_stream_leaves_as_it_came(stream: bytes, request: Any) -> None:
    """Byte for byte; where a word may begin a marker, a heartbeat overtakes it (:func:`is_same_but_for_heartbeats`)."""
    assume(not has_tags(stream))
    assert broken(stream) == []
    made = repair(stream, request=None)
    assert made == stream or (SIGN.search(stream) and is_same_but_for_heartbeats(made, stream))


@given(damaged(), st.sampled_from(REQUESTS))
def test_a_damaged_recording_conforms_and_no_harm_is_done(case: tuple[bytes, BodyEnd], request: Any) -> None:
    stream, end = case
    made = repair(stream, end, request=request)
    note(stream.decode(errors="replace"))
    note(made.decode(errors="replace"))
    assert broken(made, knows_stops=request is not None) == []
    assert harm(stream, made) == []


@given(damaged(), st.sampled_from(REQUESTS))
def test_what_is_repaired_stays(case: tuple[bytes, BodyEnd], request: Any) -> None:
    stream, end = case
    once = repair(stream, end, request=request)
    note(once.decode(errors="replace"))
    assert is_same_but_for_heartbeats(repair(once, request=request), once)


@given(damaged(), st.lists(st.integers(0, 1 << 20), max_size=12))
def test_chunks_make_no_difference(case: tuple[bytes, BodyEnd], places: list[int]) -> None:
    stream, end = case
    normalizer = StreamNormalizer(STRICT, MESSAGES.context("", None))
    made = b"".join(map(normalizer.feed, cut(stream, places)))
    assert made + normalizer.finish(end) == repair(stream, end)


@given(damaged(), st.sets(st.sampled_from(NAMES), max_size=3), st.sampled_from(LEARNING))
def test_learned_is_walked(case: tuple[bytes, BodyEnd], disabled: set[str], request: Any) -> None:
    """Whatever deltas are spelled like, bytes, counts and ending are those of a stream in which each is walked."""
    stream, end = case
    plan = Plan.of(MESSAGES, disabled, strict=True)
    outcomes = []
    for spelled in (stream, re.sub(rb"(?<=\n\n)(?=event:|data:)", b"id: 1\n", stream)):
        normalizer = StreamNormalizer(plan, MESSAGES.context("", request))
        made = normalizer.feed(spelled) + normalizer.finish(end)
        outcomes.append((made, {**asdict(normalizer.tally), "bytes_in": 0}, normalizer.ending))
    assert outcomes[0] == outcomes[1]


@given(damaged(), st.sets(st.sampled_from(NAMES)))
def test_whatever_is_switched_off_nothing_raises(case: tuple[bytes, BodyEnd], disabled: set[str]) -> None:
    stream, end = case
    repair(stream, end, Plan.of(MESSAGES, disabled, strict=True))


@given(conforming(), st.sets(st.sampled_from(NAMES)))
def test_whatever_is_switched_off_a_conforming_stream_stays(stream: bytes, disabled: set[str]) -> None:
    assume(not has_tags(stream))
    made = repair(stream, plan=Plan.of(MESSAGES, disabled, strict=True))
    assert made == stream or (SIGN.search(stream) and is_same_but_for_heartbeats(made, stream))


@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([b"\n\n", b"data: ", b"event: error\n", b'{"type":"']),
        max_size=20,
    )
)
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    made = repair(b"".join(pieces))
    assert broken(made) == []


THOUGHTS = re.compile(r"<think>(\n.*?\n)</think>", re.DOTALL)


def test_recordings_say_the_same() -> None:
    """Nothing of what was said is lost, but for headers of gpt-oss and markers of thinking: what they enclose is thinking."""
    paths = sorted((RECORDINGS / "families").rglob("*-[am]-*.sse"))
    assert len(paths) > 20
    for path in paths:
        stream = path.read_bytes()
        if not stream.startswith((b"event:", b"data:")):
            continue
        made = repair(stream)
        assert broken(made) == []
        said, sent = words(stream), words(made)
        later = "".join(THOUGHTS.findall(said.get("text", "")))
        said["thinking"] = said.get("thinking", "").removeprefix("<think>") + later
        said["text"] = THOUGHTS.sub("", said.get("text", ""))
        if "<|" not in said.get("text", ""):
            assert {name: text for name, text in sent.items() if text} == {
                name: text for name, text in said.items() if text
            }
