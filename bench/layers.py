"""``make bench-micro``: where the microseconds of one delta go, layer by layer, in process time.

    python -m bench.layers

Each layer is given the same 2,000 deltas, twelve times, and the best pass counts: what a pass takes longer than the best one
is the machine's doing. A delta here is an ``output_text.delta`` of some 220 bytes, in chunks of 40 as bursts arrive.

Two curves follow: the cost of the whole over the length of the stream, and over the number of repairs. The latter adds
repairs that do nothing, either for events that the stream does not hold or for its deltas: both must cost nothing
(docs/adr/0010-streaks.md).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import orjson

from vllm_sse_proxy.families.responses import BodyEnd, Plan, StreamNormalizer
from vllm_sse_proxy.families.responses.engine import RepairEngine
from vllm_sse_proxy.families.responses.events import parse_event
from vllm_sse_proxy.families.responses.repairs.base import Repair, RequestContext
from vllm_sse_proxy.sse import FrameDecoder, encode_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vllm_sse_proxy.families.responses.events import Event
    from vllm_sse_proxy.families.responses.view import ClientView

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
    " mended",
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
        self._plan = Plan.build()

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

    def repairs(self) -> dict[str, float]:
        """Return µs per event of each repair that handles text deltas, as if it were asked about every one."""
        engine, events = self._engine_and_events()
        engine.process(events[0])
        view = engine.view
        return {
            repair.name: self._best(_asker(repair, view, events))
            for repair in (made(_context(self._plan)) for made in self._plan.repairs)
            if repair.is_asked_about(TEXT_DELTA)
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

    def _engine_and_events(self) -> tuple[RepairEngine, list[Event]]:
        engine = RepairEngine(self._plan, RequestContext())
        for frame in self._opening:
            engine.process(parse_event(frame.data, frame.event))
        engine.take()
        return engine, [parse_event(frame.data, frame.event) for frame in self._decoded]

    def _process(self, state: tuple[RepairEngine, list[Event]]) -> None:
        engine, events = state
        for start in range(0, len(events), CHUNK_EVENTS):
            for event in events[start : start + CHUNK_EVENTS]:
                engine.process(event)
            engine.take()

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


def _context(plan: Plan) -> Any:
    from vllm_sse_proxy.families.responses.repairs.base import StreamContext  # noqa: PLC0415 - only the report per repair makes them itself

    return StreamContext(plan.settings, RequestContext())


def _asker(repair: Repair, view: ClientView, events: list[Event]) -> Callable[[Any], object]:
    def ask(_: object) -> None:
        mend = repair.mend
        for event in events:
            mend(event, view)

    return ask


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
    plan = Plan.build()
    more = [repair for repair in plan.repairs if repair.name == name]
    return Plan(plan.settings, [*plan.repairs, *more * number])


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything here; the keys say what, the values are µs per event."""
    found: dict[str, Any] = {
        "conforming": _Stopwatch(broken=False).measure(),
        "broken": _Stopwatch(broken=True).measure(),
        "repairs": _Stopwatch(broken=False).repairs(),
        "by_length": {str(n): whole(n, broken=True, plan=Plan.build()) for n in LENGTHS},
        "by_repairs": {
            "other events": {str(n): _with(n, "heartbeats") for n in EXTRA_REPAIRS},
            "deltas": {str(n): _with(n, "private_names") for n in EXTRA_REPAIRS},
        },
    }
    for name in ("conforming", "broken", "repairs", "by_length"):
        for what, cost in found[name].items():
            say(f"{name:12} {what:36} {cost:7.3f} µs")
    for kind, costs in found["by_repairs"].items():
        for number, cost in costs.items():
            say(f"{number:>4} more repairs for {kind:24} {cost:7.3f} µs")
    return found


def _with(number: int, name: str) -> float:
    return whole(DELTAS, broken=True, plan=with_more_repairs(number, name))


if __name__ == "__main__":
    measure(print)
