"""``make bench-micro``: where the microseconds go, in process time.

    python -m bench.layers [FOLDER ...]

*By release*: real recordings (tests/recordings, or those of the folders) of each protocol, one event a read, openings and
endings included, as a ratio to a bare ``orjson.loads`` and ``orjson.dumps`` of every event in the same run. What the opening
of a stream costs (all before its first delta), an event between its first and last delta, and its ending. All streams are
read bare, one after the other, and then all are repaired: so neither finds the processor's caches filled with its own stream.

*By layer*: each is given the same 2,000 deltas, twelve times, and the best pass counts: what a pass takes longer than the best
one is the machine's doing. A delta here is an ``output_text.delta`` of some 220 bytes, in chunks of 40 as bursts arrive.

*Two curves*: the cost of the whole over the length of the stream, and over the number of repairs. The latter adds repairs that
do nothing, either for events that the stream does not hold or for its deltas: both must cost nothing
(docs/adr/0010-learned-rewrites.md).
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.support.recordings import load_all
from vllm_sse_proxy import BodyEnd, Plan, RequestContext, StreamNormalizer, build_plan
from vllm_sse_proxy.families import FAMILIES, RESPONSES
from vllm_sse_proxy.families.responses.events import parse_event
from vllm_sse_proxy.server.garbage import collect_less_often
from vllm_sse_proxy.sse import FrameDecoder, encode_event
from vllm_sse_proxy.stream.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.recordings import Recording
    from vllm_sse_proxy.stream.event import Event
    from vllm_sse_proxy.stream.family import Family

RECORDINGS: Final = Path(__file__).parents[1] / "tests" / "recordings"
ROUNDS: Final = 7
"""Passes over the recordings of a release; the best counts."""
LONG_EVENTS: Final = 60
"""A stream of so many events has a ratio of its own worth looking at."""
DELTAS: Final = 2_000
CHUNK_EVENTS: Final = 40
PASSES: Final = 12
LENGTHS: Final = (200, 2_000, 20_000, 100_000)
EXTRA_REPAIRS: Final = (0, 25, 50, 100, 200)
WORDS: Final = (
    " the",
    " stream",
    " of",
    " tokens",
    " is",
    " parsed",
    " while",
    " it",
    " passes",
    "\n\n",
    " “quoted”",
)

TEXT_DELTA: Final = "response.output_text.delta"
_ITEM_ID: Final = "msg_1a2b3c4d5e6f708192a3b4c5d6e7f809"
_MAX_FRAME_BYTES: Final = 1 << 23


def opening() -> list[bytes]:
    """Return the frames before the first delta of a stream."""
    response = {
        "id": "resp_5f0c7f2a9d3e4b6c8a1b2c3d4e5f6071",
        "object": "response",
        "created_at": 1763715600,
        "status": "in_progress",
        "model": "bench",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
    }
    item = {"id": _ITEM_ID, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    place = {"item_id": _ITEM_ID, "output_index": 0, "content_index": 0}
    return [
        _frame("response.created", 0, response=response),
        _frame("response.in_progress", 1, response=response),
        _frame("response.output_item.added", 2, output_index=0, item=item),
        _frame("response.content_part.added", 3, part=part, **place),
    ]


def deltas(number: int, *, broken: bool = False) -> list[bytes]:
    """Return the frames of so many deltas; broken: without numbers, and every fourth an object, as some vLLMs send."""
    frames = []
    for i in range(number):
        word = WORDS[i % len(WORDS)]
        fields: dict[str, Any] = {
            "content_index": 0,
            "delta": {"content": word} if broken and i % 4 == 3 else word,  # noqa: PLR2004 - every fourth
            "item_id": _ITEM_ID,
            "logprobs": [],
            "output_index": 0,
        }
        frames.append(_frame(TEXT_DELTA, -1 if broken else i + 4, **fields))
    return frames


def _frame(type_: str, number: int, **fields: Any) -> bytes:
    return encode_event(type_, orjson.dumps({**fields, "sequence_number": number, "type": type_}))


def _chunks(frames: Sequence[bytes]) -> list[bytes]:
    return [b"".join(frames[i : i + CHUNK_EVENTS]) for i in range(0, len(frames), CHUNK_EVENTS)]


def best(run: Callable[[Any], object], *, events: int, prepare: Callable[[], Any] = lambda: None) -> float:
    """Return the µs of process time per event of the best of several passes; ``prepare`` is not timed."""
    passes = []
    for _ in range(PASSES):
        state = prepare()
        began = time.process_time_ns()
        run(state)
        passes.append((time.process_time_ns() - began) / 1e3 / events)
    return min(passes)


class _Stopwatch:
    """The layers of one stream's deltas."""

    def __init__(self, *, broken: bool) -> None:
        self._frames = deltas(DELTAS, broken=broken)
        self._chunks = _chunks(self._frames)
        decoder = FrameDecoder(max_frame_bytes=_MAX_FRAME_BYTES)
        self._opening = decoder.feed(b"".join(opening()))
        self._decoded = [frame for chunk in self._chunks for frame in decoder.feed(chunk)]
        self._plan = build_plan()

    def measure(self) -> dict[str, float]:
        """Return µs per event of each layer, and of the whole."""
        return {
            "decode": self._best(self._decode, self._decoder),
            "parse": self._best(lambda _: _each(lambda f: parse_event(f.data, f.event), self._decoded)),
            "of which orjson.loads": self._best(
                lambda _: _each(lambda f: orjson.loads(f.data), self._decoded)
            ),
            "repair, number, serialise, encode": self._best(self._process, self._engine_and_events),
            "of which serialise (orjson.dumps)": self._best(
                lambda bodies: _each(orjson.dumps, bodies),
                lambda: [orjson.loads(f.data) for f in self._decoded],
            ),
            "of which encode": self._best(
                lambda _: _each(lambda f: encode_event(TEXT_DELTA, f.data), self._decoded)
            ),
            "whole normalizer": self._best(self._normalize, self._normalizer),
        }

    def _best(self, run: Callable[[Any], object], prepare: Callable[[], Any] = lambda: None) -> float:
        return best(run, events=DELTAS, prepare=prepare)

    def _decoder(self) -> FrameDecoder:
        decoder = FrameDecoder(max_frame_bytes=_MAX_FRAME_BYTES)
        decoder.feed(b"".join(opening()))
        return decoder

    def _decode(self, decoder: FrameDecoder) -> None:
        for chunk in self._chunks:
            decoder.feed(chunk)

    def _engine_and_events(self) -> tuple[Engine, list[Event]]:
        engine = Engine(self._plan, RequestContext())
        for frame in self._opening:
            engine.process(parse_event(frame.data, frame.event))
        engine.exit.take()
        return engine, [parse_event(frame.data, frame.event) for frame in self._decoded]

    def _process(self, state: tuple[Engine, list[Event]]) -> None:
        engine, events = state
        for start in range(0, len(events), CHUNK_EVENTS):
            for event in events[start : start + CHUNK_EVENTS]:
                engine.process(event)
            engine.exit.take()

    def _normalizer(self) -> StreamNormalizer:
        normalizer = StreamNormalizer(self._plan)
        normalizer.feed(b"".join(opening()))
        return normalizer

    def _normalize(self, normalizer: StreamNormalizer) -> None:
        for chunk in self._chunks:
            normalizer.feed(chunk)


