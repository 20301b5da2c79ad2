"""Damage to streams: small functions that are put together, as a fuzzing proxy would.

Every function takes the frames of a stream and a source of choices, and returns the frames of the damaged stream. Where it
finds nothing to damage, it returns them as they were. Who chooses does not matter: hypothesis, which makes failures small, or
``random``.

`python -m tests.support.mutations NUMBER SEED` prints a line for each of so many damaged recordings and what the core makes of
it, so that two cores can be compared: the compiled one and its own sources.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tests.support.goldens import RECORDINGS
from vllm_sse_proxy import BodyEnd, Dialect, Reasoning, RequestContext, StreamNormalizer, build_plan
from vllm_sse_proxy.stream import CORE

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
Frames = list[bytes]
"""The frames of a stream, without the blank lines between them."""
Choose = Callable[[int], int]
"""Return a number from 0 on that is less than the argument."""
Damage = Callable[[Frames, Choose], Frames]

TERMINAL: Final = ("response.completed", "response.incomplete", "response.failed")
ITEM_DONE: Final = "response.output_item.done"
DONE: Final = b"data: [DONE]"

VALUES: Final[list[Any]] = [None, 1, -1, 7, True, 1.5, "", "x", {}, [], {"content": "We"}, ["a", 1], "\ud800", 2**70,
                            [{"type": "output_text", "text": "t"}], {"id": "x", "type": "message"}, "completed",
                            "incomplete", "in_progress", {"message": "boom"}]  # fmt: skip
"""What takes the place of a member's value."""


# Frames


def frames_of(stream: bytes) -> Frames:
    """Return the frames of a stream as vLLM writes it: whole ones, LF, a blank line behind each."""
    return [frame for frame in stream.split(b"\n\n") if frame]


def stream_of(frames: Frames) -> bytes:
    """Return the stream of these frames."""
    return b"".join(frame + b"\n\n" for frame in frames)


def is_same_but_for_heartbeats(one: bytes, other: bytes) -> bool:
    """Return whether two streams have the same frames, heartbeats wherever they stand among them.

    They wait for nothing: a heartbeat overtakes words that wait until it is known whether they are a marker. A client is kept
    waiting as long as it was, and nobody reads where they stand.
    """
    return one == other or (one.count(b"\n\n") == other.count(b"\n\n") and _spoken(one) == _spoken(other))


def _spoken(stream: bytes) -> Frames:
    """Return the frames of a stream but for heartbeats."""
    return [frame for frame in frames_of(stream) if not frame.startswith((b":", b"event: ping"))]


def body_of(frame: bytes) -> Json | None:
    """Return the object in a frame; None for a comment, for ``[DONE]`` and for what is not an object."""
    data = frame.partition(b"data: ")[2]
    try:
        body = json.loads(data)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def having(frame: bytes, **changes: Any) -> bytes:
    """Return a frame whose object has other members; its ``event:`` line is left as it is, unless the type changes."""
    return frame_of({**(body_of(frame) or {}), **changes}, named=frame.startswith(b"event:"))


def frame_of(body: Json, *, named: bool = True) -> bytes:
    """Return an object as a frame."""
    type_ = body.get("type")
    line = f"event: {type_}\n" if named and isinstance(type_, str) and type_.isprintable() else ""
    return (line + "data: " + json.dumps(body, separators=(",", ":"))).encode()


def type_of(frame: bytes) -> str:
    """Return the type of the event in a frame; the empty string if it names none."""
    body = body_of(frame)
    type_ = body.get("type") if body is not None else None
    return type_ if isinstance(type_, str) else ""


def _one_of(choose: Choose, positions: list[int]) -> int | None:
    return positions[choose(len(positions))] if positions else None


def _position(frames: Frames, choose: Choose, *, suffix: str = "") -> int | None:
    """Choose a frame whose event's type ends in ``suffix``; any frame without one."""
    return _one_of(
        choose, [at for at, frame in enumerate(frames) if not suffix or type_of(frame).endswith(suffix)]
    )


def _replaced(frames: Frames, at: int, *by: bytes) -> Frames:
    return [*frames[:at], *by, *frames[at + 1 :]]


def _run(frames: Frames, choose: Choose) -> tuple[int, int]:
    """Choose some frames that follow one another; return where they begin and where they end."""
    start = choose(len(frames)) if frames else 0
    return start, min(len(frames), start + 1 + choose(_LONGEST_RUN))


_LONGEST_RUN: Final = 8


# Damage to frames


def lose(frames: Frames, choose: Choose) -> Frames:
    """Lose one frame, or several that follow one another."""
    start, end = _run(frames, choose)
    return frames[:start] + frames[end:]


def repeat(frames: Frames, choose: Choose) -> Frames:
    """Send one frame twice."""
    at = _position(frames, choose)
    return frames if at is None else _replaced(frames, at, frames[at], frames[at])


def replay(frames: Frames, choose: Choose) -> Frames:
    """Send some frames that follow one another, and then the same ones again."""
    start, end = _run(frames, choose)
    return frames[:end] + frames[start:end] + frames[end:]


def swap(frames: Frames, choose: Choose) -> Frames:
    """Send two neighbours in the other order."""
    at = choose(max(1, len(frames) - 1))
    return frames[:at] + frames[at : at + 2][::-1] + frames[at + 2 :]


def move(frames: Frames, choose: Choose) -> Frames:
    """Send one frame at another time."""
    at = _position(frames, choose)
    if at is None:
        return frames
    rest = _replaced(frames, at)
    to = choose(len(rest) + 1)
    return [*rest[:to], frames[at], *rest[to:]]


def stop(frames: Frames, choose: Choose) -> Frames:
    """Stop between two events."""
    return frames[: choose(len(frames) + 1)]


def tear(frames: Frames, choose: Choose) -> Frames:
    """Lose the end of a frame."""
    at = _position(frames, choose)
    return frames if at is None else _replaced(frames, at, frames[at][: choose(len(frames[at]) + 1)])


def garble(frames: Frames, choose: Choose) -> Frames:
    """Change one byte."""
    at = _position(frames, choose)
    if at is None or not frames[at]:
        return frames
    garbled = bytearray(frames[at])
    garbled[choose(len(garbled))] = choose(256)
    return _replaced(frames, at, bytes(garbled))


def insert(frames: Frames, choose: Choose) -> Frames:
    """Send something that belongs to no response: a comment, a heartbeat, a notice."""
    at = choose(len(frames) + 1)
    return [*frames[:at], _STRANGERS[choose(len(_STRANGERS))], *frames[at:]]


_STRANGERS: Final = (
    b": ping",
    b": " + b"-" * 40,
    b"id: 7\nretry: 100",
    *(
        b"event: %b\ndata: %b" % (name, b'{"type": "%b", "sequence_number": 3}' % name)
        for name in (
            b"response.ping",
            b"ping",
            b"keepalive",
            b"response.heartbeat",
            b"response.rate_limits.updated",
        )
    ),
    b'data: {"type": "vendor:notice", "text": "t"}',
    b"data: {}",
    b"data:",
)


def fail(frames: Frames, choose: Choose) -> Frames:
    """Report an error, in one of its forms, and stop; or go on all the same."""
    at = choose(len(frames) + 1)
    rest = frames[at:] if choose(4) == 0 else [DONE] * choose(2)
    return [*frames[:at], _ERRORS[choose(len(_ERRORS))], *rest]


_ERRORS: Final = (
    b'data: {"error": {"message": "boom", "type": "InternalServerError", "param": null, "code": 500}}',
    b'event: error\ndata: {"type": "error", "message": "boom", "code": "server_error", "param": null}',
    b'event: error\ndata: {"type": "error", "error": {"message": "boom", "code": "c"}}',
    b'event: response.error\ndata: {"type": "response.error", "response": {"id": "r"}, "message": "boom"}',
    b'data: {"object": "error", "message": "boom", "type": "BadRequestError", "code": 400}',
    b'data: {"detail": "boom"}',
)