def _each(call: Callable[[Any], object], values: Sequence[Any]) -> None:
    """Call for each value and keep nothing: results that pile up would be the memory allocator's time, not the layer's."""
    for value in values:
        call(value)


def whole(length: int, *, broken: bool, plan: Plan) -> float:
    """Return µs of process time per delta of a whole stream that ends without its closings."""
    frames = deltas(length, broken=broken)
    chunks = _chunks([*opening(), *frames])

    def run(normalizer: StreamNormalizer) -> None:
        for chunk in chunks:
            normalizer.feed(chunk)
        normalizer.finish(BodyEnd.CUT)

    return best(run, events=length, prepare=lambda: StreamNormalizer(plan))


def with_more_repairs(number: int, name: str) -> Plan:
    """Return a plan with so many more of one repair, which finds nothing wrong in these streams.

    One of the proxy's own: a compiled core takes no others.
    """
    plan = build_plan()
    more = [repair for repair in plan.repairs if repair.name == name]
    plan.repairs = (*plan.repairs, *more * number)
    return plan


class _Stream:
    """One recorded stream, an event a read.

    :ivar payloads: the JSON of its events.
    """

    def __init__(self, family: Family, context: RequestContext, end: BodyEnd, body: bytes) -> None:
        self.context = context
        self.end = end
        self.frames = [frame + b"\n\n" for frame in body.split(b"\n\n") if frame]
        self.payloads = [payload for frame in self.frames for payload in _payloads(frame)]
        deltas = [place for place, frame in enumerate(self.frames) if _is_delta(family, frame)]
        self.first, self.last = (
            (deltas[0], deltas[-1] + 1) if deltas else (len(self.frames), len(self.frames))
        )

    def bare(self) -> None:
        """Read and write every event."""
        for payload in self.payloads:
            orjson.dumps(orjson.loads(payload))

    def repair(self, plan: Plan) -> tuple[int, int, int]:
        """Repair the stream; return the nanoseconds of its opening, of its middle and of its ending."""
        clock = time.process_time_ns
        began = clock()
        normalizer = StreamNormalizer(plan, self.context)
        feed = normalizer.feed
        for frame in self.frames[: self.first]:
            feed(frame)
        opened = clock()
        for frame in self.frames[self.first : self.last]:
            feed(frame)
        done = clock()
        for frame in self.frames[self.last :]:
            feed(frame)
        normalizer.finish(self.end)
        return opened - began, done - opened, clock() - done