# Damage to members


def set_value(frames: Frames, choose: Choose) -> Frames:
    """Give a member, however deep, another value, or lose it."""
    at = _position(frames, choose)
    body = body_of(frames[at]) if at is not None else None
    if at is None or not body:
        return frames
    holder, key = _member(body, choose)
    if choose(4) == 0:
        del holder[key]
    else:
        holder[key] = VALUES[choose(len(VALUES))]
    return _replaced(frames, at, frame_of(body, named=frames[at].startswith(b"event:")))


def _member(body: Json, choose: Choose) -> tuple[Any, Any]:
    """Choose a member, on the way down from the top: the deeper, the rarer."""
    holder: Any = body
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[choose(len(keys))]
        value = holder[key]
        if not (isinstance(value, dict | list) and value) or choose(3) == 0:
            return holder, key
        holder = value


def nest_delta(frames: Frames, choose: Choose) -> Frames:
    """Send a delta as an object or a list."""
    at = _position(frames, choose, suffix=".delta")
    if at is None:
        return frames
    delta = (body_of(frames[at]) or {}).get("delta")
    shapes: list[Any] = [{"content": delta}, [delta], {"content": [{"type": "text", "text": delta}]}]
    return _replaced(frames, at, having(frames[at], delta=shapes[choose(len(shapes))]))


# Damage to ids


def _mapped(frames: Frames, change: Callable[[Json], Json | None]) -> Frames:
    """Let ``change`` rewrite the objects of all events; None leaves one as it is."""
    changed = []
    for frame in frames:
        body = body_of(frame)
        other = change(body) if body is not None else None
        changed.append(frame if other is None else frame_of(other, named=frame.startswith(b"event:")))
    return changed


def _with_items(body: Json, change: Callable[[Json, int], Json]) -> Json | None:
    """Return a terminal event with other final items; None if it has none."""
    response = body.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    if not isinstance(response, dict) or not isinstance(output, list):
        return None
    items = [change(item, index) if isinstance(item, dict) else item for index, item in enumerate(output)]
    return {**body, "response": {**response, "output": items}}


def _final(frames: Frames) -> int | None:
    """Return where the last terminal event stands."""
    return max((at for at, frame in enumerate(frames) if type_of(frame) in TERMINAL), default=None)


def _with_final(frames: Frames, change: Callable[[Json], Json | None]) -> Frames:
    at = _final(frames)
    return frames if at is None else [*frames[:at], *_mapped(frames[at : at + 1], change), *frames[at + 1 :]]


def rename_later(frames: Frames, choose: Choose) -> Frames:
    """Give all items other ids from here on, as a second parser does."""
    at = choose(len(frames) + 1)

    def renamed(holder: Json, *names: str) -> Json:
        return holder | {name: f"z{holder[name]}" for name in names if isinstance(holder.get(name), str)}

    def rename(body: Json) -> Json:
        item = body.get("item")
        changes = {"item": renamed(item, "id", "call_id")} if isinstance(item, dict) else {}
        other = renamed(body, "item_id") | changes
        return _with_items(other, lambda final, _: renamed(final, "id", "call_id")) or other

    return [*frames[:at], *_mapped(frames[at:], rename)]


def rename_final(frames: Frames, choose: Choose) -> Frames:
    """Give all final items other ids, or other call_ids, or both."""
    fields = (("id",), ("call_id",), ("id", "call_id"))[choose(3)]

    def renamed(item: Json, index: int) -> Json:
        return {**item, **{name: f"{name}-of-{index}" for name in fields if name in item}}

    return _with_final(frames, lambda body: _with_items(body, renamed))


def forget_ids(frames: Frames, choose: Choose) -> Frames:
    """Lose the ids of done items, or of all items, or the ``item_id`` of deltas."""
    kind = choose(3)

    def without(body: Json) -> Json | None:
        if kind == 2:
            return {**body, "item_id": None} if "item_id" in body else None
        item = body.get("item")
        if not isinstance(item, dict) or (kind == 0 and body.get("type") != ITEM_DONE):
            return None
        return {**body, "item": {**item, "id": None}}

    return _mapped(frames, without)


def share_ids(frames: Frames, choose: Choose) -> Frames:
    """Give all items of the stream, or of the final object, one id."""
    if choose(2):
        return _with_final(frames, lambda body: _with_items(body, lambda item, _: {**item, "id": "same"}))

    def shared(body: Json) -> Json | None:
        changes: Json = {"item_id": "same"} if "item_id" in body else {}
        if isinstance(body.get("item"), dict):
            changes["item"] = {**body["item"], "id": "same"}
        return {**body, **changes} if changes else None

    return _mapped(frames, shared)


# Damage to the final object


def lose_final_items(frames: Frames, choose: Choose) -> Frames:
    """Lose one of the final items, or all of them, or their list."""
    how, which = choose(4), choose(8)

    def without(body: Json) -> Json | None:
        response = body.get("response")
        output = response.get("output") if isinstance(response, dict) else None
        if not isinstance(output, list) or not isinstance(response, dict):
            return None
        if how == 0:
            return {**body, "response": {name: value for name, value in response.items() if name != "output"}}
        left: Any = [] if how == 1 else output
        if how > 1 and output:
            left = [item for index, item in enumerate(output) if index != which % len(output)]
        return {**body, "response": {**response, "output": left}}

    return _with_final(frames, without)


def repeat_final_items(frames: Frames, choose: Choose) -> Frames:
    """Have a final item twice, or all of them in the other order."""
    how, which = choose(2), choose(8)

    def more(body: Json) -> Json | None:
        response = body.get("response")
        output = response.get("output") if isinstance(response, dict) else None
        if not isinstance(output, list) or not output or not isinstance(response, dict):
            return None
        again = [*output, output[which % len(output)]] if how else output[::-1]
        return {**body, "response": {**response, "output": again}}

    return _with_final(frames, more)


def reshape_final_items(frames: Frames, choose: Choose) -> Frames:
    """Write the texts of final items as other APIs do; reasoning as a summary, too."""
    how = choose(4)

    def reshaped(item: Json, _: int) -> Json:
        content = item.get("content")
        if not isinstance(content, list) or not content or not isinstance(content[0], dict):
            return item
        text = content[0].get("text")
        shapes: list[Json] = [
            {"content": text},
            {"content": [{"type": "text", "text": text}]},
            {"content": [text]},
        ]
        if item.get("type") == "reasoning":
            summary = [{"type": "summary_text", "text": text}]
            shapes = [{"content": text}, {"content": [], "summary": summary}, {"content": None, "summary": summary},
                      {"summary": summary}]  # fmt: skip
        return {**item, **shapes[how % len(shapes)]}

    return _with_final(frames, lambda body: _with_items(body, reshaped))


def age_final(frames: Frames, choose: Choose) -> Frames:
    """Leave the response object of the terminal event as it was at an earlier time."""
    how = choose(6)

    def stale(body: Json) -> Json | None:
        response = body.get("response")
        if not isinstance(response, dict):
            return None
        shapes: list[Any] = [
            {**response, "status": "in_progress"},
            {**response, "status": None},
            {name: value for name, value in response.items() if name != "status"},
            {"id": response.get("id")},
            None,
            {**response, "status": "in_progress", "output": []},
        ]
        return {**body, "response": shapes[how]}

    return _with_final(frames, stale)


def cut_items(frames: Frames, choose: Choose) -> Frames:
    """Say of some items, in the stream or in the final object, that they are incomplete, or still in progress."""
    status, which, where = ("incomplete", "in_progress", "failed")[choose(3)], choose(8), choose(2)
    if where:

        def cut(item: Json, index: int) -> Json:
            return {**item, "status": status} if index == which % 3 else item

        return _with_final(frames, lambda body: _with_items(body, cut))
    at = _position(frames, choose, suffix="output_item.done")
    item = (body_of(frames[at]) or {}).get("item") if at is not None else None
    if at is None or not isinstance(item, dict):
        return frames
    return _replaced(frames, at, having(frames[at], item={**item, "status": status}))