def _is_delta(family: Family, frame: bytes) -> bool:
    return any(family.read(payload, None).type in family.deltas for payload in _payloads(frame))


def _payloads(frame: bytes) -> Iterator[bytes]:
    for line in frame.split(b"\n"):
        if line.startswith(b"data: {"):
            try:
                orjson.loads(line[6:])
            except ValueError:
                continue
            yield line[6:]


def by_release(folders: Sequence[Path]) -> dict[str, dict[str, dict[str, float]]]:
    """Return, by protocol and release, what recorded streams cost beside a bare reading and writing of their events."""
    streams: dict[str, dict[str, list[_Stream]]] = defaultdict(lambda: defaultdict(list))
    plans = {family.name: Plan.of(family) for family in FAMILIES}
    families = {endpoint.path: family for family in FAMILIES for endpoint in family.endpoints}
    for folder in folders:
        for recording in load_all(folder):
            family = RESPONSES if recording.is_response_stream else families.get(recording.path)
            if family is None or recording.is_suffix or not _is_stream(recording):
                continue
            stream = _Stream(family, recording.context(), recording.known_end, recording.body)
            if stream.payloads:
                streams[family.name][recording.release].append(stream)
    collect_less_often()  # as the proxy does
    return {
        name: {release: _cost(releases[release], plans[name]) for release in sorted(releases, key=_numbers)}
        for name, releases in streams.items()
    }


def _is_stream(recording: Recording) -> bool:
    return recording.status == HTTPStatus.OK and recording.content_type.startswith("text/event-stream")


def _numbers(release: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in release.split(".")]


def _cost(streams: list[_Stream], plan: Plan) -> dict[str, float]:
    bare: list[list[int]] = []
    ours: list[list[tuple[int, int, int]]] = []
    for _ in range(ROUNDS):
        bare.append([_timed(stream.bare) for stream in streams])
        ours.append([stream.repair(plan) for stream in streams])
    events = sum(len(stream.payloads) for stream in streams)
    least = min(map(sum, bare))
    opening, middle, ending = (min(sum(stream[part] for stream in one) for one in ours) for part in range(3))
    between = sum(stream.last - stream.first for stream in streams)
    worst = max(
        (
            min(sum(one[place]) for one in ours) / max(1, min(one[place] for one in bare))
            for place, stream in enumerate(streams)
            if len(stream.payloads) >= LONG_EVENTS
        ),
        default=0.0,
    )
    return {
        "streams": len(streams),
        "events": events,
        "bare_us": least / events / 1e3,
        "us": (opening + middle + ending) / events / 1e3,
        "ratio": (opening + middle + ending) / least,
        "worst_long": worst,
        "opening_us": opening / len(streams) / 1e3,
        "between_us": middle / max(1, between) / 1e3,
        "ending_us": ending / len(streams) / 1e3,
    }


def _timed(run: Callable[[], object]) -> int:
    began = time.process_time_ns()
    run()
    return time.process_time_ns() - began


def measure(say: Callable[[str], None], folders: Sequence[Path] = (RECORDINGS,)) -> dict[str, Any]:
    """Measure everything here; the keys say what, the values are µs per event."""
    found: dict[str, Any] = {"releases": by_release(folders)}
    say(
        "protocol       release  streams  events  bare µs      µs  ratio  worst long  opening µs  event µs  ending µs"
    )
    costs = [(name, *one) for name, releases in found["releases"].items() for one in releases.items()]
    for name, release, cost in costs:
        say(
            f"{name:14} {release:8} {cost['streams']:7.0f} {cost['events']:7.0f} {cost['bare_us']:8.2f} {cost['us']:7.2f} "
            f"{cost['ratio']:6.2f} {cost['worst_long']:11.2f} {cost['opening_us']:11.1f} {cost['between_us']:9.2f} "
            f"{cost['ending_us']:10.1f}"
        )
    found |= {
        "conforming": _Stopwatch(broken=False).measure(),
        "broken": _Stopwatch(broken=True).measure(),
        "by_length": {str(n): whole(n, broken=True, plan=build_plan()) for n in LENGTHS},
        "by_repairs": {
            "other events": {str(n): _with(n, "heartbeats") for n in EXTRA_REPAIRS},
            "deltas": {str(n): _with(n, "private_names") for n in EXTRA_REPAIRS},
        },
    }
    for name in ("conforming", "broken", "by_length"):
        for what, cost in found[name].items():
            say(f"{name:12} {what:36} {cost:7.3f} µs")
    for kind, costs in found["by_repairs"].items():
        for number, cost in costs.items():
            say(f"{number:>4} more repairs for {kind:24} {cost:7.3f} µs")
    return found


def _with(number: int, name: str) -> float:
    return whole(DELTAS, broken=True, plan=with_more_repairs(number, name))


if __name__ == "__main__":
    measure(print, [Path(folder) for folder in sys.argv[1:]] or [RECORDINGS])