# Damage to arguments


def respell_arguments(frames: Frames, choose: Choose) -> Frames:
    """Write a call's arguments, in one of the places where they stand, as another parser would."""
    place = choose(3)
    suffix = ("arguments.done", "output_item.done", "")[place]
    spell = _SPELLINGS[choose(len(_SPELLINGS))]

    def spelt(holder: Json, _: int = 0) -> Json:
        texts = {name: holder.get(name) for name in ("arguments", "input")}
        return holder | {name: spell(text) for name, text in texts.items() if isinstance(text, str)}

    if place == 2:
        return _with_final(frames, lambda body: _with_items(body, spelt))
    at = _position(frames, choose, suffix=suffix)
    body = body_of(frames[at]) if at is not None else None
    if at is None or body is None:
        return frames
    if place == 0:
        return _replaced(frames, at, having(frames[at], **spelt(body)))
    item = body.get("item")
    return (
        frames if not isinstance(item, dict) else _replaced(frames, at, having(frames[at], item=spelt(item)))
    )


def _coerced(text: str) -> str:
    """Write numbers and booleans as strings, and strings that look like them as what they look like."""
    try:
        members = json.loads(text)
    except ValueError:
        return text
    if not isinstance(members, dict):
        return text
    other = {
        name: str(value)
        if isinstance(value, int | float)
        else int(value)
        if str(value).isdecimal()
        else value
        for name, value in members.items()
    }
    return json.dumps(other)


def _respaced(text: str) -> str:
    try:
        return json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True)
    except ValueError:
        return text


_SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (
    _coerced,
    _respaced,
    lambda text: text + "\n",
    lambda text: " " + text,
    lambda text: text + "}",
    lambda text: text + text,
    lambda _: "{}",
    lambda _: "",
    lambda text: text[1:],
    lambda text: text[: len(text) // 2],
)


# Damage to deltas


def split_delta(frames: Frames, choose: Choose) -> Frames:
    """Send a delta as two, one of which may be empty."""
    at = _position(frames, choose, suffix=".delta")
    delta = (body_of(frames[at]) or {}).get("delta") if at is not None else None
    if at is None or not isinstance(delta, str):
        return frames
    where = choose(len(delta) + 1)
    return _replaced(
        frames, at, having(frames[at], delta=delta[:where]), having(frames[at], delta=delta[where:])
    )


def merge_deltas(frames: Frames, choose: Choose) -> Frames:
    """Send two deltas that follow one another as one."""
    at = _position(frames, choose, suffix=".delta")
    if at is None or at + 1 >= len(frames) or type_of(frames[at]) != type_of(frames[at + 1]):
        return frames
    first, second = (body_of(frame) or {} for frame in frames[at : at + 2])
    if not isinstance(first.get("delta"), str) or not isinstance(second.get("delta"), str):
        return frames
    merged = having(frames[at], delta=first["delta"] + second["delta"])
    return [*frames[:at], merged, *frames[at + 2 :]]


def lose_deltas(frames: Frames, choose: Choose) -> Frames:
    """Lose the first delta of a text, or the last, or all of them."""
    at = _position(frames, choose, suffix=".delta")
    if at is None:
        return frames
    start = end = at
    while start and type_of(frames[start - 1]) == type_of(frames[at]):
        start -= 1
    while end < len(frames) and type_of(frames[end]) == type_of(frames[at]):
        end += 1
    how = choose(3)
    if how == 0:
        return _replaced(frames, start)
    return frames[: end - 1] + frames[end:] if how == 1 else frames[:start] + frames[end:]


# Damage to the lives of items


def lose_closings(frames: Frames, choose: Choose) -> Frames:
    """Lose all events of one type: no item's texts, parts or items are closed, or announced."""
    types = sorted({type_ for frame in frames if (type_ := type_of(frame)).endswith((".done", ".added"))})
    if not types:
        return frames
    lost = types[choose(len(types))]
    return [frame for frame in frames if type_of(frame) != lost]


def end_otherwise(frames: Frames, choose: Choose) -> Frames:
    """Lose the terminal event, or call it by another name, with another status or none."""
    at = _final(frames)
    if at is None:
        return frames
    how = choose(len(_ENDS) + 2)
    if how == 0:
        return _replaced(frames, at)
    if how == 1:
        return frames[:at]
    type_, status = _ENDS[how - 2]
    response = (body_of(frames[at]) or {}).get("response")
    known = response if isinstance(response, dict) else {}
    return _replaced(frames, at, having(frames[at], type=type_, response={**known, "status": status}))


_ENDS: Final = (
    ("response.incomplete", "incomplete"),
    ("response.failed", "failed"),
    ("response.completed", "cancelled"),
    ("response.completed", "incomplete"),
    ("response.incomplete", "completed"),
    ("response.done", "completed"),
    ("response.cancelled", "cancelled"),
    ("response.aborted", "aborted"),
    ("response.expired", "expired"),
)


def end_with_sentinel(frames: Frames, choose: Choose) -> Frames:
    """Send ``[DONE]`` at the end, or not, or too early."""
    rest = [frame for frame in frames if frame != DONE]
    how = choose(3)
    if how == 0:
        return rest
    at = len(rest) if how == 1 else choose(len(rest) + 1)
    return [*rest[:at], DONE, *rest[at:]]


DAMAGES: Final[tuple[Damage, ...]] = (
    lose,
    repeat,
    replay,
    swap,
    move,
    stop,
    tear,
    garble,
    insert,
    fail,
    set_value,
    nest_delta,
    rename_later,
    rename_final,
    forget_ids,
    share_ids,
    lose_final_items,
    repeat_final_items,
    reshape_final_items,
    age_final,
    cut_items,
    respell_arguments,
    split_delta,
    merge_deltas,
    lose_deltas,
    lose_closings,
    end_otherwise,
    end_with_sentinel,
)
"""Every kind of damage, the simplest first: hypothesis makes failures small towards the beginning."""


# Two cores compared

REQUESTS: list[dict[str, Any] | None] = [
    None,
    {"model": "m", "store": False, "temperature": "hot", "tools": [{"type": "function", "name": "f"}]},
]
ENDS = (BodyEnd.EOF, BodyEnd.CUT, BodyEnd.RESET, BodyEnd.SHUTDOWN)
CHUNK_BYTES = (1, 7, 100, 1000, 100_000)
LONGEST_BYTES = 60_000


def made(number: int, seed: int) -> Iterator[str]:
    """Yield what becomes of so many damaged recordings, a line for each."""
    draw = random.Random(seed)  # noqa: S311 - the same damage each time is what is wanted
    plans = [
        build_plan(dialect=dialect, reasoning=reasoning) for dialect in Dialect for reasoning in Reasoning
    ]
    files = [file for file in sorted(RECORDINGS.rglob("upstream.sse")) if "-" not in file.parent.name]
    streams = [file.read_bytes() for file in files if file.stat().st_size <= LONGEST_BYTES]
    for _ in range(number):
        frames = frames_of(draw.choice(streams))
        for _ in range(draw.randrange(1, 5)):
            frames = draw.choice(DAMAGES)(frames, draw.randrange)
        stream = stream_of(frames)
        normalizer = StreamNormalizer(
            draw.choice(plans), RequestContext(seed="s", body=draw.choice(REQUESTS))
        )
        emitted, at = hashlib.sha256(), 0
        while at < len(stream):
            size = draw.choice(CHUNK_BYTES)
            emitted.update(normalizer.feed(stream[at : at + size]))
            at += size
        emitted.update(normalizer.finish(draw.choice(ENDS)))
        yield f"{emitted.hexdigest()} {normalizer.ending} {normalizer.tally}"


if __name__ == "__main__":
    print(CORE)  # noqa: T201 - a command line prints
    for line in made(int(sys.argv[1]), int(sys.argv[2])):
        print(line)  # noqa: T201 - as above
